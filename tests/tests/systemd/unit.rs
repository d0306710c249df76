//! The unit file and its company, looked at by systemd's own tools where they are found.

use std::path::{Path, PathBuf};
use std::process::Command;

use leveret_tests::binaries;
use leveret_tests::tools::{needed, programs};
use tempfile::TempDir;

/// The exposure that `systemd-analyze security` may find, in tenths: of 100 for a service without any restriction.
const EXPOSURE: &str = "20";

fn folder() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().expect("a folder of the workspace");
    root.join("packaging/systemd")
}

fn unit() -> String {
    std::fs::read_to_string(folder().join("leveret.service")).expect("the unit")
}

/// Runs a program, which has to succeed, and returns what it says.
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_hardened() {
    let Some(analyze) = needed("systemd-analyze", programs("systemd-analyze").next()) else {
        return;
    };
    // As it will be installed, except that the program is elsewhere and its manual pages are not there.
    let program = binaries().leveret.display().to_string();
    let unit = unit().replace("/usr/bin/leveret\n", &format!("{program}\n"));
    let lines = unit
        .lines()
        .filter(|line| !line.starts_with("Documentation="));
    let unit = lines.collect::<Vec<_>>().join("\n");
    assert!(unit.contains(&program));
    let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    let file = folder.path().join("leveret.service");
    std::fs::write(&file, unit).expect("written");
    let said = succeeds(Command::new(&analyze).arg("verify").arg(&file));
    assert!(!said.contains("leveret.service"), "{said}");
    let threshold = format!("--threshold={EXPOSURE}");
    let security = ["security", "--no-pager", "--offline=true", &threshold];
    succeeds(Command::new(&analyze).args(security).arg(&file));
}

#[test]
fn the_unit_keeps_its_promises() {
    let unit = unit();
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/leveret",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "User=leveret",
        "StateDirectory=leveret",
        "StateDirectoryMode=0700",
        "RestartPreventExitStatus=64 65 78",
        "WatchdogSec=60",
        "TimeoutStopSec=120",
        "LimitNOFILE=65536",
    ] {
        assert!(unit.lines().any(|each| each == line), "{line}");
    }
    let page = folder().join("../../docs/operate/service.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for promised in ["`TimeoutStopSec=120`", "`WatchdogSec=60`"] {
        assert!(page.contains(promised), "{promised}");
    }
}

#[test]
fn the_user_and_the_directories_are_made() {
    let sysusers = needed("systemd-sysusers", programs("systemd-sysusers").next());
    let tmpfiles = needed("systemd-tmpfiles", programs("systemd-tmpfiles").next());
    let (Some(sysusers), Some(tmpfiles)) = (sysusers, tmpfiles) else {
        return;
    };
    // Only root can give files to another user.
    let id = succeeds(Command::new("id").arg("-u"));
    if id.trim() != "0" {
        eprintln!("skipped: only root can make users");
        return;
    }
    let root = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    std::fs::create_dir(root.path().join("etc")).expect("a folder");
    let at = format!("--root={}", root.path().display());
    let users = folder().join("sysusers.d/leveret.conf");
    succeeds(Command::new(&sysusers).arg(&at).arg(users));
    let passwd = std::fs::read_to_string(root.path().join("etc/passwd")).expect("users");
    assert!(passwd.contains("leveret:"), "{passwd}");
    assert!(
        passwd.contains(":/var/lib/leveret:/usr/sbin/nologin"),
        "{passwd}"
    );
    let directories = folder().join("tmpfiles.d/leveret.conf");
    succeeds(
        Command::new(&tmpfiles)
            .args([&at, "--create"])
            .arg(directories),
    );
    for (path, mode) in [
        ("etc/leveret/conf.d", 0o755),
        ("var/lib/leveret", 0o700),
        ("var/log/leveret", 0o750),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(root.path().join(path)).expect("a directory");
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
    }
}
