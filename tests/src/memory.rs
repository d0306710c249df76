//! The memory use of a process, read from `/proc`.

use crate::wait::eventually;
use std::fs;
use std::time::Duration;

/// Returns the resident memory of a process in bytes (`VmRSS`); panics if there is no such process.
pub fn resident_bytes(pid: u32) -> u64 {
    status_line(pid, "VmRSS:")
}

/// Returns the resident memory once it has come to rest: what a login or a start has freed is given back a moment later.
pub async fn settled_bytes(pid: u32) -> u64 {
    const LITTLE: u64 = 512 << 10;
    let mut last = resident_bytes(pid);
    eventually("the memory comes to rest", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = resident_bytes(pid);
        let moved = std::mem::replace(&mut last, now).abs_diff(now);
        (moved < LITTLE).then_some(now)
    })
    .await
}

/// Returns the peak resident memory of a process in bytes (`VmHWM`).
pub fn peak_resident_bytes(pid: u32) -> u64 {
    status_line(pid, "VmHWM:")
}

fn status_line(pid: u32, name: &str) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).expect("a running process");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect("a memory line");
    let kibibytes: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number of kB");
    kibibytes * 1024
}
