//! TLS: certificates and keys, how they are read and reloaded, and what a handshake has agreed on.
