//! A layer between a process and its disk, loaded with LD_PRELOAD.
//!
//! Every change to files below one directory is recorded in a trace, in one order over all threads and processes,
//! together with what was synced when; see `trace` for the format. Syncs are recorded and not performed: what a power
//! cut leaves is generated from the trace, and the process runs faster. Calls can be made to fail on demand, see
//! `faults`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `LEVERET_POWER_DIR` | the directory under test; without it the layer only passes calls on |
//! | `LEVERET_POWER_TRACE` | the file that takes the trace; none is written without it |
//! | `LEVERET_POWER_MARKS` | writes to this path become marks in the trace and go nowhere else |
//! | `LEVERET_POWER_FAULTS` | a file that says which calls fail, looked at with each of them |

// The purpose of this crate is to replace functions of libc, whose C interface is unsafe throughout.
#![allow(unsafe_code, non_snake_case, clippy::missing_safety_doc)]

mod calls;
mod faults;
mod state;
mod trace;
