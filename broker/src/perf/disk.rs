//! Measures how long writing a body to disk takes: the minimum latency of a confirm for a
//! persistent message.

use super::meter::{Shared, now};
use super::options::Load;
use super::progress::Progress;
use super::summary::{Rate, Summary};
use crate::client::interrupt::interrupted;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The largest size of the file in bytes, after which it is rewritten from the start.
const MAX_FILE_SIZE: u64 = 64 << 20;

/// A file that is removed when the run ends, however it ends.
struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        // If it cannot be removed, nothing can be done about it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Appends bodies to a file, each synced before the next.
pub(super) fn run(load: &Load) -> io::Result<Summary> {
    let (shared, mut progress) = (Shared::default(), Progress::new(load)?);
    let name = format!("leveretperf-disk-{}", std::process::id());
    let path = TempFile(load.dir.join(name));
    let open = || {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path.0)
            .map_err(|error| crate::client::with_context(&path.0.display().to_string(), &error))?;
        if load.preallocate {
            file.set_len(MAX_FILE_SIZE)?;
            file.sync_all()?;
        }
        Ok::<_, io::Error>(file)
    };
    let body: Vec<u8> = (0..load.size).map(|i| (i * 31 + 7) as u8).collect();
    let (mut file, mut written) = (open()?, 0);
    progress.begin();
    let started = Instant::now();
    let (limit, max) = (load.time_limit(), load.pmessages.unwrap_or(u64::MAX));
    let mut count = 0;
    while count < max && !interrupted() {
        if limit.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit) {
            break;
        }
        if written + body.len() as u64 > MAX_FILE_SIZE {
            (file, written) = (open()?, 0);
        }
        let began = now();
        file.write_all(&body)?;
        file.sync_data()?;
        shared.latency.record(&[(now() - began, 1)]);
        shared.cycles.fetch_add(1, Ordering::Relaxed);
        written += body.len() as u64;
        count += 1;
        progress.tick(&shared)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Summary::new(load.mode, &shared)
        .with("synced", count, Rate::Over(seconds))
        .lasted(seconds))
}
