//! Erlang's runtime, which is not here.

use super::{ANY, CTL_AND_DIAGNOSTICS, DIAGNOSTICS, Group, NONE, exactly, verb};

const NO_ERLANG: &str = "There is no Erlang here: leveretctl reaches the broker through a socket in its data \
    directory, and needs no cookie";
const NO_CODE: &str = "There is no Erlang here that could evaluate code: health checks are 'check_running' and 'check_local_alarms'";
const NO_PROCESSES: &str = "There are no Erlang processes here, so none is stuck";
const NO_ENCRYPTION: &str = "The configuration has no encrypted values: keep secrets in a file that only the \
    broker's user may read";

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Runtime",
    verbs: &[
        verb("command_line_arguments", NONE, "[--timeout <timeout>]",
            "Displays the arguments of the runtime: see environment")
            .tools(DIAGNOSTICS).needless("There is no Erlang here: 'leveretctl environment' shows the settings in force"),
        verb("decode", ANY, "value passphrase [--cipher <cipher>] [--hash <hash>] [--iterations <iterations>]",
            "Decrypts a value of the configuration: not available")
            .impossible(NO_ENCRYPTION),
        verb("encode", ANY, "value passphrase [--cipher <cipher>] [--hash <hash>] [--iterations <iterations>]",
            "Encrypts a value of the configuration: not available")
            .impossible(NO_ENCRYPTION),
        verb("list_ciphers", NONE, "", "Lists ciphers of encode: there are none")
            .tools(CTL_AND_DIAGNOSTICS).needless(NO_ENCRYPTION),
        verb("list_hashes", NONE, "", "Lists hash functions of encode: there are none")
            .tools(CTL_AND_DIAGNOSTICS).needless(NO_ENCRYPTION),
        verb("erlang_cookie_hash", NONE, "", "Displays a hash of the cookie: there is none")
            .tools(DIAGNOSTICS).needless(NO_ERLANG),
        verb("erlang_cookie_sources", NONE, "", "Displays where the cookie is: there is none")
            .tools(DIAGNOSTICS).needless(NO_ERLANG),
        verb("erlang_version", NONE, "[--details] [--offline] [--timeout <timeout>]",
            "Displays Erlang's version: there is none")
            .tools(DIAGNOSTICS).needless("There is no Erlang here: Leveret is one program, see server_version"),
        verb("eval", ANY, "<expression>", "Evaluates Erlang: not available").impossible(NO_CODE),
        verb("eval_file", ANY, "<file path>", "Evaluates Erlang: not available").impossible(NO_CODE),
        verb("exec", ANY, "<expression>", "Evaluates Elixir: not available").impossible(NO_CODE),
        verb("hipe_compile", exactly(1), "<directory>", "Does nothing, as in RabbitMQ")
            .needless("This command is a no-op. HiPE is no longer supported by modern Erlang versions"),
        verb("maybe_stuck", NONE, "[--timeout <timeout>]", "Finds stuck Erlang processes: there are none")
            .tools(DIAGNOSTICS).needless(NO_PROCESSES),
        verb("observer", NONE, "[--interval <seconds>]", "Shows Erlang processes: not available")
            .tools(DIAGNOSTICS).impossible("There is no Erlang here: see 'leveretctl status' and the management page"),
        verb("remote_shell", NONE, "", "Starts an Erlang shell: not available")
            .tools(DIAGNOSTICS).impossible(NO_CODE),
        verb("runtime_thread_stats", NONE, "[--sample-interval <interval>]",
            "Shows what Erlang's threads do: not available")
            .tools(DIAGNOSTICS).needless("There are no Erlang threads here: 'top -H' shows what the broker's do"),
        verb("schema_info", ANY, "[--no-table-headers] [<column> ...]", "Lists the tables of Mnesia: there are none")
            .tools(CTL_AND_DIAGNOSTICS).needless("There is no Mnesia database here: 'leveret check' examines the store"),
        verb("list_network_interfaces", NONE, "[--timeout <timeout>]",
            "Lists network interfaces: not available")
            .tools(DIAGNOSTICS).needless("See 'ip address' on the broker's machine"),
    ],
};
