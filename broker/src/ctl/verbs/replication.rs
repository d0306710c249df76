//! Replicas of queues.

use super::super::commands::replication;
use super::{Group, Tool, exactly, verb};

const QUEUES: &[Tool] = &[Tool::Queues];
const STREAMS: &[Tool] = &[Tool::Streams];
const MEMBER: &str = "[--vhost <vhost>] <queue> <node>";

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Replication",
    verbs: &[
        verb("add_member", exactly(2), MEMBER, "Adds a quorum queue member: a single node has it already")
            .tools(QUEUES)
            .asks(replication::kind_of_queue, replication::add_banner, replication::add_member),
        verb("add_replica", exactly(2), MEMBER, "Adds a stream replica: a single node has it already")
            .tools(STREAMS)
            .asks(replication::kind_of_queue, replication::add_banner, replication::add_replica),
        verb("delete_member", exactly(2), MEMBER, "Removes a quorum queue member, except the last one")
            .tools(QUEUES)
            .asks(replication::kind_of_queue, replication::delete_banner, replication::delete_member),
        verb("delete_replica", exactly(2), MEMBER, "Removes a stream replica, except the last one")
            .tools(STREAMS)
            .asks(replication::kind_of_queue, replication::delete_banner, replication::delete_replica),
        verb("grow", exactly(2),
            "<node> <all | even> [--vhost-pattern <pattern>] [--queue-pattern <pattern>] [--errors-only]",
            "Adds members to quorum queues: a single node has them all")
            .tools(QUEUES)
            .asks(replication::grow_request, replication::grow_banner, replication::grow),
        verb("peek", exactly(2), "[--vhost <vhost>] <queue> <position>",
            "Shows a message of a quorum queue: not available")
            .tools(QUEUES)
            .impossible("Messages cannot be looked at by position: get them with requeue, as the HTTP API's \
                /api/queues/<vhost>/<queue>/get does"),
        verb("quorum_status", exactly(1), "[--vhost <vhost>] <queue>",
            "Displays the members of a quorum queue")
            .tools(&[Tool::Diagnostics, Tool::Queues])
            .asks(replication::kind_of_queue, replication::quorum_banner, replication::quorum_status),
        verb("rebalance", exactly(1), "<all | classic | quorum | stream>",
            "Spreads the leaders of queues over nodes: there is one")
            .tools(QUEUES)
            .asks(replication::rebalance_request, replication::rebalance_banner, replication::rebalance),
        verb("reclaim_quorum_memory", exactly(1), "[--vhost <vhost>] <quorum queue>",
            "Flushes the log of a quorum queue, which is always flushed")
            .tools(&[Tool::Diagnostics, Tool::Queues])
            .asks(replication::kind_of_queue, replication::reclaim_banner, replication::reclaim_quorum_memory),
        verb("set_stream_retention_policy", exactly(2), "[--vhost <vhost>] <name> <policy>",
            "Sets the retention of a stream: use a policy")
            .tools(STREAMS)
            .impossible("Set a policy with the key max-age or max-length-bytes instead, see 'leveretctl help \
                set_policy'"),
        verb("shrink", exactly(1),
            "<node> [--vhost-pattern <pattern>] [--queue-pattern <pattern>] [--errors-only]",
            "Removes members from quorum queues, except the last ones")
            .tools(QUEUES)
            .asks(replication::queues, replication::shrink_banner, replication::shrink),
        verb("stream_status", exactly(1), "[--vhost <vhost>] <queue> [--tracking]",
            "Displays the replicas of a stream")
            .tools(&[Tool::Diagnostics, Tool::Queues, Tool::Streams])
            .asks(replication::kind_of_queue, replication::stream_banner, replication::stream_status),
    ],
};
