//! The log: where it is, its latest lines, its level.

use super::Group;

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Logs",
    verbs: &[],
};
