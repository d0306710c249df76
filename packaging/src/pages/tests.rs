use super::*;
use std::path::PathBuf;
use std::process::Command as Program;

fn page(name: &str) -> String {
    let mut pages = all().into_iter();
    pages.find(|(other, _)| *other == name).unwrap().1
}

/// Roff writes a hyphen that is to stay one with a backslash.
fn plain(page: &str) -> String {
    page.replace('\\', "")
}

#[test]
fn every_verb_has_its_line() {
    let page = plain(&page("leveretctl.8"));
    for theme in manual::themes() {
        for verb in theme.verbs {
            assert!(
                page.contains(&format!("\nfB{}fR", verb.name)),
                "{}",
                verb.name
            );
            assert!(page.contains(verb.summary), "{}", verb.name);
        }
    }
}

#[test]
fn every_setting_and_every_command_has_its_line() {
    let file = plain(&page("leveret.toml.5"));
    for (_, settings) in settings::by_heading() {
        for setting in settings {
            assert!(
                file.contains(&format!("\nfB{}fR", setting.key)),
                "{}",
                setting.key
            );
        }
    }
    let broker = plain(&page("leveret.8"));
    for command in ["check", "repair", "backup", "tls selfsigned"] {
        assert!(broker.contains(&format!("\nfB{command}fR")), "{command}");
    }
}

/// Runs a program that reads manual pages, if it is installed.
fn complaints(program: &str, words: &[&str], file: &PathBuf) -> Option<String> {
    let output = Program::new(program).args(words).arg(file).output();
    let output = match output {
        Ok(output) => output,
        Err(_) if std::env::var_os("LEVERET_TEST_INSIST").is_some() => {
            panic!("{program} is not found")
        }
        Err(_) => {
            eprintln!("skipped: {program} is not found");
            return None;
        }
    };
    let printed = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&printed).into_owned())
}

#[test]
fn programs_that_show_manuals_have_no_complaints() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in all() {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        // -z: nothing but complaints.
        let found = complaints("groff", &["-Kutf8", "-man", "-ww", "-z", "-Tutf8"], &file);
        assert_eq!(found.unwrap_or_default(), "", "groff on {name}");
        let found = complaints("mandoc", &["-Tlint", "-Wwarning"], &file).unwrap_or_default();
        assert_eq!(found, "", "mandoc on {name}");
    }
}
