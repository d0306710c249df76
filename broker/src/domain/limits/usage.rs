//! Counts connections by virtual host and by user, and channels by user and in total.
//!
//! Checked and counted under one lock, so that two connections cannot both take the last slot.

use leveret_protocol::{UserName, VhostName};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The numbers of connections and channels.
#[derive(Debug, Default)]
pub struct UsageCounts {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    vhosts: HashMap<VhostName, u64>,
    users: HashMap<UserName, u64>,
    channels_of: HashMap<UserName, u64>,
    channels: u64,
}

/// A connection that is about to open a virtual host.
#[derive(Clone, Debug)]
pub struct ConnectionAttempt {
    /// The user.
    pub user: UserName,
    /// The virtual host.
    pub vhost: VhostName,
    /// The maximum number of connections to the virtual host.
    pub vhost_limit: Option<u64>,
    /// The maximum number of connections of the user.
    pub user_limit: Option<u64>,
}

/// The limit that a new connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// The limit of the virtual host.
    Vhost(u64),
    /// The limit of the user.
    User(u64),
}

/// The limit that a new channel would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelLimit {
    /// The limit of the user.
    User(u64),
    /// The limit of the whole broker.
    Node(u64),
}

/// A connection and its channels, counted until this is dropped.
#[derive(Debug)]
pub struct UsageGuard {
    usage: Arc<UsageCounts>,
    user: UserName,
    vhost: VhostName,
    channels: u64,
}

impl UsageCounts {
    /// Counts a new connection.
    ///
    /// # Errors
    /// When a limit is reached. As in RabbitMQ, the limit of the virtual host is checked first.
    pub fn admit(
        self: &Arc<Self>,
        attempt: ConnectionAttempt,
    ) -> Result<UsageGuard, ConnectionLimit> {
        let mut counts = self.counts.lock();
        let reached = |count: u64, limit: Option<u64>| limit.filter(|limit| count >= *limit);
        if let Some(limit) = reached(of(&counts.vhosts, &attempt.vhost), attempt.vhost_limit) {
            return Err(ConnectionLimit::Vhost(limit));
        }
        if let Some(limit) = reached(of(&counts.users, &attempt.user), attempt.user_limit) {
            return Err(ConnectionLimit::User(limit));
        }
        *counts.vhosts.entry(attempt.vhost.clone()).or_default() += 1;
        *counts.users.entry(attempt.user.clone()).or_default() += 1;
        drop(counts);
        Ok(UsageGuard {
            usage: self.clone(),
            user: attempt.user,
            vhost: attempt.vhost,
            channels: 0,
        })
    }
}

impl UsageGuard {
    /// Counts a new channel.
    ///
    /// # Errors
    /// When a limit is reached. As in RabbitMQ, the limit of the user is checked first.
    pub fn open_channel(
        &mut self,
        user_limit: Option<u64>,
        node_limit: Option<u64>,
    ) -> Result<(), ChannelLimit> {
        let mut counts = self.usage.counts.lock();
        let of_user = of(&counts.channels_of, &self.user);
        if let Some(limit) = user_limit.filter(|limit| of_user >= *limit) {
            return Err(ChannelLimit::User(limit));
        }
        if let Some(limit) = node_limit.filter(|limit| counts.channels >= *limit) {
            return Err(ChannelLimit::Node(limit));
        }
        *counts.channels_of.entry(self.user.clone()).or_default() += 1;
        counts.channels += 1;
        self.channels += 1;
        Ok(())
    }

    /// Counts a closed channel.
    pub fn close_channel(&mut self) {
        let closed = self.channels.min(1);
        self.channels -= closed;
        self.usage.counts.lock().close(&self.user, closed);
    }
}

impl Drop for UsageGuard {
    fn drop(&mut self) {
        let mut counts = self.usage.counts.lock();
        counts.close(&self.user, self.channels);
        subtract(&mut counts.vhosts, &self.vhost, 1);
        subtract(&mut counts.users, &self.user, 1);
    }
}

impl Counts {
    fn close(&mut self, user: &UserName, channels: u64) {
        self.channels -= channels;
        subtract(&mut self.channels_of, user, channels);
    }
}

fn of<K: Hash + Eq>(counts: &HashMap<K, u64>, key: &K) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

/// Subtracts from a count, and removes it when it becomes zero.
fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, u64>, key: &K, number: u64) {
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

    fn attempt(user: &str, vhost: &str, limits: (Option<u64>, Option<u64>)) -> ConnectionAttempt {
        ConnectionAttempt {
            user: user.into(),
            vhost: vhost.into(),
            vhost_limit: limits.0,
            user_limit: limits.1,
        }
    }

    #[test]
    fn a_slot_is_free_again_when_its_connection_ends() {
        let usage = Arc::new(UsageCounts::default());
        let admit = |user: &str, limits| usage.admit(attempt(user, "v", limits));
        let first = admit("a", (Some(2), None)).unwrap();
        let second = admit("b", (Some(2), Some(1))).unwrap();
        assert_eq!(
            admit("c", (Some(2), Some(0))).unwrap_err(),
            ConnectionLimit::Vhost(2)
        );
        assert_eq!(
            admit("b", (None, Some(1))).unwrap_err(),
            ConnectionLimit::User(1)
        );
        drop(second);
        let second = admit("b", (Some(2), Some(1))).unwrap();
        drop((first, second));
        let counts = usage.counts.lock();
        assert!(counts.vhosts.is_empty() && counts.users.is_empty());
    }

    #[test]
    fn channels_are_counted_by_user_and_in_all() {
        let usage = Arc::new(UsageCounts::default());
        let mut a = usage.admit(attempt("a", "v", (None, None))).unwrap();
        let mut again = usage.admit(attempt("a", "w", (None, None))).unwrap();
        let mut b = usage.admit(attempt("b", "v", (None, None))).unwrap();
        a.open_channel(Some(2), Some(3)).unwrap();
        again.open_channel(Some(2), Some(3)).unwrap();
        assert_eq!(a.open_channel(Some(2), Some(2)), Err(ChannelLimit::User(2)));
        b.open_channel(None, Some(3)).unwrap();
        assert_eq!(b.open_channel(None, Some(3)), Err(ChannelLimit::Node(3)));
        a.close_channel();
        a.close_channel();
        b.open_channel(None, Some(3)).unwrap();
        drop((a, again, b));
        let counts = usage.counts.lock();
        assert_eq!((counts.channels, counts.channels_of.len()), (0, 0));
    }
}
