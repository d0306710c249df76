//! The fields of a method and the properties of content: wire, text and back.

use super::scanner::{Scanner, string};
use super::spec::{Field, Kind, properties};
use super::value::{
    Value, Wire, decode_table, encode_table, long_string, parse_table, short_string, table_text,
};

/// The type letter of numbers in fields, which show none.
const NUMBER: u8 = b'l';

fn number_width(kind: Kind) -> usize {
    match kind {
        Kind::Octet => 1,
        Kind::Short => 2,
        Kind::Long => 4,
        _ => 8,
    }
}

/// What a field has when nothing was said.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Bit => Value::Bool(false),
        Kind::ShortString | Kind::LongString => Value::Octets(b'S', Vec::new()),
        Kind::Table => Value::Table(Vec::new()),
        Kind::Octet | Kind::Short | Kind::Long | Kind::LongLong => Value::Integer(NUMBER, 0),
    }
}

fn encode_field(kind: Kind, value: &Value, out: &mut Vec<u8>) {
    match (kind, value) {
        (Kind::ShortString, Value::Octets(_, octets)) => short_string(octets, out),
        (Kind::LongString, Value::Octets(_, octets)) => long_string(octets, out),
        (Kind::Table, Value::Table(table)) => encode_table(table, out),
        (kind, Value::Integer(_, number)) => {
            out.extend(&number.to_be_bytes()[16 - number_width(kind)..]);
        }
        (kind, value) => panic!("{value:?} is no {kind:?}"),
    }
}

fn decode_field(kind: Kind, wire: &mut Wire<'_>) -> Result<Value, String> {
    Ok(match kind {
        Kind::ShortString => Value::Octets(b'S', wire.short_string()?.to_vec()),
        Kind::LongString => Value::Octets(b'S', wire.long_string()?.to_vec()),
        Kind::Table => Value::Table(decode_table(wire)?),
        kind => Value::Integer(NUMBER, wire.number(number_width(kind))?.into()),
    })
}

/// `name=value`; a bit is its name alone, or nothing.
fn field_text(field: &Field, value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(set) => return set.then(|| field.name.to_owned()),
        Value::Integer(_, number) => number.to_string(),
        Value::Octets(_, octets) => string(octets),
        Value::Table(table) => table_text(table),
        Value::Masked(name) => name.clone(),
        other => other.text(),
    };
    Some(format!("{}={text}", field.name))
}

fn parse_field(kind: Kind, scanner: &mut Scanner<'_>) -> Result<Value, String> {
    Ok(match kind {
        Kind::Bit => return Err("a bit takes no value".to_owned()),
        Kind::ShortString | Kind::LongString => Value::Octets(b'S', scanner.string()?),
        Kind::Table => Value::Table(parse_table(scanner)?),
        kind => {
            let number = scanner.number()?;
            let width = number_width(kind);
            if width < 8 && number >> (8 * width) != 0 {
                return Err(format!("{number} does not fit {width} octets"));
            }
            Value::Integer(NUMBER, number.into())
        }
    })
}

/// Encodes a method's fields; bits that follow each other share an octet.
pub(super) fn encode(fields: &[Field], values: &[Value], out: &mut Vec<u8>) {
    let mut bits = 0;
    for (field, value) in fields.iter().zip(values) {
        if let Value::Bool(set) = value {
            if bits % 8 == 0 {
                out.push(0);
            }
            let last = out.last_mut().expect("an octet for bits");
            *last |= u8::from(*set) << (bits % 8);
            bits += 1;
        } else {
            bits = 0;
            encode_field(field.kind, value, out);
        }
    }
}

/// Decodes a method's fields, which must be all there is.
pub(super) fn decode(fields: &[Field], wire: &mut Wire<'_>) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let (mut bits, mut octet) = (0, 0);
    for field in fields {
        if field.kind == Kind::Bit {
            if bits % 8 == 0 {
                octet = wire.take(1)?[0];
            }
            values.push(Value::Bool(octet >> (bits % 8) & 1 == 1));
            bits += 1;
        } else {
            bits = 0;
            values.push(decode_field(field.kind, wire)?);
        }
    }
    match wire.0.len() {
        0 => Ok(values),
        left => Err(format!("{left} octets left over")),
    }
}

/// All fields that carry something.
pub(super) fn text(fields: &[Field], values: &[Value]) -> String {
    let shown = fields.iter().zip(values).filter(|(f, _)| !f.is_reserved());
    let mut text = String::new();
    for field in shown.filter_map(|(field, value)| field_text(field, value)) {
        text.push(' ');
        text.push_str(&field);
    }
    text
}

/// Reads `name=value` and bits up to what is neither. With `complete`, every field has to be
/// there.
pub(super) fn parse(
    fields: &[Field],
    complete: bool,
    scanner: &mut Scanner<'_>,
) -> Result<Vec<Value>, String> {
    let mut values: Vec<Option<Value>> = fields.iter().map(|_| None).collect();
    while scanner.peek().is_some_and(|c| c != '(' && c != '"') {
        let name = scanner.word()?;
        let named = |field: &Field| field.name == name && !field.is_reserved();
        let at = fields.iter().position(named);
        let at = at.ok_or_else(|| format!("no field `{name}`"))?;
        let value = if fields[at].kind == Kind::Bit {
            Value::Bool(true)
        } else {
            scanner.expect('=')?;
            parse_field(fields[at].kind, scanner)?
        };
        if values[at].replace(value).is_some() {
            return Err(format!("`{name}` twice"));
        }
    }
    let finished = fields.iter().zip(values).map(|(field, value)| match value {
        Some(value) => Ok(value),
        None if complete && field.kind != Kind::Bit && !field.is_reserved() => {
            Err(format!("`{}` is missing", field.name))
        }
        None => Ok(zero(field.kind)),
    });
    finished.collect()
}

/// Properties of content, in the order of the wire.
pub(super) type Properties = Vec<(&'static Field, Value)>;

/// Flags and properties.
pub(super) fn encode_properties(given: &Properties, out: &mut Vec<u8>) {
    let mut flags = 0u16;
    let mut encoded = Vec::new();
    for (bit, field) in properties().iter().enumerate() {
        if let Some((_, value)) = given.iter().find(|(f, _)| f.name == field.name) {
            flags |= 0x8000 >> bit;
            encode_field(field.kind, value, &mut encoded);
        }
    }
    out.extend(flags.to_be_bytes());
    out.extend(encoded);
}

pub(super) fn decode_properties(wire: &mut Wire<'_>) -> Result<Properties, String> {
    let flags = wire.number(2)?;
    let mut found = Properties::new();
    for (bit, field) in properties().iter().enumerate() {
        if flags & (0x8000 >> bit) != 0 {
            found.push((field, decode_field(field.kind, wire)?));
        }
    }
    match wire.0.len() {
        0 => Ok(found),
        left => Err(format!("{left} octets left over after the properties")),
    }
}

/// `(name=value ...)`, nothing for none.
pub(super) fn properties_text(given: &Properties) -> String {
    let fields: Vec<String> = given.iter().filter_map(|(f, v)| field_text(f, v)).collect();
    match fields.len() {
        0 => String::new(),
        _ => format!(" ({})", fields.join(" ")),
    }
}

pub(super) fn parse_properties(scanner: &mut Scanner<'_>) -> Result<Properties, String> {
    let mut found = Properties::new();
    if !scanner.eat('(') {
        return Ok(found);
    }
    while !scanner.eat(')') {
        let name = scanner.word()?;
        let field = properties().iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| format!("no property `{name}`"))?;
        scanner.expect('=')?;
        found.push((field, parse_field(field.kind, scanner)?));
    }
    Ok(found)
}
