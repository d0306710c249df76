//! What is declared, who is connected, how the broker is.

use crate::manage::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
};

use super::super::action::Action;
use super::super::commands::{cluster, facts};
use super::{
    ANY, CTL_AND_DIAGNOSTICS, DIAGNOSTICS, EVERYWHERE, Group, IN_VHOST, NONE, names, verb,
};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Monitoring and observability",
    verbs: &[
        verb("list_bindings", ANY, IN_VHOST, "Lists all bindings of a vhost")
            .columns(names::<BindingColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_channels", ANY, EVERYWHERE, "Lists all channels of the broker")
            .columns(names::<ChannelColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_connections", ANY, EVERYWHERE, "Lists AMQP 0-9-1 connections")
            .columns(names::<ConnectionColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_consumers", ANY, IN_VHOST, "Lists all consumers of a vhost")
            .columns(names::<ConsumerColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_exchanges", ANY, IN_VHOST, "Lists exchanges")
            .columns(names::<ExchangeColumn>)
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_queues", ANY,
            "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] \
             [--timeout <timeout>]",
            "Lists queues and their properties")
            .columns(names::<QueueColumn>)
            .details(&[("--online, --local", "accepted and ignored: the broker is a single node"),
                ("--offline", "lists nothing: a single node has no offline queues")])
            .tools(CTL_AND_DIAGNOSTICS),
        verb("ping", NONE, "[--timeout <timeout>]", "Checks that the broker answers")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("status", NONE, "[--unit <unit>] [--timeout <timeout>]",
            "Displays status of the broker")
            .details(&[("--unit <bytes | mb | gb>",
                    "the unit in which sizes are displayed"),
                ("--formatter <json>", "display the status as JSON")])
            .tools(CTL_AND_DIAGNOSTICS),
        verb("disable_auth_attempt_source_tracking", NONE, "",
            "Stops counting attempts to log in by source: not available")
            .tools(DIAGNOSTICS)
            .impossible("Attempts to log in are always counted by source, up to 1024 of them"),
        verb("enable_auth_attempt_source_tracking", NONE, "",
            "Counts attempts to log in by source, as is always done")
            .tools(DIAGNOSTICS)
            .needless("Attempts to log in are always counted by source"),
        verb("list_node_auth_attempt_stats", NONE, "[--by-source] [--timeout <timeout>]",
            "Lists attempts to log in")
            .tools(CTL_AND_DIAGNOSTICS)
            .asks(facts::attempts_request, facts::attempts_banner, facts::list_attempts)
            .details(&[("--by-source", "by remote address and username")]),
        verb("memory_breakdown", NONE, "[--unit <unit>] [--timeout <timeout>]",
            "Shows what the memory is used for")
            .tools(DIAGNOSTICS)
            .asks(facts::memory_request, facts::memory_banner, facts::memory_breakdown)
            .details(&[("--unit <bytes | mb | gb>", "the unit in which sizes are displayed")]),
        verb("report", NONE, "", "Displays status, settings and everything that is declared, for support")
            .tools(CTL_AND_DIAGNOSTICS)
            .does(Action::Special),
        verb("reset_node_auth_attempt_metrics", NONE, "[--timeout <timeout>]", "Forgets the attempts to log in")
            .tools(DIAGNOSTICS)
            .asks(facts::reset_attempts, facts::reset_attempts_banner, cluster::done),
        verb("server_version", NONE, "[--timeout <timeout>]", "Displays the version of the running broker")
            .tools(DIAGNOSTICS)
            .on_status(facts::version_banner, facts::server_version),
        verb("top", (0, Some(1)),
            "[queues | connections] [--sort <order>] [--filter <text>] [--interval <seconds>] [--count <number>] \
             [--limit <rows>] [--timeout <timeout>]",
            "Displays the busiest queues or connections, live on a terminal")
            .details(&[("--sort <order>", "queues: rate, ready, unacked, consumers, bytes or name; \
                    connections: rate, channels, pending, user or name"),
                ("--filter <text>", "only what has this text in its name, virtual host, user or address"),
                ("--interval <seconds>", "the time between two looks; 2 by default"),
                ("--count <number>", "print so many times instead of showing a live view; 1 where \
                    the output is no terminal"),
                ("--limit <rows>", "how many rows to print; 20 by default"),
                ("--formatter <json>", "print one JSON object per look")])
            .does(Action::Special),
    ],
};
