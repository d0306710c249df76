//! Queues.

use super::{Group, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Queues",
    verbs: &[
        verb("cancel_sync_queue", exactly(1), "[--vhost <vhost>] <queue>",
            "Fails for every queue: none is mirrored"),
        verb("delete_queue", exactly(1),
            "<queue_name> [--if-empty|-e] [--if-unused|-u] [--timeout <timeout>]", "Deletes a queue")
            .details(&[("--if-empty", "delete the queue only if it is empty (has no messages ready for \
                    delivery)"),
                ("--if-unused", "delete the queue only if it has no consumers")]),
        verb("purge_queue", exactly(1), "<queue> [--timeout <timeout>]",
            "Purges a queue (removes all messages in it)"),
        verb("sync_queue", exactly(1), "[--vhost <vhost>] <queue>",
            "Fails for every queue: none is mirrored"),
    ],
};
