//! Properties of the reader: it never panics, its errors are one line, and it reads what was written.

use super::grammar::only_entries;
use super::names::USED;
use super::unused::UNUSED;
use super::*;
use proptest::prelude::*;
use std::fs;

/// Texts like those of files: keys that exist, values that may, and what may stand between.
fn lines() -> impl Strategy<Value = String> {
    let patterns: Vec<&str> = USED
        .iter()
        .map(|(pattern, _)| *pattern)
        .chain(UNUSED.iter().map(|(pattern, _)| *pattern))
        .collect();
    let key = (prop::sample::select(patterns), "[a-z0-9]{1,3}");
    let key = key.prop_map(|(pattern, name)| pattern.replace("**", &name).replace('*', &name));
    let value = prop_oneof![
        "[0-9]{1,11}",
        "(true|false|none|infinity|verify_peer|tlsv1.2|internal|guest)",
        "[0-9.:]{1,12}",
        "[0-9]{1,20}[kKmMgGtT]?i?[bB]?",
        "\\$\\([a-z_.]{1,12}\\)",
        "/[a-z/.]{0,12}",
        "\\PC{0,20}",
        "'\\PC{0,12}'",
        "encrypted:[a-z]{1,5}",
    ];
    let line = prop_oneof![
        8 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => "\\PC{0,30}",
        1 => "[ \t]*#\\PC{0,10}",
        1 => "include [a-z*./]{1,10}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

/// Reads a text, and checks what an error looks like.
fn read_text(text: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rabbitmq.conf");
    fs::write(&path, text).unwrap();
    match super::read(std::slice::from_ref(&path)) {
        Ok((settings, notes)) => {
            prop_assert!(settings.check().is_ok());
            for note in notes {
                prop_assert!(!note.to_string().trim().contains('\n'));
            }
        }
        Err(error) => {
            let shown =
                crate::text::escape::escaped(&error.to_string(), crate::text::escape::Form::Line)
                    .into_owned();
            prop_assert!(
                !shown.contains('\n') && shown.starts_with("config file "),
                "{}",
                shown
            );
        }
    }
    Ok(())
}

/// A key and a value that can be written.
fn pair() -> impl Strategy<Value = (String, String)> {
    let key = prop::collection::vec("[a-zA-Z0-9_-]{1,6}(\\\\\\.[a-z]{1,3})?", 1..4);
    let value = "[^'\r\n\u{feff}][^'\r\n]{0,20}";
    (key.prop_map(|parts| parts.join(".")), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        read_text(&text)?;
    }

    #[test]
    fn likely_text_is_read_or_refused(text in lines()) {
        read_text(&text)?;
    }

    #[test]
    fn what_was_written_is_read(pairs in prop::collection::vec(pair(), 0..8), crlf in any::<bool>(), comments in any::<bool>()) {
        let mut text = String::new();
        for (key, value) in &pairs {
            let comment = if comments { " # a comment" } else { "" };
            let end = if crlf { "\r\n" } else { "\n" };
            text.push_str(&format!("  {key}  =\t'{value}'{comment}{end}"));
        }
        prop_assert_eq!(only_entries(&text), Ok(pairs));
    }

    #[test]
    fn what_is_imported_is_read_alike(text in lines()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rabbitmq.conf");
        fs::write(&path, text).unwrap();
        if let Ok((settings, _)) = super::read(std::slice::from_ref(&path)) {
            let imported = import::Imported::read(&path, false).unwrap();
            let file = folder.path().join("leveret.toml");
            imported.save(&file).unwrap();
            let ours = crate::config::file::read(&file);
            let ours = ours.unwrap_or_else(|error| panic!("{error}\n{}", imported.text));
            prop_assert_eq!(format!("{:?}", ours), format!("{:?}", settings), "{}", imported.text);
        }
    }
}
