//! Which batches are taken, when, and by whom.

use super::*;
use crate::types::{Position, QueueId};
use bytes::Bytes;

fn batch(op: Op) -> Batch {
    Batch {
        ops: vec![op],
        sink: None,
    }
}

fn ack() -> Batch {
    batch(Op::Ack {
        queue: QueueId(1),
        first: Position(1),
        last: Position(1),
    })
}

fn delete() -> Batch {
    let key = Bytes::from_static(b"key");
    batch(Op::DeleteDefinition { key })
}

fn inbox() -> Inbox {
    Inbox::new(1 << 20, 1 << 20)
}

#[test]
fn what_is_submitted_as_a_group_is_taken_at_once_and_nothing_before_it_waits() {
    let inbox = inbox();
    inbox.submit(delete());
    let group = inbox.begin_group();
    inbox.submit(delete());
    let other = inbox.begin_group();
    let mut taken = Vec::new();
    assert_eq!(inbox.take(&mut taken), Task::Commit);
    assert_eq!(taken.len(), 1);
    inbox.submit(delete());
    assert!(!inbox.state.lock().is_due());
    inbox.state.lock().idle = true;
    assert!(inbox.begin_direct(true, 1 << 20).is_none());
    inbox.end_group(group);
    taken.clear();
    assert_eq!(inbox.take(&mut taken), Task::Commit);
    assert_eq!(taken.len(), 1, "the other group is not whole");
    inbox.end_group(other);
    taken.clear();
    assert_eq!(inbox.take(&mut taken), Task::Commit);
    assert_eq!(taken.len(), 1);
    assert!(!inbox.state.lock().is_due());
}

/// An acknowledgement that has only just arrived, however slow the machine is.
fn with_fresh_ack() -> Inbox {
    let inbox = inbox();
    inbox.submit(ack());
    let later = Instant::now() + Duration::from_secs(3600);
    inbox.state.lock().lazy_since = Some(later);
    assert!(!inbox.state.lock().is_due());
    inbox
}

#[test]
fn acknowledgements_go_with_what_somebody_waits_for() {
    let inbox = with_fresh_ack();
    inbox.submit(delete());
    let mut taken = Vec::new();
    assert_eq!(inbox.take(&mut taken), Task::Commit);
    assert_eq!(taken.len(), 2);
    assert!(!inbox.state.lock().is_due());
}

#[test]
fn acknowledgements_do_not_wait_for_long_nor_when_they_are_hurried_nor_at_the_end() {
    let inbox = with_fresh_ack();
    inbox.hurry();
    assert!(inbox.state.lock().is_due());
    let inbox = with_fresh_ack();
    inbox.stop(Stop::Drain);
    assert!(inbox.state.lock().is_due());
    let inbox = with_fresh_ack();
    inbox.state.lock().lazy_since = Instant::now().checked_sub(ACK_DELAY);
    assert_eq!(inbox.take(&mut Vec::new()), Task::Commit);
}

#[test]
fn who_helps_has_all_to_itself_and_what_it_gives_back_comes_first() {
    let inbox = with_fresh_ack();
    inbox.enqueue(delete());
    assert!(inbox.begin_direct(true, 1 << 20).is_none(), "nobody sleeps");
    inbox.state.lock().idle = true;
    assert!(inbox.begin_direct(true, 1).is_none(), "too much");
    inbox.state.lock().idle = true;
    let taken = inbox.begin_direct(true, 1 << 20).unwrap();
    assert_eq!(taken.len(), 2);
    inbox.submit(ack());
    assert!(inbox.begin_direct(true, 1 << 20).is_none(), "somebody does");
    inbox.end_direct(DirectOutcome::Returned(taken));
    let mut taken = Vec::new();
    assert_eq!(inbox.take(&mut taken), Task::Commit);
    let acks = |pending: &Pending| matches!(pending.batch.ops[0], Op::Ack { .. });
    let acks: Vec<bool> = taken.iter().map(acks).collect();
    assert_eq!(acks, [true, false, true]);
}
