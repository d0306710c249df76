//! What is known about each message, from what its publisher and its consumers were told.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::body::Id;

/// The fates of all messages of a run.
#[derive(Debug, Default)]
pub(super) struct Fates {
    messages: Mutex<HashMap<Id, Fate>>,
}

/// What is known about one message.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// It was confirmed, or seen after a restart.
    confirmed: bool,
    ack: Ack,
    /// It was missing after a restart, which was allowed.
    gone: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ack {
    #[default]
    None,
    Sent,
    Flushed,
}

impl Fates {
    /// The message is about to be published.
    pub(super) fn sent(&self, id: Id) {
        let before = self.messages.lock().insert(id, Fate::default());
        assert!(before.is_none(), "{id:?} published twice");
    }

    /// Its publisher got the confirm.
    pub(super) fn confirmed(&self, id: Id) {
        self.change(id, |fate| fate.confirmed = true);
    }

    /// It was delivered under load, so it must be one that may exist.
    pub(super) fn delivered(&self, id: Id) {
        self.change(id, |fate| {
            assert!(
                fate.ack != Ack::Flushed,
                "{id:?} delivered after its ack was flushed"
            );
            assert!(
                !fate.gone,
                "{id:?} delivered after a restart had shown it gone"
            );
        });
    }

    /// Its ack is about to be sent.
    pub(super) fn ack_sent(&self, id: Id) {
        self.change(id, |fate| fate.ack = Ack::Sent);
    }

    /// Its ack is flushed.
    pub(super) fn ack_flushed(&self, id: Id) {
        self.change(id, |fate| fate.ack = Ack::Flushed);
    }

    /// Checks what is there after a restart.
    pub(super) fn judge(&self, found: &[Id]) {
        let present: HashSet<Id> = found.iter().copied().collect();
        assert_eq!(
            present.len(),
            found.len(),
            "messages are there twice: {}",
            twice(found)
        );
        let mut messages = self.messages.lock();
        for id in &present {
            let fate = messages
                .get_mut(id)
                .unwrap_or_else(|| panic!("{id:?} nobody published"));
            assert!(
                fate.ack != Ack::Flushed,
                "{id:?} is back though its ack was flushed"
            );
            assert!(
                !fate.gone,
                "{id:?} is back though an earlier restart had shown it gone"
            );
            // It is on disk, and an ack for it was lost.
            *fate = Fate {
                confirmed: true,
                ack: Ack::None,
                gone: false,
            };
        }
        let mut lost: Vec<Id> = Vec::new();
        for (id, fate) in messages.iter_mut().filter(|(id, _)| !present.contains(id)) {
            if fate.confirmed && fate.ack == Ack::None && !fate.gone {
                lost.push(*id);
            }
            fate.gone = true;
        }
        lost.sort();
        assert!(
            lost.is_empty(),
            "{} confirmed messages are lost: {lost:?}",
            lost.len()
        );
    }

    /// Asserts that there was enough load.
    pub(super) fn assert_load(&self) {
        let messages = self.messages.lock();
        let confirmed = messages.values().filter(|fate| fate.confirmed).count();
        let flushed = messages
            .values()
            .filter(|fate| fate.ack == Ack::Flushed)
            .count();
        eprintln!(
            "{} messages, {confirmed} confirmed, {flushed} flushed acks",
            messages.len()
        );
        assert!(
            confirmed > 100 && flushed > 100,
            "{confirmed} confirmed, {flushed} flushed"
        );
    }

    fn change(&self, id: Id, change: impl FnOnce(&mut Fate)) {
        let mut messages = self.messages.lock();
        change(
            messages
                .get_mut(&id)
                .unwrap_or_else(|| panic!("{id:?} nobody published")),
        );
    }
}

/// Names some of the ids that occur more than once.
fn twice(found: &[Id]) -> String {
    let mut seen = HashSet::new();
    let twice: Vec<&Id> = found
        .iter()
        .filter(|id| !seen.insert(**id))
        .take(10)
        .collect();
    format!("{twice:?}")
}
