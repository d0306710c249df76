//! Runtime parameters.

use super::Group;

#[rustfmt::skip] // A table reads better as a table.
pub(super) static GROUP: Group = Group {
    heading: "Parameters",
    verbs: &[],
};
