//! Bytes as Erlang prints them, which RabbitMQ's reply texts quote.

use std::fmt::Write;

/// Formats bytes as Erlang does with `~p`: as a string if every byte is printable.
pub fn erlang_binary(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<<>>".to_owned();
    }
    if bytes.iter().all(|b| (0x20..0x7f).contains(b)) {
        let text = String::from_utf8_lossy(bytes)
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        return format!("<<\"{text}\">>");
    }
    erlang_bytes(bytes)
}

/// Formats bytes as Erlang does with `~w`: as numbers.
pub fn erlang_bytes(bytes: &[u8]) -> String {
    let mut text = "<<".to_owned();
    for (i, byte) in bytes.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{byte}");
    }
    text.push_str(">>");
    text
}
