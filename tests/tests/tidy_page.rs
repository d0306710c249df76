//! The style rules of the management page that a machine can check.

use std::path::{Path, PathBuf};

/// The most lines in a file, as for the other sources.
const LONGEST_FILE: usize = 550;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker/page")
}

/// Returns the page's files of a kind and their texts.
fn files(extension: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![page()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the page") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = std::fs::read_to_string(&path).expect("a text");
                files.push((path, text));
            }
        }
    }
    files
}

#[test]
fn every_module_says_what_it_is_about_and_is_short() {
    let modules = files("js");
    assert!(modules.len() > 10, "{} modules only", modules.len());
    for (path, text) in modules {
        let (path, lines) = (path.display(), text.lines().count());
        assert!(
            text.starts_with("// "),
            "{path} does not begin with a sentence"
        );
        assert!(
            lines <= LONGEST_FILE,
            "{path} has {lines} lines: split it by concept"
        );
    }
}

/// Texts of clients never become markup, and the policy for content allows no code from a text.
#[test]
fn nothing_makes_markup_of_texts() {
    let ways = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "createContextualFragment",
        "setHTMLUnsafe",
        "DOMParser",
    ];
    for (path, text) in files("js") {
        for way in ways {
            assert!(!text.contains(way), "{}: {way}", path.display());
        }
    }
}

/// The page asks nobody but its broker.
#[test]
fn nothing_is_fetched_from_elsewhere() {
    for extension in ["js", "css", "html"] {
        for (path, text) in files(extension) {
            let text = text.replace("http://www.w3.org/", "");
            let elsewhere = ["http://", "https://", "url(", "@import"];
            for scheme in elsewhere {
                assert!(!text.contains(scheme), "{}: {scheme}", path.display());
            }
        }
    }
}

#[test]
fn markup_has_no_code_and_no_styles_in_it() {
    for (path, text) in files("html") {
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!text.contains(inline), "{}: {inline}", path.display());
        }
        assert_eq!(
            text.matches("<script").count(),
            text.matches("src=\"page/js/").count()
        );
    }
}
