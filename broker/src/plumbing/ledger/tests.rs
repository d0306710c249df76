//! Who may hold how much.

use super::limits::{Pool, limit};
use super::*;
use crate::config::MemoryWatermark;
use crate::plumbing::alarms::Reading;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn set_memory(alarms: &Alarms, mark: u64, used: u64) {
    alarms.set_memory_watermark(MemoryWatermark::Absolute(mark));
    alarms.update(Reading {
        memory: used,
        total_memory: 1 << 40,
        disk_free: None,
    });
}

/// Every connection takes all that it may, one after the other, for many rounds: what all of them hold.
fn greedy(pool: Pool, mark: u64, low: bool, connections: usize) -> Vec<u64> {
    let size = pool.size(mark, low);
    let (mut held, mut total) = (vec![0; connections], 0);
    for _ in 0..60 {
        for one in &mut held {
            let may = limit(size, total, mark, connections as u64);
            // A step at a time, as frames and mailboxes come.
            if *one < may {
                let more = (may - *one).min(MIB / 16);
                *one += more;
                total += more;
            }
        }
    }
    held
}

#[test]
fn one_alone_may_hold_a_quarter_of_the_mark() {
    let mut held = 0;
    while held
        < limit(
            Pool::Deliveries.size(1024 * MIB, false),
            held,
            1024 * MIB,
            1,
        )
    {
        held += MIB;
    }
    assert_eq!(held, 256 * MIB);
}

proptest! {
    #[test]
    fn all_together_hold_their_part_of_the_mark_and_what_everybody_may_always(
        mark in 64 * MIB..4096 * MIB,
        connections in 1usize..2000,
        low: bool,
    ) {
        for pool in Pool::ALL {
            let all: u64 = greedy(pool, mark, low, connections).iter().sum();
            let always = (ALWAYS_ALLOWED * connections as u64).max(mark / 8);
            prop_assert!(all <= pool.size(mark, low) + always + MIB, "{pool:?} {all}");
        }
    }
}

#[test]
fn a_part_leaves_the_sum_with_its_owner() {
    let holdings = Arc::<Holdings>::default();
    let mut one = Part::new(&holdings, Kind::Unfinished);
    let mut other = Part::new(&holdings, Kind::Unfinished);
    one.add(5);
    other.set(7);
    one.remove(2);
    assert_eq!(
        (holdings.of(Kind::Unfinished), holdings.sum(&Kind::ALL)),
        (10, 10)
    );
    drop(other);
    assert_eq!(holdings.sum(&Kind::ALL), 3);
    drop(one);
    assert_eq!(holdings.sum(&Kind::ALL), 0);
}

#[test]
fn an_account_leaves_the_ledger_with_its_connection() {
    let ledger = Arc::<Ledger>::default();
    let holdings = Arc::<Holdings>::default();
    let mut account = Account::open(&ledger, &holdings);
    let mut part = Part::new(&holdings, Kind::Unacknowledged);
    part.set(ALWAYS_ALLOWED);
    account.report_growth();
    assert_eq!(ledger.total(), 0, "not much: at the end of the turn");
    account.report();
    assert_eq!(ledger.total(), ALWAYS_ALLOWED);
    part.set(3 * ALWAYS_ALLOWED);
    account.report_growth();
    assert_eq!(ledger.total(), 3 * ALWAYS_ALLOWED);
    drop(account);
    assert_eq!(ledger.total(), 0);
}

#[test]
fn mailboxes_take_little_while_deliveries_are_too_many() {
    let alarms = Arc::<Alarms>::default();
    let ledger = Ledger::new(alarms.clone());
    set_memory(&alarms, 800 * MIB, 0);
    ledger.change_waiting(0, 300 * MIB as usize);
    assert_eq!(ledger.waiting_mark(), WAITING);
    ledger.change_waiting(0, 1);
    assert_eq!(ledger.waiting_mark(), WAITING_WHEN_SHORT);
    ledger.change_waiting(101 * MIB as usize, 0);
    assert_eq!(ledger.waiting_mark(), WAITING);
    set_memory(&alarms, 800 * MIB, 801 * MIB);
    ledger.update_limits();
    assert_eq!(ledger.waiting_mark(), WAITING_WHEN_SHORT);
}

#[test]
fn consumers_that_hold_all_that_they_may_do_not_keep_others_from_publishing() {
    let alarms = Arc::<Alarms>::default();
    let ledger = Ledger::new(alarms.clone());
    set_memory(&alarms, 800 * MIB, 0);
    let before = ledger.requests_limit();
    ledger.change(Pool::Deliveries, 0, 400 * MIB);
    assert_eq!(ledger.requests_limit(), before);
    assert!(ledger.deliveries_limit() < before);
}

#[test]
fn memory_for_logins_is_counted_and_takes_no_room_from_those_who_have_logged_in() {
    let ledger = Arc::new(Ledger::default());
    let (requests, deliveries) = (ledger.requests_limit(), ledger.deliveries_limit());
    let held = ledger.hold_for_hash(1 << 30);
    assert_eq!(ledger.total(), 1 << 30);
    assert_eq!(
        (ledger.requests_limit(), ledger.deliveries_limit()),
        (requests, deliveries)
    );
    drop(held);
    assert_eq!(ledger.total(), 0);
}
