//! Topic exchanges (spec 3.1.3.3): binding keys are words between dots, `*` stands for one word,
//! `#` for any number of them. As in RabbitMQ, empty words are words like others, the empty key
//! has none, and a `*` or `#` in a routing key is a word.

use super::bindings::{Binding, Destination};
use super::targets::Targets;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};

/// A trie over the words of binding keys.
#[derive(Debug, Default)]
pub(super) struct TopicIndex {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    words: HashMap<Box<[u8]>, Node>,
    /// `*`
    one: Option<Box<Node>>,
    /// `#`
    many: Option<Box<Node>>,
    /// Bindings whose keys end here.
    targets: Targets,
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
            node = match word {
                b"*" => node.one.get_or_insert_default(),
                b"#" => node.many.get_or_insert_default(),
                word => node.words.entry(word.into()).or_default(),
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
    /// Whether no binding key goes on from here.
    fn is_leaf(&self) -> bool {
        self.words.is_empty() && self.one.is_none() && self.many.is_none()
    }

    fn is_empty(&self) -> bool {
        self.is_leaf() && self.targets.is_empty()
    }

    /// Removes a binding and every node that is left without purpose. Recursion goes as deep as
    /// the key has words, 256 at most.
    fn remove(&mut self, words: &[&[u8]], destination: &Destination) {
        let Some((word, rest)) = words.split_first() else {
            self.targets.remove(destination);
            return;
        };
        match *word {
            b"*" => prune(&mut self.one, rest, destination),
            b"#" => prune(&mut self.many, rest, destination),
            word => {
                if let Some(child) = self.words.get_mut(word) {
                    child.remove(rest, destination);
                    if child.is_empty() {
                        self.words.remove(word);
                    }
                }
            }
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
        match &node.many {
            // By far the most frequent use of `#`, at the end of a key: it takes all the rest.
            Some(many) if many.is_leaf() => many.targets.each(self.found),
            Some(many) => {
                for end in at..=self.words.len() {
                    self.visit(many, end, true);
                }
            }
            None => {}
        }
        let Some(word) = self.words.get(at) else {
            node.targets.each(self.found);
            return;
        };
        if let Some(one) = &node.one {
            self.visit(one, at + 1, below_many);
        }
        if let Some(child) = node.words.get(*word) {
            self.visit(child, at + 1, below_many);
        }
    }
}
