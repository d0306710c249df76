//! The style rules that a machine can check.

use std::path::{Path, PathBuf};

/// The most lines in a file, which should be readable in one sitting.
const LONGEST_FILE: usize = 550;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = ["protocol", "storage", "broker", "packaging", "tests"]
        .map(|folder| root().join(folder))
        .into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 50, "found {} sources only", sources.len());
    sources
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines: split it by concept",
            path.display()
        );
    }
}

#[test]
fn every_file_says_what_it_is_about() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        let is_test_module = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(
            first.starts_with("//! ") || is_test_module,
            "{} does not begin with a sentence about itself",
            path.display()
        );
    }
}

#[test]
fn no_promise_is_left_open() {
    // Split, so that this file does not match itself.
    let promises = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
    ];
    for (path, text) in sources() {
        for promise in promises {
            assert!(!text.contains(promise), "{}: {promise}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_where_it_is_argued() {
    let argued = [
        "broker/src/plumbing/system/trim.rs",
        "storage/src/sled_sync.rs",
        "tests/power/layer/calls.rs",
        "tests/power/layer/faults.rs",
        "tests/power/layer/lib.rs",
        "tests/power/layer/state.rs",
        "tests/power/layer/trace.rs",
    ];
    // Split, as above.
    let words = [concat!("unsafe", " {"), concat!("unsafe", "_code, reason")];
    for (path, text) in sources() {
        let argued = argued.iter().any(|argued| path.ends_with(argued));
        for word in words {
            assert!(argued || !text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let opening: String = readme.lines().take(20).collect();
    for command in ["cargo run --release", "cargo test --workspace"] {
        assert!(opening.contains(command), "{command}");
    }
}

/// The modules of the broker crate in layers, lowest first. Each may use those below it; modules of the same layer may
/// not use one another.
const LAYERS: [&[&str]; 9] = [
    &["text"],
    &["engine", "config"],
    &["plumbing"],
    &["net"],
    &["domain"],
    &["manage"],
    &["amqp", "client", "control", "http"],
    &["ctl", "perf"],
    &["node"],
];

/// What the clients may use: leveretctl the requests and their wire, leveretperf and the AMQP client of both nothing of
/// the broker but what they need of the system.
const CLIENTS: [(&str, &[&str]); 3] = [
    ("client", &["text", "net"]),
    ("ctl", &["text", "config", "manage", "control", "client"]),
    ("perf", &["text", "plumbing", "client"]),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns whether code of one module may use another.
fn may_use(module: &str, other: &str) -> bool {
    if module == other {
        return true;
    }
    if let Some((_, known)) = CLIENTS.iter().find(|(client, _)| *client == module) {
        return known.contains(&other);
    }
    match (layer(module), layer(other)) {
        (Some(module), Some(other)) => other < module,
        _ => false,
    }
}

/// Returns the files compiled for tests only: the tests of a machine may build a whole broker around it.
fn test_files(sources: &[(PathBuf, String)]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (path, text) in sources {
        let of_folder = path.file_stem().is_some_and(|stem| stem == "mod");
        let folder = match of_folder {
            true => path.parent().expect("a folder").to_owned(),
            false => path.with_extension(""),
        };
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[cfg(test)]"
                && let Some(name) = lines.next().and_then(|line| line.strip_suffix(';'))
                && let Some(name) = name.rsplit_once("mod ").map(|(_, name)| name)
            {
                files.push(folder.join(name));
            }
        }
    }
    files
}

#[test]
fn imports_of_the_broker_go_down() {
    let broker = root().join("broker").join("src");
    let mut sources = sources();
    sources.retain(|(path, _)| path.starts_with(&broker));
    let tests = test_files(&sources);
    let mut modules = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let within = path.strip_prefix(&broker).expect("below");
        let mut parts = within.iter().map(|part| part.to_string_lossy());
        let (Some(module), Some(_)) = (parts.next(), parts.next()) else {
            // `main.rs` and `lib.rs` may use everything.
            continue;
        };
        if module == "bin"
            || tests
                .iter()
                .any(|test| path.with_extension("").starts_with(test))
        {
            continue;
        }
        modules.insert(module.to_string());
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        for line in code
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
        {
            for used in line.split("crate::").skip(1) {
                // A group would hide what follows on the next lines.
                let is_group = used.starts_with('{');
                assert!(!is_group, "{}: one import a line", within.display());
                let end = used.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let other = &used[..end.unwrap_or(used.len())];
                if !may_use(&module, other) {
                    wrong.push(format!("{}: {line}", within.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these imports go up or aside:\n{}",
        wrong.join("\n")
    );
    let known: Vec<&str> = LAYERS.concat();
    for module in modules {
        assert!(known.contains(&module.as_str()), "{module} has no layer");
    }
}

#[test]
fn every_layer_is_on_the_map() {
    let map =
        std::fs::read_to_string(root().join("docs/develop/architecture.md")).expect("the map");
    for module in LAYERS.concat() {
        let path = format!("`broker/src/{module}/`");
        assert!(
            map.contains(&path),
            "architecture.md does not say what is in {path}"
        );
    }
}

#[test]
fn saved_failures_belong_to_a_test() {
    for of_crate in ["broker", "protocol", "storage"] {
        let saved = root().join(of_crate).join("proptest-regressions");
        let mut folders = vec![saved.clone()];
        while let Some(folder) = folders.pop() {
            // A crate need not have any.
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let within = path
                    .strip_prefix(&saved)
                    .expect("below")
                    .with_extension("rs");
                let source = root().join(of_crate).join("src").join(within);
                assert!(source.exists(), "{} is of no test", path.display());
            }
        }
    }
}
