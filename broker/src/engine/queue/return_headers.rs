//! What clients are told about how often a message came back to its queue.

use super::entry::Entry;
use crate::engine::stream::with_long;
use std::borrow::Cow;

/// The header with the number of failed deliveries of a message.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// The header with the number of times that it was delivered and came back.
const ACQUIRED_COUNT: &str = "x-acquired-count";

impl Entry {
    /// Returns the properties to deliver the message with: its own, plus how often it came back, if its
    /// queue counts that.
    pub fn delivered_properties(&self) -> Cow<'_, [u8]> {
        let properties = self.message.properties();
        let returns = self.returns();
        if returns.is_zero() {
            return properties.into();
        }
        let properties = with_long(properties, ACQUIRED_COUNT, returns.all().into());
        match returns.failed {
            0 => properties.into(),
            failed => with_long(&properties, DELIVERY_COUNT, failed.into()).into(),
        }
    }
}
