//! Users and their limits.

use super::super::action::Action;
use super::super::commands::facts;
use super::{CTL_AND_DIAGNOSTICS, Group, NONE, exactly, verb};

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Users",
    verbs: &[
        verb("add_user", (1, Some(2)), "<username> [<password>]",
            "Creates a new user, who has no permissions for any virtual host yet")
            .details(&[("<password>", "prompted for, or read from standard input, if omitted; a blank \
                password disables login by password")]),
        verb("authenticate_user", (1, Some(2)), "<username> [<password>]",
            "Checks a user's password; exits with a non-zero code if it is wrong"),
        verb("change_password", (1, Some(2)), "<username> [<password>]",
            "Changes the user password"),
        verb("clear_password", exactly(1), "<username>",
            "Clears (resets) password and disables password login for a user"),
        verb("clear_user_limits", exactly(2), "<username> <limit_type> | all",
            "Clears user connection/channel limits")
            .details(&[("<limit_type>", "max-connections or max-channels")]),
        verb("delete_user", exactly(1), "<username>", "Removes a user and its permissions"),
        verb("hash_password", exactly(1), "<password>", "Hashes a password, for definition files")
            .does(Action::Local(facts::hash_password)),
        verb("list_user_limits", NONE, "[--user <username>] [--global]",
            "Displays configured user limits")
            .details(&[("--global", "list limits for all the users")])
            .tools(CTL_AND_DIAGNOSTICS),
        verb("list_users", NONE, "[--no-table-headers] [--timeout <timeout>]",
            "Lists user names and tags")
            .tools(CTL_AND_DIAGNOSTICS),
        verb("set_user_limits", exactly(2), "<username> <definition>", "Sets user limits")
            .details(&[("<definition>", "limit definitions as a JSON document, \
                {\"max-connections\": 10, \"max-channels\": 100}; limits that it does not name are kept")]),
        verb("set_user_tags", (1, None), "<username> <tag> [...]", "Sets user tags"),
    ],
};
