//! What is declared, who is connected, how the broker is.

use crate::manage::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
};

use super::{ANY, CTL_AND_DIAGNOSTICS, EVERYWHERE, Group, IN_VHOST, NONE, names, verb};

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
    ],
};
