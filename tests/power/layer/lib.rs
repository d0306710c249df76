//! A layer between a process and its disk, loaded with LD_PRELOAD.
//!
//! Every change to files below one directory goes into a trace, in one order over all threads and processes, together
//! with what was synced when; see `trace` for its form. Syncs are noted and not done: what a power cut leaves is made
//! from the trace, and the process runs the faster. Calls can be made to fail on demand, see `faults`.
//!
//! | variable | what |
//! | --- | --- |
//! | `LEVERET_POWER_DIR` | the directory under test; without it the layer only passes calls on |
//! | `LEVERET_POWER_TRACE` | the file that takes the trace; none is written without it |
//! | `LEVERET_POWER_MARKS` | writes to this path become marks in the trace and go nowhere else |
//! | `LEVERET_POWER_FAULTS` | a file that says which calls fail, looked at with each of them |

// Standing in for functions of libc is what this crate is for: their C interface is unsafe through and through.
#![allow(unsafe_code, non_snake_case, clippy::missing_safety_doc)]

mod calls;
mod faults;
mod state;
mod trace;
