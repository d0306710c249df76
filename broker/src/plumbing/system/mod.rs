//! What the system reports about this process and its machine.
//!
//! What follows from a figure does not belong here.

mod memory;
mod trim;

pub use memory::total_memory;
pub use trim::trim_heap;

use std::time::Duration;

/// Returns the resident memory in bytes; 0 if the system does not tell.
pub fn resident_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Returns the number of open file descriptors and their limit.
pub fn file_descriptors() -> (u64, u64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    (open, file_limit())
}

/// Returns how many file descriptors this process may have.
pub fn file_limit() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.unwrap_or(u64::MAX)
}

/// Raises the file descriptor limit of this process to the maximum that an administrator allows:
/// shells and services usually start processes with less, for the sake of programs that count on
/// it. Returns the limit.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Some systems allow less than they claim; then the current limit has to do.
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::debug!(%error, "cannot raise the file descriptor limit");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the number of client sockets allowed for this file descriptor limit: the store and
/// everything else needs some (RabbitMQ 3: `file_handle_cache:obtain_limit`).
pub fn socket_limit(file_limit: u64) -> u64 {
    (file_limit.saturating_sub(100) / 10 * 9).max(1)
}

/// Returns the processor time that this process has used.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
