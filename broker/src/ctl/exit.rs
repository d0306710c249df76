//! The exit statuses: rabbitmqctl's, which are those of sysexits.h.

/// Success.
pub const OK: u8 = 0;
/// An unknown verb, option, argument or column; also when `delete_queue` is refused.
pub const USAGE: u8 = 64;
/// An invalid argument: a virtual host, a password.
pub const DATA: u8 = 65;
/// The user does not exist.
pub const NO_USER: u8 = 67;
/// The broker cannot be reached, or the object does not exist.
pub const UNAVAILABLE: u8 = 69;
/// The user already exists, or the broker failed.
pub const SOFTWARE: u8 = 70;
/// The output cannot be written.
pub const IO: u8 = 74;
/// The operation timed out.
pub const TIMED_OUT: u8 = 75;
