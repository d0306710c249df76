//! The words that lead on from one node of a trie.

use super::targets::IndexKey;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Up to this many words are compared one by one.
const FEW: usize = 8;

/// What each word leads to. A single word, by far the most frequent case in a large trie, is stored
/// inline: finding it costs one access to cold memory instead of three.
#[derive(Debug)]
pub(super) enum Words<T> {
    /// Unordered.
    Few(SmallVec<[(IndexKey, T); 1]>),
    /// More than [`FEW`] words, at some time.
    Many(HashMap<IndexKey, T>),
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Words::Few(SmallVec::new())
    }
}

impl<T: Default> Words<T> {
    pub(super) fn get(&self, word: &[u8]) -> Option<&T> {
        match self {
            Words::Few(few) => few.iter().find(|(w, _)| **w == *word).map(|(_, to)| to),
            Words::Many(many) => many.get(word),
        }
    }

    pub(super) fn get_mut(&mut self, word: &[u8]) -> Option<&mut T> {
        match self {
            Words::Few(few) => few.iter_mut().find(|(w, _)| **w == *word).map(|(_, to)| to),
            Words::Many(many) => many.get_mut(word),
        }
    }

    /// Returns what a word leads to, inserting a default if necessary.
    pub(super) fn get_or_insert(&mut self, word: &[u8]) -> &mut T {
        if let Words::Few(few) = self
            && few.len() == FEW
        {
            *self = Words::Many(few.drain(..).collect());
        }
        match self {
            Words::Few(few) => {
                let at = few.iter().position(|(w, _)| **w == *word);
                let at = at.unwrap_or_else(|| {
                    few.push((word.into(), T::default()));
                    few.len() - 1
                });
                &mut few[at].1
            }
            Words::Many(many) => many.entry(word.into()).or_default(),
        }
    }

    pub(super) fn remove(&mut self, word: &[u8]) {
        match self {
            Words::Few(few) => few.retain(|(w, _)| **w != *word),
            Words::Many(many) => {
                many.remove(word);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Words::Few(few) => few.is_empty(),
            Words::Many(many) => many.is_empty(),
        }
    }
}
