//! The broker's files are accessible to their owner only.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use leveret_tests::{TestBroker, eventually, run};
use tempfile::TempDir;

/// Returns a directory and everything below it.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory").flatten() {
            found.extend(tree(&entry.path()));
        }
    }
    found
}

/// Returns what others can access below a directory. Files that disappear meanwhile do not count.
fn open_to_others(path: &Path) -> Vec<String> {
    let mode = |path: &PathBuf| Some(fs::symlink_metadata(path).ok()?.permissions().mode() & 0o777);
    tree(path)
        .iter()
        .filter_map(|path| Some((path, mode(path)?)))
        .filter(|(_, mode)| mode & 0o077 != 0)
        .map(|(path, mode)| format!("{mode:o} {}", path.display()))
        .collect()
}

const NOBODY: [String; 0] = [];

/// Creates a data directory with the usual permissions, which everybody may list.
fn open_directory() -> TempDir {
    let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    fs::set_permissions(data.path(), Permissions::from_mode(0o755)).expect("ours");
    data
}

/// Publishes more than fits the memory limit, so that there are backlogs on disk and several segments.
async fn fill(broker: &TestBroker) {
    let client = broker.client().await;
    client.queue("transient").await;
    client.durable_queue("durable").await;
    let channel = client.open_confirming().await;
    for _ in 0..100 {
        channel.put("transient", vec![b'x'; 10_000]).await;
        channel.put_persistent("durable", vec![b'x'; 10_000]).await;
    }
}

#[test]
fn files_sockets_and_directories_are_the_owners_from_the_first_start_on() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let options = ["--queue-memory", "20KiB"];
        let broker = TestBroker::start_in(open_directory(), &options, Vec::new()).await;
        fill(&broker).await;
        let data = broker.data_dir();
        eventually("a backlog on disk", async || {
            let spilled = tree(&data.join("spill")).len() > 1;
            spilled.then_some(())
        })
        .await;
        assert_eq!(open_to_others(data), NOBODY);
        let elsewhere = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let copy = elsewhere.path().join("a/backup");
        broker.ctl(&["backup", copy.to_str().expect("text")]).await;
        assert!(copy.join("store/log").exists());
        assert_eq!(open_to_others(&elsewhere.path().join("a")), NOBODY);
    });
}

#[test]
fn what_an_earlier_version_left_open_is_closed_at_the_start() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        fill(&broker).await;
        broker.stop().await;
        for path in tree(broker.data_dir()) {
            let found = fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode();
            let open = Permissions::from_mode(found | 0o055);
            fs::set_permissions(&path, open).expect("ours");
        }
        assert_ne!(open_to_others(broker.data_dir()), NOBODY);
        broker.start_again().await;
        assert_eq!(open_to_others(broker.data_dir()), NOBODY);
        broker.client().await.counts_become("durable", 100, 0).await;
    });
}

#[test]
fn a_file_of_somebody_else_in_the_data_directory_stays_as_it_is() {
    run(async {
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let mut broker = TestBroker::start_in(open_directory(), &[], Vec::new()).await;
        broker.stop().await;
        let data = broker.data_dir();
        let notes = data.join("notes");
        fs::write(&notes, "").expect("ours");
        for (path, mode) in [(data, 0o755), (&*notes, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        }
        broker.start_again().await;
        let data = broker.data_dir();
        let expected = [
            format!("755 {}", data.display()),
            format!("644 {}", notes.display()),
        ];
        assert_eq!(open_to_others(data), expected);
    });
}
