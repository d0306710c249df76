//! The cluster, which is one node.

use super::super::commands::{cluster, facts};
use super::{ANY, CTL_AND_DIAGNOSTICS, DIAGNOSTICS, Group, NONE, exactly, verb};

const ONE_NODE: &str = "clustering is not supported: a broker is one node";

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Cluster",
    verbs: &[
        verb("await_online_nodes", exactly(1), "<count> [--timeout <timeout>]",
            "Waits for nodes to join the cluster, which has one")
            .asks(cluster::count_request, cluster::count_banner, cluster::await_online_nodes),
        verb("change_cluster_node_type", exactly(1), "<disc | ram>",
            "Changes the type of the node, which is always disc")
            .asks(cluster::node_type_request, cluster::node_type_banner, cluster::change_cluster_node_type),
        verb("cluster_status", NONE, "[--timeout <timeout>]", "Displays the node, listeners and feature flags")
            .tools(CTL_AND_DIAGNOSTICS)
            .on_status(cluster::status_banner, cluster::cluster_status),
        verb("discover_peers", NONE, "[--timeout <timeout>]", "Lists other nodes, of which there are none")
            .tools(DIAGNOSTICS)
            .on_status(cluster::peers_banner, cluster::discover_peers),
        verb("enable_feature_flag", exactly(1), "<all | flag_name>",
            "Enables a feature flag: all are enabled")
            .on_status(cluster::enable_flag_banner, cluster::enable_feature_flag),
        verb("force_boot", NONE, "", "Starts without waiting for other nodes, of which there are none")
            .needless("A single node waits for no other: it starts anyway"),
        verb("forget_cluster_node", exactly(1), "[--offline] <existing_cluster_member_node>",
            "Removes another node from the cluster: there is none")
            .on_status(cluster::forget_banner, cluster::forget_cluster_node),
        verb("join_cluster", exactly(1), "[--disc|--ram] <existing_cluster_member>",
            "Joins a cluster: not supported")
            .impossible(ONE_NODE),
        verb("list_feature_flags", ANY, "[<column> ...] [--timeout <timeout>]", "Lists feature flags")
            .tools(CTL_AND_DIAGNOSTICS)
            .asks(cluster::flags_request, cluster::flags_banner, cluster::list_feature_flags)
            .columns(flag_columns),
        verb("list_unresponsive_queues", ANY,
            "[--vhost <vhost>] [--local] [--queue-timeout <queue-timeout>] [<column> ...]",
            "Lists queues that do not answer: there are none while the broker answers")
            .tools(CTL_AND_DIAGNOSTICS)
            .asks(facts::unresponsive_request, facts::unresponsive_banner, facts::unresponsive_queues),
        verb("rename_cluster_node", (2, None), "<oldnode1> <newnode1> [oldnode2] [newnode2] ...",
            "Renames nodes: not supported")
            .impossible("the node has a fixed name, leveret@localhost"),
        verb("set_cluster_name", exactly(1), "<name>", "Sets the cluster name")
            .asks(cluster::set_name_request, cluster::set_name_banner, cluster::done),
        verb("update_cluster_nodes", exactly(1), "<seed_node>", "Asks another node for its peers: there are none")
            .needless("A single node has no list of peers to update"),
    ],
};

fn flag_columns() -> Vec<&'static str> {
    cluster::FLAG_COLUMNS.to_vec()
}
