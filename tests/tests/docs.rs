//! Compares what README and docs say with the program, where a machine can.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use leveret_tests::{Process, binaries, broker_command, isolate, run};
use regex::Regex;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("a folder of the workspace")
        .to_owned()
}

fn page(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns all documentation pages, by their path from the root.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "packaging/README.md",
        "tests/README.md",
    ]
    .map(str::to_owned)
    .into();
    for folder in [
        "docs",
        "docs/operate",
        "docs/develop",
        "docs/develop/performance",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("a name");
            if name.ends_with(".md") {
                names.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(names.len() > 12, "{names:?}");
    let with_text = |name: String| (name.clone(), page(&name));
    names.into_iter().map(with_text).collect()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// Returns the cells of a table row.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').replace("\\|", "\u{1}");
    let row = row.strip_suffix('|').unwrap_or(&row);
    let cell = |cell: &str| cell.trim().replace('\u{1}', "|");
    row.split('|').map(cell).collect()
}

/// Returns the table rows in a section of a page, including its subsections. Every table begins with its heading and
/// `---`.
fn rows(page: &str, section: &str) -> Vec<Vec<String>> {
    let level = section.chars().take_while(|&c| c == '#').count();
    let mut lines = page.lines().skip_while(|line| *line != section).skip(1);
    let mut found = Vec::new();
    for line in &mut lines {
        let depth = line.chars().take_while(|&c| c == '#').count();
        if depth > 0 && depth <= level {
            break;
        }
        if line.starts_with('|') {
            found.push(cells(line));
        }
    }
    assert!(!found.is_empty(), "no table under {section}");
    found
}

/// Returns the texts between backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn printed(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn links_lead_somewhere() {
    let link = regex(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)");
    let mut broken = Vec::new();
    for (name, text) in pages() {
        let folder = root().join(&name).parent().expect("a folder").to_owned();
        for found in link.captures_iter(&text) {
            if found[1].contains("://") {
                continue;
            }
            let to = match &found[1] {
                "" => root().join(&name),
                path => folder.join(path),
            };
            if !to.exists() {
                broken.push(format!("{name}: {}", &found[1]));
            } else if let Some(anchor) = found.get(2) {
                let text = std::fs::read_to_string(&to).expect("a page");
                if !anchors(&text).contains(anchor.as_str()) {
                    broken.push(format!("{name}: {}", &found[0]));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Returns the anchors of a page's headings, as code forges make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn rows_have_as_many_cells_as_their_heading() {
    let mut broken = Vec::new();
    for (name, text) in pages() {
        let mut columns = None;
        for line in text.lines() {
            if !line.starts_with('|') {
                columns = None;
                continue;
            }
            let count = cells(line).len();
            if *columns.get_or_insert(count) != count {
                broken.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn files_that_are_named_are_there() {
    let path = regex(r"(?:^|[^\w/])((?:broker|storage|protocol|tests|benches|docs)/[\w./-]*\w)");
    let mut missing = Vec::new();
    for (name, text) in pages() {
        for found in path.captures_iter(&text) {
            let path = &found[1];
            // A folder of pika's.
            if !root().join(path).exists() && path != "tests/acceptance" {
                missing.push(format!("{name}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Returns a log line without what differs from run to run.
fn shape(line: &str) -> String {
    let line = regex(r"^\S+Z +").replace(line, "");
    regex(r"=\S+").replace_all(&line, "=").into_owned()
}

#[test]
fn the_readme_shows_the_log_of_a_first_start() {
    run(async {
        let readme = page("README.md");
        let shown = readme
            .split("$ cargo run --release\n2")
            .nth(1)
            .expect("the log");
        let shown: Vec<String> = format!("2{shown}")
            .lines()
            .take_while(|line| *line != "```")
            .map(shape)
            .collect();
        let data = tempfile::TempDir::new().expect("a temporary directory");
        let mut command = broker_command();
        command.args(["--port", "0", "--data-dir"]).arg(data.path());
        let mut process = Process::start("leveret", &mut command);
        let ready = |line: &str| line.contains("ready").then_some(());
        process.line("the ready line", ready).await;
        let told: Vec<String> = process.lines().iter().map(|line| shape(line)).collect();
        assert_eq!(shown, told);
    });
}

/// Returns the default of each setting in `leveret --help`, by the name of its key.
fn defaults() -> BTreeMap<String, String> {
    let help = printed(broker_command().arg("--help"));
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let option = regex(r"--([a-z0-9-]+) <[^>]+> ");
    let default = regex(r"\[default: ([^\]]+)\]");
    let mut defaults = BTreeMap::new();
    for found in option.captures_iter(&help) {
        // Only what is said of this one: some have no default.
        let said = &help[found.get(0).expect("a match").end()..];
        let said = &said[..option.find(said).map_or(said.len(), |next| next.start())];
        if let Some(default) = default.captures(said) {
            defaults.insert(found[1].replace('-', "_"), default[1].to_owned());
        }
    }
    assert!(defaults.len() > 15, "{defaults:?}");
    defaults
}

/// Returns the options of `leveret --help` that are settings, by the names of their keys.
fn settings() -> BTreeSet<String> {
    let help = printed(broker_command().arg("--help"));
    let option = regex(r"(?m)^ +(?:-\w, )?--([a-z0-9-]+) <");
    let options = option.captures_iter(&help);
    let mut keys: BTreeSet<String> = options.map(|found| found[1].replace('-', "_")).collect();
    // The file that has the settings, and which cannot name another.
    assert!(keys.remove("config"), "{keys:?}");
    keys
}

#[test]
fn every_setting_is_described_with_its_default() {
    let page = page("docs/operate/configure.md");
    let defaults = defaults();
    let squeezed = |text: &str| text.replace([' ', '`'], "");
    let mut described = BTreeSet::new();
    for row in of_tables(&rows(&page, "## Settings"), "setting") {
        let keys = code(&row[0]);
        let said: Vec<&str> = match keys.len() {
            1 => vec![&*row[1]],
            _ => row[1].split(", ").collect(),
        };
        assert_eq!(keys.len(), said.len(), "{row:?}");
        for (key, said) in keys.into_iter().zip(said) {
            if !key.ends_with("_pass") {
                let is = defaults.get(key).unwrap_or_else(|| panic!("{key}"));
                assert!(
                    squeezed(is).starts_with(&squeezed(said)),
                    "{key}: {said}, not {is}"
                );
                described.insert(key.to_owned());
            }
        }
    }
    assert_eq!(described, settings());
}

#[test]
fn defaults_are_those_of_the_program() {
    let defaults = defaults();
    let squeezed = |text: &str| text.replace(' ', "");
    for row in rows(&page("README.md"), "## Configuration") {
        let [flag, variable, key, default, _] = &row[..] else {
            panic!("{row:?}");
        };
        let (flag, variable, key) = (code(flag), code(variable), code(key));
        let [key] = key[..] else { continue };
        assert_eq!(flag, [format!("--{}", key.replace('_', "-"))]);
        assert_eq!(variable, [format!("LEVERET_{}", key.to_uppercase())]);
        for said in code(default) {
            let is = defaults.get(key).unwrap_or_else(|| panic!("{key}"));
            assert!(is.contains(said), "{key}: {said}, not {is}");
        }
    }
    let limits = page("docs/operate/limits.md");
    let tables = ["## Memory and disk alarms", "## Limits"].map(|section| rows(&limits, section));
    let mut compared = 0;
    for row in tables.iter().flatten() {
        let [setting] = code(&row[0])[..] else {
            continue;
        };
        let Some(is) = defaults.get(setting) else {
            continue;
        };
        let said = &row[row.len() - 2];
        let said = said
            .split([';', '('])
            .next()
            .expect("a part")
            .replace('`', "");
        assert_eq!(squeezed(&said), squeezed(is), "{setting}");
        compared += 1;
    }
    assert!(compared >= 8, "{compared} settings are compared");
    // Elsewhere a default is next to the name of its setting.
    let beside = regex(r"(\d+ [KMG]iB)[^|`]{0,20}\(`([a-z_]+)`\)|`([a-z_]+)` \((\d+ [KMG]iB)");
    for (name, text) in pages() {
        for found in beside.captures_iter(&text) {
            let group = |one: usize, other: usize| found.get(one).or(found.get(other));
            let setting = group(2, 3).expect("a name").as_str();
            let said = group(1, 4).expect("a size").as_str();
            let is = defaults.get(setting).map(|is| squeezed(is));
            assert_eq!(is, Some(squeezed(said)), "{name}: {setting}");
        }
    }
}

/// Returns the rows of tables whose first column has this name.
fn of_tables(rows: &[Vec<String>], column: &str) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    let mut is_one = false;
    for (at, row) in rows.iter().enumerate() {
        if rows.get(at + 1).is_some_and(|next| next[0] == "---") {
            is_one = row[0] == column;
        } else if is_one && row[0] != "---" {
            kept.push(row.clone());
        }
    }
    assert!(!kept.is_empty(), "no table with a column {column}");
    kept
}

fn leveretctl(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(&binaries().leveretctl);
    isolate(&mut command);
    command.arg("--data-dir").arg("/nowhere").args(arguments);
    let output = command.output().expect("leveretctl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn leveretctls_verbs_are_all_described_and_no_others() {
    let page = page("docs/operate/leveretctl.md");
    let (_, listed) = leveretctl(&["help", "--list-commands"]);
    let listed: BTreeSet<&str> = listed.split_whitespace().collect();
    let of_section = |heading: &str| -> BTreeSet<String> {
        let table = of_tables(&rows(&page, heading), "verb");
        let verbs = table.iter().flat_map(|row| code(&row[0]));
        let verbs = verbs.filter_map(|verb| verb.split([' ', '[']).next());
        verbs.map(str::to_owned).collect()
    };
    let all = of_section("## All verbs");
    assert!(
        all.iter().map(String::as_str).eq(listed.iter().copied()),
        "{all:?}"
    );
    let explained = of_section("## Verbs");
    assert!(explained.is_subset(&all), "{explained:?}");
    let listings = of_tables(&rows(&page, "### Listing and monitoring"), "verb");
    for row in listings.iter().filter(|row| row.len() == 3) {
        for verb in code(&row[0]) {
            let (_, help) = leveretctl(&["help", verb.split(' ').next().expect("a verb")]);
            let columns = help
                .lines()
                .find_map(|line| line.trim().strip_prefix("must be one of "));
            let columns = columns.map(|columns| columns.replace(", ", " "));
            let known = ["fixed", "the same", "these and activity_status"];
            if !known.contains(&row[2].as_str()) {
                assert_eq!(columns.as_ref(), Some(&row[2]), "{verb}");
            }
        }
    }
}

/// Checks that the options are known: the program then tries to connect to a broker that does not exist.
#[test]
fn leveretperfs_command_lines_are_understood() {
    let commands =
        regex(r"(?m)^\$ leveretperf (-.*|[a-z].*)$|`leveretperf (-[^`]*|[a-z-]+churn[^`]*)`");
    let mut tried = 0;
    for (name, text) in pages() {
        // Skips results, some of which have a letter in place of a number.
        for found in commands.captures_iter(&text) {
            let line = found.get(1).or(found.get(2)).expect("arguments").as_str();
            let line = line.split(" #").next().expect("a part");
            let line = line
                .replace("--backlog N", "--backlog 1")
                .replace("...", "");
            if line.contains("--help") || line.contains("--uri") {
                continue;
            }
            let mut command = Command::new(&binaries().leveretperf);
            isolate(&mut command);
            command
                .args(line.split_whitespace())
                .args(["--address", "127.0.0.1:1"]);
            let output = command.output().expect("leveretperf runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{name}: {line}: {said}");
            assert!(said.contains("cannot connect"), "{name}: {line}: {said}");
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried} command lines");
}
