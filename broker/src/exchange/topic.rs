//! Topic exchanges (spec 3.1.3.3): binding keys are words between dots, `*` stands for one word,
//! `#` for any number of them. As in RabbitMQ, empty words are words like others, the empty key
//! has none, and a `*` or `#` in a routing key is a word.

use super::bindings::{Binding, Destination};
use super::targets::Targets;
use super::words::Words;
use smallvec::SmallVec;
use std::collections::HashSet;

/// A trie over the words of binding keys.
#[derive(Debug, Default)]
pub(super) struct TopicIndex {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Where binding keys go on from here.
    next: Option<Box<Next>>,
    /// Bindings whose keys end here.
    targets: Targets,
}

#[derive(Debug, Default)]
struct Next {
    words: Words<Node>,
    /// `*`
    one: Option<Box<Node>>,
    /// `#`
    many: Option<Box<Node>>,
}

/// The words of a key; the empty key has none.
fn words(key: &[u8]) -> SmallVec<[&[u8]; 16]> {
    if key.is_empty() {
        SmallVec::new()
    } else {
        key.split(|octet| *octet == b'.').collect()
    }
}

impl TopicIndex {
    pub(super) fn add(&mut self, binding: &Binding) {
        let mut node = &mut self.root;
        for word in words(binding.key.as_str().as_bytes()) {
            let next = node.next.get_or_insert_default();
            node = match word {
                b"*" => next.one.get_or_insert_default(),
                b"#" => next.many.get_or_insert_default(),
                word => next.words.get_or_insert(word),
            };
        }
        node.targets.add(&binding.destination);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        let words = words(binding.key.as_str().as_bytes());
        self.root.remove(&words, &binding.destination);
    }

    pub(super) fn matching(&self, routing_keys: &[&[u8]], found: &mut dyn FnMut(&Destination)) {
        for key in routing_keys {
            self.walk(key, found);
        }
    }

    /// Visits what matches a key and returns how many nodes it took to find it.
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
    /// Whether no binding key ends or goes on here.
    fn is_empty(&self) -> bool {
        self.next.is_none() && self.targets.is_empty()
    }

    /// Removes a binding and every node that is left without purpose. Recursion goes as deep as
    /// the key has words, 256 at most.
    fn remove(&mut self, words: &[&[u8]], destination: &Destination) {
        let Some((word, rest)) = words.split_first() else {
            self.targets.remove(destination);
            return;
        };
        let Some(next) = &mut self.next else {
            return;
        };
        match *word {
            b"*" => prune(&mut next.one, rest, destination),
            b"#" => prune(&mut next.many, rest, destination),
            word => {
                if let Some(child) = next.words.get_mut(word) {
                    child.remove(rest, destination);
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

fn prune(child: &mut Option<Box<Node>>, rest: &[&[u8]], destination: &Destination) {
    if let Some(node) = child {
        node.remove(rest, destination);
        if node.is_empty() {
            *child = None;
        }
    }
}

struct Walk<'a> {
    words: &'a [&'a [u8]],
    /// Where below a `#` the walk has been: patterns with many `#` meet the same node at the same
    /// word over and over, and would cost exponential time.
    seen: HashSet<(*const Node, usize)>,
    visited: usize,
    found: &'a mut dyn FnMut(&Destination),
}

impl Walk<'_> {
    /// Recursion goes as deep as binding keys have words.
    fn visit(&mut self, node: &Node, at: usize, below_many: bool) {
        if below_many && !self.seen.insert((std::ptr::from_ref(node), at)) {
            return;
        }
        self.visited += 1;
        let word = self.words.get(at);
        if word.is_none() {
            node.targets.each(self.found);
        }
        let Some(next) = &node.next else {
            return;
        };
        match &next.many {
            // By far the most frequent use of `#`, at the end of a key: it takes all the rest.
            Some(many) if many.next.is_none() => many.targets.each(self.found),
            Some(many) => {
                for end in at..=self.words.len() {
                    self.visit(many, end, true);
                }
            }
            None => {}
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
