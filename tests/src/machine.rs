//! Keeps the settings of the machine that the tests run on out of the tests.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::process::Command;

/// Removes the variables of the machine that are settings of brokers, Leveret's and RabbitMQ's, and keeps the program from
/// reading `/etc/leveret`. What the command itself sets stays.
pub fn isolate(command: &mut Command) {
    isolate_from(std::env::vars_os().map(|(name, _)| name), command);
}

fn isolate_from(variables: impl Iterator<Item = OsString>, command: &mut Command) {
    let set: BTreeSet<OsString> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in variables {
        if is_setting(&name) && !set.contains(&name) {
            command.env_remove(&name);
        }
    }
    if !set.contains(OsStr::new("LEVERET_CONFIG")) {
        command.env("LEVERET_CONFIG", "none");
    }
}

/// Returns whether a variable may be a setting of a broker. Those of the tests may be for a script of theirs.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_of_tests = name.starts_with("LEVERET_TEST_") || name.starts_with("LEVERET_CRASH_");
    (name.starts_with("LEVERET_") || name.starts_with("RABBITMQ_")) && !is_of_tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_machine_are_removed_and_those_of_the_test_stay() {
        let mut command = Command::new("leveret");
        command
            .env("LEVERET_PORT", "1")
            .env("RABBITMQ_NODE_PORT", "2");
        let machine = [
            "LEVERET_CONFIG",
            "LEVERET_PORT",
            "LEVERET_QUEUE_MEMORY",
            "LEVERET_TEST_ADDRESS",
            "RABBITMQ_CONFIG_FILE",
            "RABBITMQ_NODE_PORT",
            "PATH",
        ];
        isolate_from(machine.into_iter().map(OsString::from), &mut command);
        let told: Vec<(&str, Option<&str>)> = command
            .get_envs()
            .map(|(name, value)| (name.to_str().unwrap(), value.map(|it| it.to_str().unwrap())))
            .collect();
        let wanted = [
            ("LEVERET_CONFIG", Some("none")),
            ("LEVERET_PORT", Some("1")),
            ("LEVERET_QUEUE_MEMORY", None),
            ("RABBITMQ_CONFIG_FILE", None),
            ("RABBITMQ_NODE_PORT", Some("2")),
        ];
        assert_eq!(told, wanted);
    }
}
