//! What quorum queues tell their clients.

use crate::engine::queue::Entry;
use crate::engine::stream::with_long;
use std::borrow::Cow;

/// The header with the number of failed deliveries of a message.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// The header with the number of times that it was delivered and came back.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// Returns the properties to deliver a message with: its own, plus how often it came back, if its
/// queue counts that.
pub(super) fn properties(entry: &Entry) -> Cow<'_, [u8]> {
    let properties = entry.message.properties();
    let returns = entry.returns();
    if returns.is_zero() {
        return properties.into();
    }
    let properties = with_long(properties, ACQUIRED_COUNT, returns.all().into());
    match returns.failed {
        0 => properties.into(),
        failed => with_long(&properties, DELIVERY_COUNT, failed.into()).into(),
    }
}
