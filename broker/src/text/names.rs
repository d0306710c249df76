//! Names that the server makes up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;

/// What clients are told as the cluster's name and the node's.
pub const NODE_NAME: &str = "leveret@localhost";

/// `prefix` and 22 base64url characters of randomness, as RabbitMQ names queues and consumers.
pub fn server_generated(prefix: &str) -> String {
    let random: [u8; 16] = rand::random();
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random))
}

/// A name without carriage returns and line feeds: RabbitMQ leaves them out of what is declared,
/// deleted and bound, while other methods take names as they are (`rabbit_channel:strip_cr_lf`).
pub fn without_line_ends(name: &str) -> Cow<'_, str> {
    if name.contains(['\r', '\n']) {
        Cow::Owned(name.replace(['\r', '\n'], ""))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_have_rabbitmqs_form() {
        let name = server_generated("amq.gen-");
        assert_eq!(name.len(), "amq.gen-".len() + 22);
        assert_ne!(name, server_generated("amq.gen-"));
    }

    #[test]
    fn line_ends_are_left_out_of_names_and_nothing_else_is() {
        assert_eq!(without_line_ends("\na\r\n b\t"), "a b\t");
        assert!(matches!(without_line_ends("a b"), Cow::Borrowed("a b")));
    }
}
