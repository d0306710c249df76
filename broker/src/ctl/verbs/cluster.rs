//! Clusters and replicas, of which one broker has none.

use super::Group;

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Cluster",
    verbs: &[],
};
