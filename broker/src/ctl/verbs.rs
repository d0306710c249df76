//! The verbs, each declared once, for checking command lines and for the help.

use crate::manage::columns::{
    BindingColumn, ChannelColumn, Column, ConnectionColumn, ConsumerColumn, ExchangeColumn,
    QueueColumn, VhostColumn,
};

/// A verb of leveretctl.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// The heading under which help lists it.
    pub(super) group: &'static str,
    /// One line for the list of verbs, without a full stop at the end.
    pub(super) summary: &'static str,
    /// The usage line after the name.
    pub(super) usage: &'static str,
    /// The minimum number of arguments.
    pub(super) min_arguments: usize,
    /// The maximum number of arguments; `None` for any number.
    pub(super) max_arguments: Option<usize>,
    /// The columns that its arguments choose from.
    pub(super) columns: Option<fn() -> Vec<&'static str>>,
    /// Arguments and options, each with a description, for `help <verb>`.
    pub(super) details: &'static [(&'static str, &'static str)],
}

impl Verb {
    /// Returns the verb with this name.
    pub(super) fn find(name: &str) -> Option<&'static Verb> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// Returns the verb that was probably meant.
    pub(super) fn similar_to(name: &str) -> Option<&'static Verb> {
        let likeness = |verb: &&Verb| strsim::jaro(verb.name, name);
        let best = VERBS
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        // rabbitmqctl's threshold.
        (likeness(&best) >= 0.8).then_some(best)
    }
}

fn names<C: Column>() -> Vec<&'static str> {
    C::ALL.iter().map(|column| column.name()).collect()
}

const fn verb(
    group: &'static str,
    name: &'static str,
    (min_arguments, max_arguments): (usize, Option<usize>),
    usage: &'static str,
    summary: &'static str,
) -> Verb {
    Verb {
        name,
        group,
        summary,
        usage,
        min_arguments,
        max_arguments,
        columns: None,
        details: &[],
    }
}

impl Verb {
    const fn columns(mut self, columns: fn() -> Vec<&'static str>) -> Self {
        self.columns = Some(columns);
        self
    }

    const fn details(mut self, details: &'static [(&'static str, &'static str)]) -> Self {
        self.details = details;
        self
    }
}

const NONE: (usize, Option<usize>) = (0, Some(0));
const ANY: (usize, Option<usize>) = (0, None);
const fn exactly(count: usize) -> (usize, Option<usize>) {
    (count, Some(count))
}

const HELP: &str = "Help";
const NODES: &str = "Nodes";
const USERS: &str = "Users";
const ACCESS: &str = "Access Control";
const MONITORING: &str = "Monitoring, observability and health checks";
const VHOSTS: &str = "Virtual hosts";
const CONFIGURATION: &str = "Configuration and Environment";
const DEFINITIONS: &str = "Definitions";
const POLICIES: &str = "Policies";
const OPERATIONS: &str = "Operations";
const QUEUES: &str = "Queues";

const SET_POLICY: &str = "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>";
const POLICY: &[(&str, &str)] = &[
    ("<name>", "policy name (identifier)"),
    (
        "<pattern>",
        "regular expression that the names of queues and exchanges are matched against",
    ),
    ("<definition>", "policy definition, as a JSON document"),
    (
        "--priority <priority>",
        "policy priority, an integer; 0 by default",
    ),
    (
        "--apply-to <queues | classic_queues | quorum_queues | streams | exchanges | all>",
        "the kind of entities the policy applies to; all by default",
    ),
];

const IN_VHOST: &str =
    "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]";
const EVERYWHERE: &str = "[--no-table-headers] [<column> ...] [--timeout <timeout>]";

/// Every verb, in the order of `help`.
#[rustfmt::skip] // A table reads better as a table.
pub(super) static VERBS: &[Verb] = &[
    verb(HELP, "help", (0, Some(1)), "(<command> | [--list-commands])",
        "Displays usage information for a command"),
    verb(HELP, "version", NONE, "", "Displays the version of leveretctl"),
    verb(NODES, "await_startup", NONE, "[--timeout <timeout>]",
        "Waits until the broker answers, for 300 seconds by default"),
    verb(NODES, "stop", (0, Some(1)), "[--idempotent] [<pidfile>]",
        "Stops the broker and waits until it has ended")
        .details(&[("<pidfile>", "accepted and ignored"),
            ("--idempotent", "return success if the broker is not running")]),
    verb(USERS, "add_user", (1, Some(2)), "<username> [<password>]",
        "Creates a new user, who has no permissions for any virtual host yet")
        .details(&[("<password>", "prompted for, or read from standard input, if omitted; a blank \
            password disables login by password")]),
    verb(USERS, "authenticate_user", (1, Some(2)), "<username> [<password>]",
        "Checks a user's password; exits with a non-zero code if it is wrong"),
    verb(USERS, "change_password", (1, Some(2)), "<username> [<password>]",
        "Changes the user password"),
    verb(USERS, "clear_user_limits", exactly(2), "<username> <limit_type> | all",
        "Clears user connection/channel limits")
        .details(&[("<limit_type>", "max-connections or max-channels")]),
    verb(USERS, "delete_user", exactly(1), "<username>", "Removes a user and its permissions"),
    verb(USERS, "list_user_limits", NONE, "[--user <username>] [--global]",
        "Displays configured user limits")
        .details(&[("--global", "list limits for all the users")]),
    verb(USERS, "list_users", NONE, "[--no-table-headers] [--timeout <timeout>]",
        "Lists user names and tags"),
    verb(USERS, "set_user_limits", exactly(2), "<username> <definition>", "Sets user limits")
        .details(&[("<definition>", "limit definitions as a JSON document, \
            {\"max-connections\": 10, \"max-channels\": 100}; limits that it does not name are kept")]),
    verb(USERS, "set_user_tags", (1, None), "<username> <tag> [...]", "Sets user tags"),
    verb(ACCESS, "clear_permissions", exactly(1), "[--vhost <vhost>] <username>",
        "Revokes user permissions for a vhost"),
    verb(ACCESS, "clear_topic_permissions", (1, Some(2)),
        "[--vhost <vhost>] <username> [<exchange>]",
        "Clears user topic permissions for a vhost or exchange")
        .details(&[("<username>", "name of the user whose topic permissions should be revoked"),
            ("<exchange>", "exchange the permissions are for")]),
    verb(ACCESS, "list_permissions", NONE,
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        "Lists user permissions in a virtual host"),
    verb(ACCESS, "list_topic_permissions", NONE,
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        "Lists topic permissions in a virtual host"),
    verb(ACCESS, "list_user_permissions", exactly(1),
        "[--no-table-headers] <username> [--timeout <timeout>]",
        "Lists permissions of a user across all virtual hosts"),
    verb(ACCESS, "list_user_topic_permissions", exactly(1), "<username> [--timeout <timeout>]",
        "Lists user topic permissions"),
    verb(ACCESS, "list_vhosts", ANY, EVERYWHERE, "Lists virtual hosts")
        .columns(names::<VhostColumn>),
    verb(ACCESS, "set_permissions", exactly(4),
        "[--vhost <vhost>] <username> <conf> <write> <read>",
        "Sets user permissions for a vhost")
        .details(&[("<conf>", "regular expression of names to declare and delete"),
            ("<write>", "regular expression of names to publish to and bind"),
            ("<read>", "regular expression of names to consume, get, purge and bind to"),
            ("", "a pattern matches anywhere in a name unless anchored with ^ and $")]),
    verb(ACCESS, "set_topic_permissions", exactly(4),
        "[--vhost <vhost>] <username> <exchange> <write> <read>",
        "Sets user topic permissions for an exchange")
        .details(&[("<exchange>", "topic exchange to set the permissions for"),
            ("<write>", "regular expression of routing keys to publish with"),
            ("<read>", "regular expression of routing keys to bind with"),
            ("", "{username} and {vhost} stand for the names")]),
    verb(MONITORING, "alarms", NONE, "[--timeout <timeout>]", "Lists resource alarms in effect"),
    verb(MONITORING, "check_alarms", NONE, "[--timeout <timeout>]",
        "Health check that exits with a non-zero code if there are resource alarms"),
    verb(MONITORING, "check_local_alarms", NONE, "[--timeout <timeout>]",
        "Health check that exits with a non-zero code if there are resource alarms"),
    verb(MONITORING, "list_bindings", ANY, IN_VHOST, "Lists all bindings of a vhost")
        .columns(names::<BindingColumn>),
    verb(MONITORING, "list_channels", ANY, EVERYWHERE, "Lists all channels of the broker")
        .columns(names::<ChannelColumn>),
    verb(MONITORING, "list_connections", ANY, EVERYWHERE, "Lists AMQP 0-9-1 connections")
        .columns(names::<ConnectionColumn>),
    verb(MONITORING, "list_consumers", ANY, IN_VHOST, "Lists all consumers of a vhost")
        .columns(names::<ConsumerColumn>),
    verb(MONITORING, "list_exchanges", ANY, IN_VHOST, "Lists exchanges")
        .columns(names::<ExchangeColumn>),
    verb(MONITORING, "list_queues", ANY,
        "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] \
         [--timeout <timeout>]",
        "Lists queues and their properties")
        .columns(names::<QueueColumn>)
        .details(&[("--online, --local", "accepted and ignored: the broker is a single node"),
            ("--offline", "lists nothing: a single node has no offline queues")]),
    verb(MONITORING, "ping", NONE, "[--timeout <timeout>]", "Checks that the broker answers"),
    verb(MONITORING, "status", NONE, "[--unit <unit>] [--timeout <timeout>]",
        "Displays status of the broker")
        .details(&[("--unit <bytes | mb | gb>",
                "the unit in which sizes are displayed"),
            ("--formatter <json>", "display the status as JSON")]),
    verb(VHOSTS, "add_vhost", exactly(1),
        "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\"]",
        "Creates a virtual host"),
    verb(VHOSTS, "clear_vhost_limits", NONE, "[--vhost <vhost>]", "Clears virtual host limits"),
    verb(VHOSTS, "delete_vhost", exactly(1), "<vhost>",
        "Deletes a virtual host with its queues, exchanges and permissions"),
    verb(VHOSTS, "list_vhost_limits", NONE,
        "[--vhost <vhost>] [--global] [--no-table-headers]",
        "Displays configured virtual host limits")
        .details(&[("--global", "list limits for all the virtual hosts")]),
    verb(VHOSTS, "set_vhost_limits", exactly(1), "[--vhost <vhost>] <definition>",
        "Sets virtual host limits")
        .details(&[("<definition>", "limit definitions as a JSON document, \
            {\"max-connections\": 100, \"max-queues\": 500}; replaces the previous limits")]),
    verb(CONFIGURATION, "set_disk_free_limit", (1, Some(2)),
        "<disk_limit> | mem_relative <fraction>", "Sets the disk_free_limit setting")
        .details(&[("<disk_limit>", "new limit as an absolute value with units, e.g. 1GB"),
            ("mem_relative <fraction>",
                "new limit as a fraction of total memory reported by the OS"),
            ("", "in effect until the broker stops")]),
    verb(CONFIGURATION, "set_vm_memory_high_watermark", (1, Some(2)),
        "<fraction> | absolute <value>", "Sets the vm_memory_high_watermark setting")
        .details(&[("<fraction>", "new limit as a fraction of total memory reported by the OS"),
            ("absolute <value>", "new limit as an absolute value with units, e.g. 1GB"),
            ("", "in effect until the broker stops")]),
    verb(DEFINITIONS, "export_definitions", exactly(1),
        "<file_path | \"-\"> [--format json] [--timeout <timeout>]", "Exports definitions in JSON")
        .details(&[("<file_path>", "local file path to export to. Pass a dash (-) for stdout"),
            ("--format", "output format to use: json")]),
    verb(DEFINITIONS, "import_definitions", (0, Some(1)),
        "[<file_path> | -] [--format json] [--skip-if-unchanged] [--timeout <timeout>]",
        "Imports definitions in JSON")
        .details(&[("<file_path>", "local file path to import from. If omitted or a dash (-), standard input is read"),
            ("--format", "input format to use: json"),
            ("--skip-if-unchanged", "do nothing if the last import with this option had the same definitions")]),
    verb(POLICIES, "clear_operator_policy", exactly(1), "[--vhost <vhost>] <name>",
        "Clears an operator policy"),
    verb(POLICIES, "clear_policy", exactly(1), "[--vhost <vhost>] <name>",
        "Clears (removes) a policy"),
    verb(POLICIES, "list_operator_policies", NONE,
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        "Lists operator policy overrides for a virtual host"),
    verb(POLICIES, "list_policies", NONE,
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        "Lists all policies in a virtual host"),
    verb(POLICIES, "set_operator_policy", exactly(3), SET_POLICY,
        "Sets an operator policy that overrides a subset of arguments in user policies")
        .details(POLICY),
    verb(POLICIES, "set_policy", exactly(3), SET_POLICY, "Sets or updates a policy")
        .details(POLICY),
    verb(OPERATIONS, "backup", exactly(1), "<directory> [--timeout <timeout>]",
        "Copies everything durable to a new data directory, while the broker runs")
        .details(&[("<directory>", "must be empty or not exist. The broker writes it, as its own user. To \
                restore, start `leveret --data-dir <directory>`")]),
    verb(OPERATIONS, "close_all_connections", exactly(1),
        "[--vhost <vhost> --limit <limit>] [--global] <explanation>",
        "Closes all connections to a vhost, or with --global to all vhosts")
        .details(&[("--global", "close connections to all virtual hosts"),
            ("--limit <number>", "close up to this many connections")]),
    verb(OPERATIONS, "close_all_user_connections", exactly(2), "<username> <explanation>",
        "Closes all connections of a user")
        .details(&[("<explanation>", "reason for connection closure, sent to the clients")]),
    verb(OPERATIONS, "close_connection", exactly(2), "<connection pid> <explanation>",
        "Closes a connection")
        .details(&[("<connection pid>", "such as <leveret.3.0>, see list_connections pid"),
            ("<explanation>", "reason for connection closure, sent to the client")]),
    verb(QUEUES, "delete_queue", exactly(1),
        "<queue_name> [--if-empty|-e] [--if-unused|-u] [--timeout <timeout>]", "Deletes a queue")
        .details(&[("--if-empty", "delete the queue only if it is empty (has no messages ready for \
                delivery)"),
            ("--if-unused", "delete the queue only if it has no consumers")]),
    verb(QUEUES, "purge_queue", exactly(1), "<queue> [--timeout <timeout>]",
        "Purges a queue (removes all messages in it)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_verb_has_a_similar_one_and_nonsense_has_none() {
        let similar = |name: &str| Verb::similar_to(name).map(|verb| verb.name);
        assert_eq!(similar("list_queue"), Some("list_queues"));
        assert_eq!(similar("listqueues"), Some("list_queues"));
        assert_eq!(similar("blah"), None);
        assert_eq!(similar("LIST_QUEUES"), None);
    }
}
