//! Queues.

use super::super::action::Action;
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
        verb("shovel", exactly(2),
            "<source-uri> <destination-uri> --queue <queue> [--queue <queue> ...] [--destination-queue <queue>] \
             [--vhost <vhost>] [--follow] [--auto-delete-too] [--prefetch <number>] [--timeout <timeout>]",
            "Moves the messages of queues from one broker to another")
            .details(&[("<source-uri>, <destination-uri>", "amqp[s]://user:password@host:port/vhost of any AMQP 0-9-1 \
                    broker; - takes the URI from the variable LEVERET_SHOVEL_SOURCE or LEVERET_SHOVEL_DESTINATION, \
                    which others cannot read"),
                ("--queue <queue>", "the queue to empty; can be repeated; - reads names from standard input, one a line"),
                ("--destination-queue <queue>", "the queue to move to, if it has another name there"),
                ("--vhost <vhost>", "the virtual host at both brokers, in place of those in the URIs"),
                ("--follow", "go on when the queue is empty, until Ctrl-C or SIGTERM"),
                ("--auto-delete-too", "move also auto-delete queues without another consumer, which the source deletes with \
                    all that is left when this ends or is interrupted"),
                ("--prefetch <number>", "how many messages may be on their way; 1000 by default"),
                ("--timeout <timeout>", "how long a broker may do nothing, in seconds; 60 by default"),
                ("--quiet", "print no line per second"),
                ("--formatter <json>", "print the summary as JSON")])
            .does(Action::Special),
    ],
};
