//! Failed logins make the next ones from there slower, so that passwords cannot be tried by the thousand.
//!
//! Failures are counted per address and user, and per address. Who has failed more often than people mistype waits before its
//! next attempt is looked at, right or wrong, twice as long each time up to some seconds. Nobody is locked out, and other
//! addresses notice nothing. What is counted and who waits is bounded.

use crate::text::shorten::beginning;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Addresses, and pairs of address and user, that are counted; of more, those that failed longest ago are forgotten.
const MAX_COUNTED: usize = 4096;
/// How long a failure is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Bytes of a user's name that tell it from others.
const MAX_NAME: usize = 255;
/// Logins that wait at a time.
const MAX_WAITING: usize = 4096;
/// With more waiting logins from an address it is guessing, and even those whose password was right a moment ago wait.
const GUESSING: usize = 64;

/// How failures turn into a delay.
struct Pace {
    /// Failures that cost nothing.
    free: u32,
    first: Duration,
    longest: Duration,
}

/// For one user from one address.
const OF_PAIR: Pace = Pace {
    free: 3,
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
};
/// For all users from one address, which may be a proxy's or a whole company's.
const OF_ADDRESS: Pace = Pace {
    free: 30,
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
};

impl Pace {
    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(more) => {
                let factor = 1u32.checked_shl(more.min(16)).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.longest)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

#[derive(Debug, Default)]
struct Counted {
    pairs: HashMap<(IpAddr, String), Failures>,
    addresses: HashMap<IpAddr, Failures>,
    waiting: HashMap<IpAddr, usize>,
    all_waiting: usize,
}

/// The failed logins of the last minutes.
#[derive(Clone, Debug, Default)]
pub struct FailedLogins(Arc<Mutex<Counted>>);

/// A login that waits, until it is dropped.
#[derive(Debug)]
pub struct Waiting {
    all: FailedLogins,
    address: IpAddr,
}

impl FailedLogins {
    /// Returns how long a login has to wait.
    pub fn delay(&self, address: IpAddr, user: &str, now: Instant) -> Duration {
        let key = pair(address, user);
        let counted = self.0.lock();
        if counted.addresses.is_empty() {
            return Duration::ZERO;
        }
        let recent = |failures: Option<&Failures>| {
            let recent = failures.filter(|one| now < one.last + REMEMBERED);
            recent.map_or(0, |one| one.count)
        };
        let of_address = OF_ADDRESS.delay(recent(counted.addresses.get(&key.0)));
        OF_PAIR
            .delay(recent(counted.pairs.get(&key)))
            .max(of_address)
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, user: &str, now: Instant) {
        let key = pair(address, user);
        let mut counted = self.0.lock();
        count(&mut counted.addresses, key.0, now);
        count(&mut counted.pairs, key, now);
    }

    /// Forgets the failures of a user from an address. Those of the address stay: whoever guesses may know one password.
    pub fn succeeded(&self, address: IpAddr, user: &str) {
        let mut counted = self.0.lock();
        if !counted.pairs.is_empty() {
            counted.pairs.remove(&pair(address, user));
        }
    }

    /// Forgets the failures of a user from everywhere.
    pub fn forget(&self, user: &str) {
        let user = beginning(user, MAX_NAME);
        self.0.lock().pairs.retain(|(_, name), _| name != user);
    }

    /// Returns whether so many logins from an address wait that somebody is guessing.
    pub fn is_guessing(&self, address: IpAddr) -> bool {
        let counted = self.0.lock();
        let waiting = counted.waiting.get(&network(address));
        waiting.is_some_and(|waiting| *waiting >= GUESSING)
    }

    /// Makes a login wait; returns `None` if too many do.
    pub fn wait(&self, address: IpAddr) -> Option<Waiting> {
        let address = network(address);
        let mut counted = self.0.lock();
        if counted.all_waiting >= MAX_WAITING {
            return None;
        }
        counted.all_waiting += 1;
        *counted.waiting.entry(address).or_default() += 1;
        drop(counted);
        let all = self.clone();
        Some(Waiting { all, address })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut counted = self.all.0.lock();
        counted.all_waiting = counted.all_waiting.saturating_sub(1);
        if let Some(waiting) = counted.waiting.get_mut(&self.address) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                counted.waiting.remove(&self.address);
            }
        }
    }
}

fn count<K: Eq + Hash>(failures: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if failures.len() >= MAX_COUNTED && !failures.contains_key(&key) {
        failures.retain(|_, one| now < one.last + REMEMBERED);
        if failures.len() >= MAX_COUNTED {
            // Half of them at a time, so that this is seldom.
            let mut times: Vec<Instant> = failures.values().map(|one| one.last).collect();
            let middle = times.len() / 2;
            let (_, middle, _) = times.select_nth_unstable(middle);
            failures.retain(|_, one| one.last > *middle);
        }
    }
    let one = failures.entry(key).or_insert(Failures {
        count: 0,
        last: now,
    });
    let is_old = now >= one.last + REMEMBERED;
    one.count = if is_old {
        1
    } else {
        one.count.saturating_add(1)
    };
    one.last = now;
}

fn pair(address: IpAddr, user: &str) -> (IpAddr, String) {
    (network(address), beginning(user, MAX_NAME).to_owned())
}

/// Returns what stands for a client's address: whoever has one IPv6 address has the 2^64 beside it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + last).to_be_bytes())
    }

    #[test]
    fn each_failure_doubles_the_delay_up_to_seconds_and_time_or_a_right_password_ends_it() {
        let (failed, now) = (FailedLogins::default(), Instant::now());
        let mut delays = Vec::new();
        for _ in 0..9 {
            delays.push(failed.delay(address(1), "hare", now).as_millis());
            failed.failed(address(1), "hare", now);
        }
        assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 4000]);
        for (other, user) in [(address(2), "hare"), (address(1), "rabbit")] {
            assert_eq!(failed.delay(other, user, now), Duration::ZERO);
        }
        assert_eq!(
            failed.delay(address(1), "hare", now + REMEMBERED),
            Duration::ZERO
        );
        failed.succeeded(address(1), "hare");
        assert_eq!(failed.delay(address(1), "hare", now), Duration::ZERO);
        for user in ["hare", "rabbit"] {
            (0..4).for_each(|_| failed.failed(address(1), user, now));
        }
        failed.forget("hare");
        assert!(failed.delay(address(1), "hare", now).is_zero());
        assert!(!failed.delay(address(1), "rabbit", now).is_zero());
    }

    #[test]
    fn one_password_for_many_users_slows_the_address_but_not_for_long() {
        let (failed, now) = (FailedLogins::default(), Instant::now());
        for user in 0..1000 {
            failed.failed(address(1), &user.to_string(), now);
        }
        failed.succeeded(address(1), "hare");
        assert_eq!(failed.delay(address(1), "hare", now), OF_ADDRESS.longest);
        assert_eq!(failed.delay(address(2), "hare", now), Duration::ZERO);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_loopback_is_itself() {
        let (failed, now) = (FailedLogins::default(), Instant::now());
        let v6 = |text: &str| -> IpAddr { text.parse().unwrap() };
        for last in 0..10 {
            failed.failed(v6(&format!("2001:db8::{last}")), "hare", now);
        }
        assert!(
            !failed
                .delay(v6("2001:db8::ffff:1:2:3"), "hare", now)
                .is_zero()
        );
        assert!(failed.delay(v6("2001:db8:0:1::1"), "hare", now).is_zero());
        assert_eq!(network(v6("::1")), v6("::1"));
        assert_eq!(network(v6("::ffff:10.0.0.1")), address(1));
    }

    #[test]
    fn many_waiting_logins_are_noticed_and_too_many_refused() {
        let failed = FailedLogins::default();
        let mut waiting: Vec<_> = (0..GUESSING).map(|_| failed.wait(address(1))).collect();
        assert!(failed.is_guessing(address(1)) && !failed.is_guessing(address(2)));
        waiting.pop();
        assert!(!failed.is_guessing(address(1)));
        waiting.extend((0..MAX_WAITING as u32).map(|n| failed.wait(address(n))));
        assert!(failed.wait(address(7)).is_none());
        drop(waiting);
        let counted = failed.0.lock();
        assert!(counted.all_waiting == 0 && counted.waiting.is_empty());
    }

    #[test]
    fn however_many_fail_the_count_is_bounded_and_the_newest_are_known() {
        let (failed, now) = (FailedLogins::default(), Instant::now());
        let last = 3 * MAX_COUNTED as u32;
        for n in 0..=last {
            let at = now + Duration::from_millis(n.into());
            failed.failed(address(n), "hare", at);
            let counted = failed.0.lock();
            assert!(counted.pairs.len() <= MAX_COUNTED);
            assert!(counted.addresses.len() <= MAX_COUNTED);
        }
        let counted = failed.0.lock();
        for n in last - MAX_COUNTED as u32 / 2..=last {
            assert!(counted.addresses.contains_key(&address(n)), "{n}");
        }
    }

    proptest! {
        #[test]
        fn no_delay_is_longer_than_its_limit_nor_shorter_than_that_of_fewer_failures(count: u32) {
            for pace in [OF_PAIR, OF_ADDRESS] {
                let delay = pace.delay(count);
                prop_assert!(delay <= pace.longest);
                prop_assert!(pace.delay(count.saturating_add(1)) >= delay);
            }
        }
    }
}
