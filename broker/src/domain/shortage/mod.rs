//! What the broker does when memory or the disk is short: it looks, tells those who hold something, keeps publishers
//! waiting, and closes whoever keeps most.

mod evict;
mod watch;

pub use watch::{check, watch};
