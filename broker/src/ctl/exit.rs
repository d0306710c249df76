//! The exit statuses, as sysexits.h numbers them and rabbitmqctl uses them.

/// Done.
pub const OK: u8 = 0;
/// A verb, option, argument or column that does not exist; `delete_queue` refused.
pub const USAGE: u8 = 64;
/// An argument that names nothing valid: a virtual host, a password.
pub const DATA: u8 = 65;
/// No such user.
pub const NO_USER: u8 = 67;
/// The broker cannot be reached, or what was asked for is not there.
pub const UNAVAILABLE: u8 = 69;
/// The user exists already, or something failed.
pub const SOFTWARE: u8 = 70;
/// The output cannot be written.
pub const IO: u8 = 74;
/// Out of time.
pub const TIMED_OUT: u8 = 75;
