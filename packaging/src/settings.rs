//! The settings, as the manual of leveret.toml lists them.

use leveret::config::command_line;

/// What the manual says of a setting.
pub struct Setting {
    /// Its key in the file.
    pub key: String,
    /// What the value is, as in `--help`.
    pub value: String,
    /// What it does.
    pub help: String,
}

/// Flags that are about a run of the program, and no settings.
const NO_SETTINGS: [&str; 4] = ["config", "check-config", "help", "version"];

/// Passwords, which have no flag because every user of the machine can read a command line.
const WITHOUT_FLAG: [(&str, &str, &str); 3] = [
    (
        "default_pass",
        "default_user",
        "The password of default_user in a new data directory [default: guest]",
    ),
    (
        "anonymous_login_pass",
        "anonymous_login_user",
        "The password of anonymous_login_user [default: guest]",
    ),
    (
        "tls_key_password",
        "tls_keyfile",
        "The password of encrypted private keys [default: none]",
    ),
];

/// Returns the settings by the headings of `--help`, in its order.
pub fn by_heading() -> Vec<(String, Vec<Setting>)> {
    let mut headings: Vec<(String, Vec<Setting>)> = Vec::new();
    for argument in command_line().get_arguments() {
        let Some(flag) = argument.get_long().filter(|one| !NO_SETTINGS.contains(one)) else {
            continue;
        };
        let key = flag.replace('-', "_");
        let names = argument.get_value_names().unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string);
        let setting = Setting {
            value: names.first().map(ToString::to_string).unwrap_or_default(),
            help: help.unwrap_or_default(),
            key: key.clone(),
        };
        let heading = argument.get_help_heading().unwrap_or("General");
        let place = match headings.iter().position(|(name, _)| name == heading) {
            Some(place) => place,
            None => {
                headings.push((heading.to_owned(), Vec::new()));
                headings.len() - 1
            }
        };
        let settings = &mut headings[place].1;
        settings.push(setting);
        for (password, _, help) in WITHOUT_FLAG.iter().filter(|(_, after, _)| *after == key) {
            settings.push(Setting {
                key: (*password).to_owned(),
                value: "PASSWORD".to_owned(),
                help: (*help).to_owned(),
            });
        }
    }
    headings
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret::config::{Config, Environment};

    #[test]
    fn every_setting_of_the_broker_is_listed_once() {
        let mut listed: Vec<String> = by_heading()
            .into_iter()
            .flat_map(|(_, settings)| settings)
            .map(|setting| setting.key)
            .collect();
        let count = listed.len();
        listed.sort();
        listed.dedup();
        assert_eq!(listed.len(), count);
        let config = Config::with_data_dir("/srv/leveret".into());
        for (key, _) in config.settings() {
            assert!(listed.iter().any(|one| one == key), "{key} is not listed");
        }
        for (password, _, _) in WITHOUT_FLAG {
            assert!(listed.iter().any(|one| one == password), "{password}");
        }
    }

    #[test]
    fn the_packaged_file_is_valid_with_and_without_its_examples() {
        let packaged = include_str!("../leveret.toml");
        let example = |line: &str| {
            let rest = line.strip_prefix("# ")?;
            rest.split_once(" = ")
                .filter(|(key, _)| !key.contains(' '))?;
            Some(rest.to_owned())
        };
        let lines = packaged.lines();
        let used: Vec<String> = lines
            .map(|line| example(line).unwrap_or_else(|| line.to_owned()))
            // The file with the password is not there.
            .filter(|line| !line.starts_with("default_pass_file"))
            .collect();
        assert!(used.iter().filter(|line| line.contains(" = ")).count() > 10);
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            variable: &|_| None,
            uid: 0,
            default_folder: folder.path(),
        };
        for text in [packaged.to_owned(), used.join("\n")] {
            std::fs::write(folder.path().join("leveret.toml"), text).unwrap();
            let config = Config::load_in(["leveret".into()], &environment).unwrap();
            assert_eq!(config.data_dir, std::path::Path::new("/var/lib/leveret"));
        }
    }
}
