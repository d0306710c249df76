//! Topic exchanges (spec 3.1.3.3): binding keys are words between dots, `*` stands for one word,
//! `#` for any number of them. As in RabbitMQ, empty words are words like others, the empty key
//! has none, and a `*` or `#` in a routing key is a word.

use super::binding::{Binding, Destination};
use super::targets::Targets;
use super::words::Words;
use smallvec::SmallVec;
use std::collections::HashSet;

/// A trie over the words of binding keys.
#[derive(Debug, Default)]
pub(super) struct TopicIndex {
    root: Node,
}

/// A node of the trie. In a large one most are where a binding key ends, with or without a `#`:
/// both are stored inline, so that a look-up finds them together with the word.
#[derive(Debug, Default)]
struct Node {
    /// Bindings whose keys end here.
    targets: Targets,
    /// Bindings whose keys end here with a `#`: they match whatever words are left.
    below: Targets,
    /// Where binding keys go on from here.
    next: Option<Box<Next>>,
}

#[derive(Debug, Default)]
struct Next {
    words: Words<Node>,
    /// `*`
    one: Option<Box<Node>>,
    /// `#`, followed by more words.
    many: Option<Box<Node>>,
}

/// The words of a key; the empty key has none.
fn words(key: &[u8]) -> SmallVec<[&[u8]; 16]> {
    if key.is_empty() {
        SmallVec::new()
    } else {
        key.split(|byte| *byte == b'.').collect()
    }
}

/// Returns the path through the trie for a binding key, and whether it ends with a `#`.
fn path<'a>(words: &'a [&'a [u8]]) -> (&'a [&'a [u8]], bool) {
    match words.split_last() {
        Some((&b"#", path)) => (path, true),
        _ => (words, false),
    }
}

impl TopicIndex {
    pub(super) fn add(&mut self, binding: &Binding) {
        let words = words(binding.key.as_str().as_bytes());
        let (path, below) = path(&words);
        let mut node = &mut self.root;
        for word in path {
            let next = node.next.get_or_insert_default();
            node = match *word {
                b"*" => next.one.get_or_insert_default(),
                b"#" => next.many.get_or_insert_default(),
                word => next.words.get_or_insert(word),
            };
        }
        node.ending(below).add(&binding.destination);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let words = words(binding.key.as_str().as_bytes());
        let (path, below) = path(&words);
        self.root.remove(path, below, &binding.destination);
    }

    pub(super) fn matching(&self, routing_keys: &[&[u8]], found: &mut dyn FnMut(&Destination)) {
        for key in routing_keys {
            self.walk(key, found);
        }
    }

    /// Visits the matches of a key and returns how many nodes that took.
    pub(super) fn walk(&self, routing_key: &[u8], found: &mut dyn FnMut(&Destination)) -> usize {
        let words = words(routing_key);
        let mut walk = Walk {
            words: &words,
            seen: HashSet::new(),
            visited: 0,
            found,
        };
        walk.visit(&self.root, 0, false);
        walk.visited
    }
}

#[cfg(test)]
impl TopicIndex {
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl Node {
    /// Returns whether no binding key ends or continues here.
    fn is_empty(&self) -> bool {
        self.next.is_none() && self.targets.is_empty() && self.below.is_empty()
    }

    /// Returns the bindings whose keys end here, with or without a `#`.
    fn ending(&mut self, below: bool) -> &mut Targets {
        match below {
            true => &mut self.below,
            false => &mut self.targets,
        }
    }

    /// Removes a binding and every node that becomes useless. Recursion is as deep as the key has
    /// words, at most 256.
    fn remove(&mut self, path: &[&[u8]], below: bool, destination: &Destination) {
        let Some((word, rest)) = path.split_first() else {
            self.ending(below).remove(destination);
            return;
        };
        let Some(next) = &mut self.next else {
            return;
        };
        let prune = |child: &mut Option<Box<Node>>| {
            if let Some(node) = child {
                node.remove(rest, below, destination);
                child.take_if(|node| node.is_empty());
            }
        };
        match *word {
            b"*" => prune(&mut next.one),
            b"#" => prune(&mut next.many),
            word => {
                if let Some(child) = next.words.get_mut(word) {
                    child.remove(rest, below, destination);
                    if child.is_empty() {
                        next.words.remove(word);
                    }
                }
            }
        }
        if next.words.is_empty() && next.one.is_none() && next.many.is_none() {
            self.next = None;
        }
    }
}

struct Walk<'a> {
    words: &'a [&'a [u8]],
    /// Visited nodes below a `#`: patterns with many `#` reach the same node at the same word again
    /// and again, which would take exponential time.
    seen: HashSet<(*const Node, usize)>,
    visited: usize,
    found: &'a mut dyn FnMut(&Destination),
}

impl Walk<'_> {
    /// Recursion is as deep as binding keys have words.
    fn visit(&mut self, node: &Node, at: usize, below_many: bool) {
        if below_many && !self.seen.insert((std::ptr::from_ref(node), at)) {
            return;
        }
        self.visited += 1;
        node.below.each(self.found);
        let word = self.words.get(at);
        if word.is_none() {
            node.targets.each(self.found);
        }
        let Some(next) = &node.next else {
            return;
        };
        if let Some(many) = &next.many {
            for end in at..=self.words.len() {
                self.visit(many, end, true);
            }
        }
        let Some(word) = word else {
            return;
        };
        if let Some(one) = &next.one {
            self.visit(one, at + 1, below_many);
        }
        if let Some(child) = next.words.get(word) {
            self.visit(child, at + 1, below_many);
        }
    }
}
