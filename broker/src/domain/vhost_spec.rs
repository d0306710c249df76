//! A virtual host as it was added.

use leveret_protocol::VhostName;

/// The name and description of a virtual host.
#[derive(Clone, Debug)]
pub struct VhostSpec {
    /// The name.
    pub name: VhostName,
    /// The operator's description.
    pub description: String,
    /// The operator's tags.
    pub tags: Vec<String>,
}

impl VhostSpec {
    /// Returns a virtual host with only a name.
    pub fn named(name: &str) -> Self {
        VhostSpec {
            name: name.into(),
            description: String::new(),
            tags: Vec::new(),
        }
    }
}
