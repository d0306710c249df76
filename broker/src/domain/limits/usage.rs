//! Who is there: connections by virtual host and by user, channels by user and in all.
//!
//! Looked at and counted under one lock, so that no two of them take the last place.

use leveret_protocol::{UserName, VhostName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    vhosts: HashMap<VhostName, u64>,
    users: HashMap<UserName, u64>,
    channels_of: HashMap<UserName, u64>,
    channels: u64,
}

/// A connection that wants to enter a virtual host.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub user: UserName,
    /// Where.
    pub vhost: VhostName,
    /// How many connections may be there.
    pub vhost_limit: Option<u64>,
    /// How many connections the user may have.
    pub user_limit: Option<u64>,
}

/// No place for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// In the virtual host, whose limit this is.
    Vhost(u64),
    /// For the user, whose limit this is.
    User(u64),
}

/// No place for another channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelsFull {
    /// For the user, whose limit this is.
    User(u64),
    /// In the whole broker, whose limit this is.
    Node(u64),
}

/// The place of a connection and its channels, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    tally: Arc<Tally>,
    user: UserName,
    vhost: VhostName,
    channels: u64,
}

impl Tally {
    /// Counts a connection in.
    ///
    /// # Errors
    /// When there is no place; the virtual host is asked first, as in RabbitMQ.
    pub fn enter(self: &Arc<Self>, entry: Entry) -> Result<Seat, Full> {
        let mut counts = self.counts.lock();
        let full = |there: u64, limit: Option<u64>| limit.filter(|limit| there >= *limit);
        if let Some(limit) = full(of(&counts.vhosts, &entry.vhost), entry.vhost_limit) {
            return Err(Full::Vhost(limit));
        }
        if let Some(limit) = full(of(&counts.users, &entry.user), entry.user_limit) {
            return Err(Full::User(limit));
        }
        *counts.vhosts.entry(entry.vhost.clone()).or_default() += 1;
        *counts.users.entry(entry.user.clone()).or_default() += 1;
        drop(counts);
        Ok(Seat {
            tally: self.clone(),
            user: entry.user,
            vhost: entry.vhost,
            channels: 0,
        })
    }
}

impl Seat {
    /// Counts a channel in.
    ///
    /// # Errors
    /// When there is no place; the user's limit is asked first, as in RabbitMQ.
    pub fn open_channel(
        &mut self,
        user_limit: Option<u64>,
        node_limit: Option<u64>,
    ) -> Result<(), ChannelsFull> {
        let mut counts = self.tally.counts.lock();
        let of_user = of(&counts.channels_of, &self.user);
        if let Some(limit) = user_limit.filter(|limit| of_user >= *limit) {
            return Err(ChannelsFull::User(limit));
        }
        if let Some(limit) = node_limit.filter(|limit| counts.channels >= *limit) {
            return Err(ChannelsFull::Node(limit));
        }
        *counts.channels_of.entry(self.user.clone()).or_default() += 1;
        counts.channels += 1;
        self.channels += 1;
        Ok(())
    }

    /// Counts a channel out.
    pub fn close_channel(&mut self) {
        let closed = self.channels.min(1);
        self.channels -= closed;
        self.tally.counts.lock().close(&self.user, closed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.tally.counts.lock();
        counts.close(&self.user, self.channels);
        take(&mut counts.vhosts, &self.vhost, 1);
        take(&mut counts.users, &self.user, 1);
    }
}

impl Counts {
    fn close(&mut self, user: &UserName, channels: u64) {
        self.channels -= channels;
        take(&mut self.channels_of, user, channels);
    }
}

fn of<K: Hash + Eq>(counts: &HashMap<K, u64>, key: &K) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

/// Takes from a count; one that comes to nothing takes no memory.
fn take<K: Hash + Eq>(counts: &mut HashMap<K, u64>, key: &K, number: u64) {
    if let Some(count) = counts.get_mut(key) {
        *count -= number;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, vhost: &str, limits: (Option<u64>, Option<u64>)) -> Entry {
        Entry {
            user: user.into(),
            vhost: vhost.into(),
            vhost_limit: limits.0,
            user_limit: limits.1,
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_goes() {
        let tally = Arc::new(Tally::default());
        let enter = |user: &str, limits| tally.enter(entry(user, "v", limits));
        let first = enter("a", (Some(2), None)).unwrap();
        let second = enter("b", (Some(2), Some(1))).unwrap();
        assert_eq!(enter("c", (Some(2), Some(0))).unwrap_err(), Full::Vhost(2));
        assert_eq!(enter("b", (None, Some(1))).unwrap_err(), Full::User(1));
        drop(second);
        let second = enter("b", (Some(2), Some(1))).unwrap();
        drop((first, second));
        let counts = tally.counts.lock();
        assert!(counts.vhosts.is_empty() && counts.users.is_empty());
    }

    #[test]
    fn channels_are_counted_by_user_and_in_all() {
        let tally = Arc::new(Tally::default());
        let mut a = tally.enter(entry("a", "v", (None, None))).unwrap();
        let mut again = tally.enter(entry("a", "w", (None, None))).unwrap();
        let mut b = tally.enter(entry("b", "v", (None, None))).unwrap();
        a.open_channel(Some(2), Some(3)).unwrap();
        again.open_channel(Some(2), Some(3)).unwrap();
        assert_eq!(a.open_channel(Some(2), Some(2)), Err(ChannelsFull::User(2)));
        b.open_channel(None, Some(3)).unwrap();
        assert_eq!(b.open_channel(None, Some(3)), Err(ChannelsFull::Node(3)));
        a.close_channel();
        a.close_channel();
        b.open_channel(None, Some(3)).unwrap();
        drop((a, again, b));
        let counts = tally.counts.lock();
        assert_eq!((counts.channels, counts.channels_of.len()), (0, 0));
    }
}
