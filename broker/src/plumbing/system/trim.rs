//! Returning freed memory to the system.
//!
//! The broker's allocator is jemalloc (see `main.rs`), which returns memory by itself when it has been free for a
//! while. The memory alarm compares resident memory with its watermark, and cannot wait for that.

/// Returns freed memory to the system immediately; returns whether the allocator supports it. Takes some milliseconds
/// per 100 MB freed.
#[cfg(not(target_env = "msvc"))]
#[allow(unsafe_code, reason = "argued below; no safe interface exists")]
pub fn trim_heap() -> bool {
    use std::ptr;
    // 4096 stands for all arenas (jemalloc(3): MALLCTL_ARENAS_ALL).
    let name = c"arena.4096.purge";
    // SAFETY: the name ends with a zero, and this setting is neither read nor written, so all other
    // pointers are null (jemalloc(3)). It may be called by any thread at any time, and touches
    // nothing but free memory of jemalloc's; a process with another allocator has none.
    let result = unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
        )
    };
    result == 0
}

/// Returns freed memory to the system immediately; returns whether the allocator supports it.
#[cfg(target_env = "msvc")]
pub fn trim_heap() -> bool {
    false
}
