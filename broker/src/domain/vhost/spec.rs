//! A virtual host as it was added, and changes to it.

use crate::domain::auth::tags;
use crate::engine::queue::QueueKind;
use crate::text::names::{NameTooLong, check_length};
use leveret_protocol::VhostName;
use serde::{Deserialize, Serialize};

/// The name of a virtual host, and what operators say about it.
#[derive(Clone, Debug)]
pub struct VhostSpec {
    /// The name.
    pub name: VhostName,
    /// What operators may change.
    pub metadata: VhostMetadata,
}

impl VhostSpec {
    /// Returns a new virtual host with only a name.
    ///
    /// # Errors
    /// When the name is too long.
    pub fn new(name: &str) -> Result<Self, NameTooLong> {
        check_length("name of the virtual host", name)?;
        Ok(VhostSpec::named(name))
    }

    /// Returns a virtual host with only a name, which has a valid length.
    pub fn named(name: &str) -> Self {
        VhostSpec {
            name: name.into(),
            metadata: VhostMetadata::default(),
        }
    }
}

/// What operators say about a virtual host, with RabbitMQ's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VhostMetadata {
    /// The operator's description.
    pub description: String,
    /// The operator's tags.
    #[serde(deserialize_with = "tags::deserialize")]
    pub tags: Vec<String>,
    /// The type of queues that are declared without `x-queue-type`; classic if it was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<QueueKind>,
    /// Whether deleting the virtual host is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protected_from_deletion: bool,
}

/// A change of a virtual host; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostUpdate {
    /// The new description.
    pub description: Option<String>,
    /// The new tags, instead of all old ones.
    pub tags: Option<Vec<String>>,
    /// The new default type of queues; queues that exist stay as they are.
    pub default_queue_type: Option<QueueKind>,
    /// Whether to refuse its deletion.
    pub protected_from_deletion: Option<bool>,
}

impl VhostMetadata {
    /// Returns the metadata after a change.
    pub fn updated(&self, update: VhostUpdate) -> Self {
        VhostMetadata {
            description: update
                .description
                .unwrap_or_else(|| self.description.clone()),
            tags: update.tags.unwrap_or_else(|| self.tags.clone()),
            default_queue_type: update.default_queue_type.or(self.default_queue_type),
            protected_from_deletion: update
                .protected_from_deletion
                .unwrap_or(self.protected_from_deletion),
        }
    }

    /// Returns the type that is added to a declaration without `x-queue-type`. Queues that quorum queues and
    /// streams cannot be, those that end with their connection or last consumer or are not durable, are classic
    /// (`rabbit_amqqueue:update_args_table_with_queue_type`).
    pub fn queue_type_for(
        &self,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
    ) -> Option<QueueKind> {
        let lasting = durable && !exclusive && !auto_delete;
        let kind = self.default_queue_type?;
        Some(if lasting { kind } else { QueueKind::Classic })
    }
}

/// Why a virtual host was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VhostDeletionError {
    /// It does not exist.
    #[error("Virtual host does not exist")]
    NoSuchVhost,
    /// Its metadata protects it.
    #[error(
        "Cannot delete this virtual host: it is protected from deletion. To lift the protection, inspect and update its \
         metadata"
    )]
    Protected,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_changes_what_it_names() {
        let old = VhostMetadata {
            description: "d".to_owned(),
            tags: vec!["t".to_owned()],
            default_queue_type: Some(QueueKind::Quorum),
            protected_from_deletion: true,
        };
        assert_eq!(old.updated(VhostUpdate::default()), old);
        let new = old.updated(VhostUpdate {
            description: Some(String::new()),
            tags: Some(Vec::new()),
            default_queue_type: Some(QueueKind::Classic),
            protected_from_deletion: Some(false),
        });
        let expected = VhostMetadata {
            default_queue_type: Some(QueueKind::Classic),
            ..VhostMetadata::default()
        };
        assert_eq!(new, expected);
    }

    #[test]
    fn a_queue_that_does_not_last_is_classic() {
        let metadata = VhostMetadata {
            default_queue_type: Some(QueueKind::Quorum),
            ..VhostMetadata::default()
        };
        let kind = |durable, exclusive, auto_delete| {
            metadata.queue_type_for(durable, exclusive, auto_delete)
        };
        assert_eq!(kind(true, false, false), Some(QueueKind::Quorum));
        for (durable, exclusive, auto_delete) in [
            (false, false, false),
            (true, true, false),
            (true, false, true),
        ] {
            let kind = kind(durable, exclusive, auto_delete);
            assert_eq!(kind, Some(QueueKind::Classic));
        }
        let none = VhostMetadata::default();
        assert_eq!(none.queue_type_for(true, false, false), None);
    }
}
