//! Sender-selected distribution (RabbitMQ: "Sender-selected Distribution"): the headers `CC` and
//! `BCC` are arrays of further routing keys. Consumers never see `BCC`.

use leveret_protocol::raw_table::{self, RawValue};
use leveret_protocol::{AmqpError, texts};
use std::ops::Range;

const CC: &str = "CC";
const BCC: &str = "BCC";

/// Returns whether a headers table, including its length prefix, has `CC` or `BCC`.
pub fn asks_for_copies(table: &[u8]) -> bool {
    let named = |name: &[u8]| name == CC.as_bytes() || name == BCC.as_bytes();
    raw_table::entries(table).any(|entry| named(entry.name))
}

/// The copies that a message's headers ask for.
#[derive(Debug, Default)]
pub struct Copies {
    /// The further routing keys; RabbitMQ does not limit them to the length of a short string.
    pub keys: Vec<Box<[u8]>>,
    /// The properties without `BCC`, if there was one.
    pub properties: Option<Vec<u8>>,
}

impl Copies {
    /// Reads them from the headers table at `headers` in raw properties.
    ///
    /// # Errors
    /// 406 when a header is not an array. Elements that are not long strings are ignored.
    pub fn of(properties: &[u8], headers: Range<usize>) -> Result<Self, AmqpError> {
        let table = &properties[headers.clone()];
        let (mut cc, mut bcc) = (None, None);
        for entry in raw_table::entries(table) {
            match entry.name {
                b"CC" if cc.is_none() => cc = Some(entry.value),
                b"BCC" if bcc.is_none() => bcc = Some(entry.value),
                _ => {}
            }
        }
        let mut copies = Copies::default();
        copies.add(CC, cc)?;
        copies.add(BCC, bcc)?;
        if bcc.is_some() {
            copies.properties = Some(without_bcc(properties, headers));
        }
        Ok(copies)
    }

    fn add(&mut self, name: &str, value: Option<RawValue<'_>>) -> Result<(), AmqpError> {
        match value {
            None => Ok(()),
            Some(array) if array.kind == b'A' => {
                let keys = raw_table::elements(array.bytes).filter(|key| key.kind == b'S');
                self.keys.extend(keys.map(|key| key.bytes.into()));
                Ok(())
            }
            Some(other) => Err(texts::unacceptable_header(name, other.type_name())),
        }
    }
}

fn without_bcc(properties: &[u8], headers: Range<usize>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(properties.len());
    kept.extend_from_slice(&properties[..headers.start]);
    kept.extend_from_slice(&[0; 4]);
    let entries = raw_table::entries(&properties[headers.clone()]);
    for entry in entries.filter(|entry| entry.name != BCC.as_bytes()) {
        kept.extend_from_slice(entry.bytes);
    }
    // The length fitted into 32 bits before something was removed.
    let len = (kept.len() - headers.start - 4) as u32;
    kept[headers.start..headers.start + 4].copy_from_slice(&len.to_be_bytes());
    kept.extend_from_slice(&properties[headers.end..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::content::PropertyIndex;
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::values::{AMQPValue, FieldTable};

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn properties(headers: &[(&str, AMQPValue)]) -> Vec<u8> {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_headers(table)
            .with_message_id("m".into());
        properties_to_vec(&properties)
    }

    fn copies(raw: &[u8]) -> Result<Copies, AmqpError> {
        Copies::of(raw, PropertyIndex::scan(raw).unwrap().headers.unwrap())
    }

    #[test]
    fn keys_come_from_both_headers_and_bcc_disappears() {
        let cc = AMQPValue::FieldArray(vec![text("a"), AMQPValue::LongInt(1), text("b")].into());
        let bcc = AMQPValue::FieldArray(vec![text("c")].into());
        let raw = properties(&[("CC", cc.clone()), ("BCC", bcc.clone()), ("n", text("v"))]);
        let found = copies(&raw).unwrap();
        let keys: Vec<&[u8]> = found.keys.iter().map(|key| &key[..]).collect();
        assert_eq!(keys, [b"a", b"b", b"c"]);
        assert_eq!(
            found.properties,
            Some(properties(&[("CC", cc), ("n", text("v"))]))
        );
        let found = copies(&properties(&[("BCC", bcc)])).unwrap();
        assert_eq!(found.properties, Some(properties(&[])));
    }

    #[test]
    fn other_headers_are_left_alone() {
        let found = copies(&properties(&[("cc", text("a")), ("n", text("v"))])).unwrap();
        assert!(found.keys.is_empty() && found.properties.is_none());
    }

    #[test]
    fn what_is_no_array_is_refused_in_rabbitmqs_words() {
        let error = copies(&properties(&[("BCC", AMQPValue::LongInt(5))])).unwrap_err();
        assert_eq!(
            error.text,
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"BCC\",signedint}"
        );
        let error = copies(&properties(&[("CC", text("a"))])).unwrap_err();
        assert!(
            error
                .text
                .ends_with("{unacceptable_type_in_header,\"CC\",longstr}")
        );
    }
}
