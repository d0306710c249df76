//! What packages contain, compared with the service, the image and the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("a folder of the workspace")
        .to_owned()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// Returns the files of a package by their paths in the system, with where each comes from.
fn files(pattern: &str) -> BTreeMap<String, String> {
    let manifest = text("packaging/Cargo.toml");
    let mut files = BTreeMap::new();
    for found in regex(pattern).captures_iter(&manifest) {
        let (source, place) = (found[1].to_owned(), found[2].trim_start_matches('/'));
        let name = Path::new(&source).file_name().expect("a file");
        let path = match place.ends_with('/') {
            true => format!("/{place}{}", name.to_str().expect("a name")),
            false => format!("/{place}"),
        };
        assert!(files.insert(path.clone(), source).is_none(), "{path} twice");
    }
    assert!(files.len() > 20, "{files:?}");
    files
}

fn deb() -> BTreeMap<String, String> {
    files(r#"(?m)^    \["([^"]+)", "([^"]+)", "\d+"\],$"#)
}

fn rpm() -> BTreeMap<String, String> {
    files(r#"\{ source = "([^"]+)", dest = "([^"]+)""#)
}

#[test]
fn both_packages_have_the_same_files() {
    // Each system has its own place for some; both pack manual pages.
    let same = |path: &str| {
        let path = path.strip_suffix(".gz").unwrap_or(path);
        path.replace("/zsh/site-functions/", "/zsh/vendor-completions/")
    };
    let own = |path: &String| path.contains("/lintian/") || path.contains("/licenses/");
    let all = |files: BTreeMap<String, String>| -> BTreeSet<String> {
        let paths = files.into_keys().filter(|path| !own(path));
        paths.map(|path| same(&path)).collect()
    };
    assert_eq!(all(deb()), all(rpm()));
}

#[test]
fn what_packages_contain_is_there_or_is_built() {
    for (path, source) in deb().into_iter().chain(rpm()) {
        let is_built = source.trim_start_matches("../").starts_with("target/");
        let is_there = root().join("packaging").join(&source).is_file();
        assert!(
            is_built || is_there,
            "{path} comes from {source}, which is not there"
        );
    }
}

#[test]
fn the_service_and_the_pages_name_paths_that_packages_have() {
    let packaged: BTreeSet<String> = deb().into_keys().collect();
    let has = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        packaged
            .iter()
            .any(|one| one == path || one.starts_with(&folder))
    };
    // Paths below /etc/leveret may be a person's own, such as certificates.
    let named = regex(
        r"(?:/usr/(?:bin|lib/systemd|lib/sysusers\.d|lib/tmpfiles\.d)|/etc/leveret)/[\w./-]*\w",
    );
    let own = |path: &str| {
        let name = path.strip_prefix("/etc/leveret/").unwrap_or_default();
        !matches!(name, "" | "leveret.toml" | "conf.d")
    };
    let mut count = 0;
    for page in [
        "packaging/systemd/leveret.service",
        "packaging/systemd/sysusers.d/leveret.conf",
        "packaging/systemd/tmpfiles.d/leveret.conf",
        "packaging/README.md",
        "docs/operate/install.md",
    ] {
        for found in named.find_iter(&text(page)) {
            let path = found.as_str();
            // Other programs of the system are none of the package's.
            let of_the_system = path.starts_with("/usr/bin/") && !path.contains("leveret");
            if !own(path) && !of_the_system {
                count += 1;
                assert!(has(path), "{page} names {path}, which packages do not have");
            }
        }
    }
    assert!(count > 3, "found {count} paths only");
}

#[test]
fn settings_of_the_package_are_kept_in_an_upgrade() {
    let manifest = text("packaging/Cargo.toml");
    for path in deb().keys().filter(|path| path.starts_with("/etc/")) {
        let kept = regex(&format!(r#"conf-files = \[[^\]]*"{path}""#));
        assert!(
            kept.is_match(&manifest),
            "{path} is no conffile of the .deb"
        );
        let kept = regex(&format!(r#"dest = "{path}"[^}}]*config = "noreplace""#));
        assert!(kept.is_match(&manifest), "{path} is replaced by the .rpm");
    }
}

#[test]
fn every_page_of_the_manual_and_every_completion_is_packaged() {
    let packaged: BTreeSet<String> = deb()
        .into_values()
        .filter_map(|source| Some(source.strip_prefix("../target/packaging/")?.to_owned()))
        .collect();
    let pages = regex(r#"\("(leveret[\w.]*\.\d)", "#);
    let written: BTreeSet<String> = pages
        .captures_iter(&text("packaging/src/pages.rs"))
        .map(|found| format!("man/{}", &found[1]))
        .chain(
            ["leveret", "leveretctl", "leveretperf"]
                .into_iter()
                .flat_map(|program| {
                    [
                        format!("completions/{program}.bash"),
                        format!("completions/_{program}"),
                        format!("completions/{program}.fish"),
                    ]
                }),
        )
        .collect();
    assert_eq!(packaged, written);
}

#[test]
fn the_image_has_all_tools_and_ports() {
    let image = text("packaging/Containerfile");
    for tool in [
        "rabbitmqctl",
        "rabbitmq-diagnostics",
        "rabbitmq-queues",
        "rabbitmq-streams",
        "rabbitmq-plugins",
        "rabbitmq-upgrade",
    ] {
        assert!(image.contains(tool), "{tool}");
    }
    for port in [5672, 5671, 15672, 15692] {
        assert!(
            regex(&format!(r"EXPOSE [\d ]*\b{port}\b")).is_match(&image),
            "{port}"
        );
    }
    // Each setting that it makes exists.
    let page = text("docs/operate/configure.md");
    for found in regex(r"LEVERET_([A-Z_]+)=").captures_iter(&image) {
        let key = found[1].to_lowercase();
        assert!(
            matches!(&*key, "config" | "commit") || page.contains(&format!("`{key}`")),
            "{key}"
        );
    }
}
