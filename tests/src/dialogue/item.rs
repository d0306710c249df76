//! What one peer says to the other: a method with its content, pieces of frames, or the end.

use super::fields::{self, Properties};
use super::scanner::{Scanner, quoted};
use super::spec::{self, Method};
use super::value::{Value, Wire};

/// Frame types (spec 2.3.5).
pub(super) const FRAME_METHOD: u8 = 1;
pub(super) const FRAME_HEADER: u8 = 2;
pub(super) const FRAME_BODY: u8 = 3;
/// The octet that ends a frame.
const FRAME_END: u8 = 0xCE;
/// The class of all content.
const BASIC: u16 = 60;

/// A message's properties and body.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) properties: Properties,
    pub(super) body: Vec<u8>,
    /// Octets in each body frame, when there are several.
    pub(super) frames: Vec<usize>,
}

/// One thing said.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A method, with its content when that belongs to it and was given.
    Method {
        method: &'static Method,
        values: Vec<Value>,
        content: Option<Content>,
    },
    /// Octets that are no frames, such as the protocol header.
    Bytes(Vec<u8>),
    /// A frame of any type with any payload; by hand its end octet and size may be wrong.
    Frame {
        kind: u8,
        payload: Vec<u8>,
        end: u8,
        size: u32,
    },
    /// A content header alone.
    Header {
        class: u16,
        size: u64,
        properties: Properties,
    },
    /// The socket closed.
    Eof,
}

/// A whole frame.
pub(super) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a payload under 4 GiB");
    raw_frame(kind, channel, payload, FRAME_END, size)
}

fn raw_frame(kind: u8, channel: u16, payload: &[u8], end: u8, size: u32) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(size.to_be_bytes());
    bytes.extend(payload);
    bytes.push(end);
    bytes
}

fn header_payload(class: u16, size: u64, properties: &Properties) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend([0, 0]);
    payload.extend(size.to_be_bytes());
    fields::encode_properties(properties, &mut payload);
    payload
}

impl Item {
    /// The method, if it is one.
    pub(super) fn method(&self) -> Option<&'static Method> {
        match self {
            Item::Method { method, .. } => Some(method),
            _ => None,
        }
    }

    /// A field of the method.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        let Item::Method { method, values, .. } = self else {
            return None;
        };
        let at = method.fields.iter().position(|field| field.name == name)?;
        values.get(at)
    }

    /// Whether a bit of the method is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.field(name) == Some(&Value::Bool(true))
    }

    /// The octets to send. Bodies are cut to frames of `frame_max`, unless cut by hand.
    pub(super) fn encode(&self, channel: u16, frame_max: usize) -> Vec<u8> {
        match self {
            Item::Bytes(bytes) => bytes.clone(),
            Item::Frame {
                kind,
                payload,
                end,
                size,
            } => raw_frame(*kind, channel, payload, *end, *size),
            Item::Header {
                class,
                size,
                properties,
            } => {
                let payload = header_payload(*class, *size, properties);
                frame(FRAME_HEADER, channel, &payload)
            }
            Item::Method {
                method,
                values,
                content,
            } => {
                let mut payload = method.class.to_be_bytes().to_vec();
                payload.extend(method.id.to_be_bytes());
                fields::encode(&method.fields, values, &mut payload);
                let mut bytes = frame(FRAME_METHOD, channel, &payload);
                if let Some(content) = content {
                    content.encode(channel, frame_max, &mut bytes);
                }
                bytes
            }
            Item::Eof => panic!("an end cannot be encoded"),
        }
    }

    /// A method without its content.
    pub(super) fn decode_method(payload: &[u8]) -> Result<Item, String> {
        let mut wire = Wire(payload);
        let (class, id) = (wire.number(2)? as u16, wire.number(2)? as u16);
        let method = spec::method_numbered(class, id)
            .ok_or_else(|| format!("no method {id} of class {class}"))?;
        let values = fields::decode(&method.fields, &mut wire)
            .map_err(|error| format!("{}: {error}", method.name))?;
        Ok(Item::Method {
            method,
            values,
            content: None,
        })
    }

    /// The line that [`Item::parse`] reads.
    pub(super) fn text(&self) -> String {
        match self {
            Item::Eof => "eof".to_owned(),
            Item::Bytes(bytes) => format!("bytes {}", quoted(bytes)),
            Item::Frame { kind, payload, .. } => format!("frame {kind} {}", quoted(payload)),
            Item::Header {
                size, properties, ..
            } => {
                format!("header {size}{}", fields::properties_text(properties))
            }
            Item::Method {
                method,
                values,
                content,
            } => {
                let fields = fields::text(&method.fields, values);
                let content = content.as_ref().map(Content::text).unwrap_or_default();
                format!("{}{fields}{content}", method.name)
            }
        }
    }

    /// Reads a line. With `complete`, nothing may be left to defaults.
    pub(super) fn parse(line: &str, complete: bool) -> Result<Item, String> {
        let mut scanner = Scanner::new(line);
        let name = scanner.word()?;
        let item = match name {
            "eof" => Item::Eof,
            "bytes" => Item::Bytes(scanner.quoted()?),
            "body" => {
                let payload = scanner.quoted()?;
                by_hand(FRAME_BODY, payload, &mut scanner)?
            }
            "frame" => {
                let kind = u8::try_from(scanner.number()?).map_err(|_| "a type is an octet")?;
                let payload = scanner.quoted()?;
                by_hand(kind, payload, &mut scanner)?
            }
            "header" => {
                let size = scanner.number()?;
                let mut class = BASIC;
                if scanner.peek().is_some_and(|c| c != '(') {
                    class = number_after("class", &mut scanner)? as u16;
                }
                let properties = fields::parse_properties(&mut scanner)?;
                Item::Header {
                    class,
                    size,
                    properties,
                }
            }
            name => parse_method(name, complete, &mut scanner)?,
        };
        if !scanner.is_empty() {
            return Err(format!("too much behind `{name}`"));
        }
        Ok(item)
    }
}

/// `name=number`
fn number_after(name: &str, scanner: &mut Scanner<'_>) -> Result<u64, String> {
    let word = scanner.word()?;
    if word != name {
        return Err(format!("expected `{name}=`, not `{word}`"));
    }
    scanner.expect('=')?;
    scanner.number()
}

/// A frame whose `end` and `size` may follow.
fn by_hand(kind: u8, payload: Vec<u8>, scanner: &mut Scanner<'_>) -> Result<Item, String> {
    let (mut end, mut size) = (FRAME_END, payload.len() as u64);
    if scanner.clone().word() == Ok("end") {
        end = number_after("end", scanner)? as u8;
    }
    if scanner.clone().word() == Ok("size") {
        size = number_after("size", scanner)?;
    }
    let size = u32::try_from(size).map_err(|_| "a size has four octets")?;
    Ok(Item::Frame {
        kind,
        payload,
        end,
        size,
    })
}

fn parse_method(name: &str, complete: bool, scanner: &mut Scanner<'_>) -> Result<Item, String> {
    let method = spec::method(name).ok_or_else(|| format!("no method `{name}`"))?;
    let values = fields::parse(&method.fields, complete, scanner)?;
    let mut content = None;
    if scanner.peek().is_some() {
        if !method.has_content() {
            return Err(format!("`{name}` carries no content"));
        }
        content = Some(Content::parse(scanner)?);
    } else if complete && method.has_content() {
        return Err(format!("`{name}` needs its body"));
    }
    Ok(Item::Method {
        method,
        values,
        content,
    })
}

impl Content {
    fn encode(&self, channel: u16, frame_max: usize, bytes: &mut Vec<u8>) {
        let payload = header_payload(BASIC, self.body.len() as u64, &self.properties);
        bytes.extend(frame(FRAME_HEADER, channel, &payload));
        let mut rest = self.body.as_slice();
        for octets in &self.frames {
            let (part, after) = rest.split_at(*octets);
            bytes.extend(frame(FRAME_BODY, channel, part));
            rest = after;
        }
        for part in rest.chunks(frame_max - 8) {
            bytes.extend(frame(FRAME_BODY, channel, part));
        }
    }

    fn text(&self) -> String {
        let properties = fields::properties_text(&self.properties);
        let mut text = format!("{properties} {}", quoted(&self.body));
        if self.frames.len() > 1 {
            let frames: Vec<String> = self.frames.iter().map(usize::to_string).collect();
            text.push_str(&format!(" in {}", frames.join("+")));
        }
        text
    }

    fn parse(scanner: &mut Scanner<'_>) -> Result<Self, String> {
        let properties = fields::parse_properties(scanner)?;
        let body = scanner.quoted()?;
        let mut frames = Vec::new();
        if scanner.peek().is_some() {
            if scanner.word()? != "in" {
                return Err("expected `in` and the sizes of the body frames".to_owned());
            }
            for size in scanner.word()?.split('+') {
                let size = size.parse().map_err(|_| format!("no size: {size}"))?;
                frames.push(size);
            }
            if frames.iter().sum::<usize>() != body.len() {
                return Err("the frames are not the body".to_owned());
            }
        }
        Ok(Content {
            properties,
            body,
            frames,
        })
    }
}
