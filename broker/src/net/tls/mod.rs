//! TLS: certificates and keys, how they are read and reloaded, and what a handshake has agreed on.
//!
//! [`Tls`] is shared by all listeners: each asks it for the configuration in force when it accepts a connection, so that a
//! reload needs no listener to know. [`Encryption`] is what is kept of a handshake.

mod config;
mod encrypted;
mod encryption;
mod error;
mod expiry;
mod failure;
mod files;
mod handle;
mod names;
mod pem_file;
mod selfsigned;
mod settings;
mod sni;
mod suites;
#[cfg(test)]
mod tests;

pub use encryption::{Encryption, PeerCertificate};
pub use error::TlsError;
pub use expiry::{Role, Validity};
pub use failure::handshake_failure;
pub use files::watch;
pub use handle::Tls;
pub use pem_file::PemFile;
pub use selfsigned::{SelfSigned, SelfSignedError, own_hosts};
pub use settings::{LoginFrom, TlsSettings};
pub use suites::{MAC, Suite, VERSIONS};
