//! Values of fields and tables, on the wire and as text.
//!
//! As text: `I:5` is a value of type `I`, `"..."` a long string (`x:"..."` octets), `true` and
//! `false` booleans, `void` the type `V`, `D:2:314` a decimal, `{name=value ...}` a table and
//! `[value ...]` an array. A word that begins with `$` stands for a value that differs from run
//! to run.

use super::scanner::{Scanner, quoted};

/// A table, in the order of the wire.
pub(super) type Table = Vec<(Vec<u8>, Value)>;

/// A value of any type that RabbitMQ knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    /// `b B s u I i l L T`, by its letter.
    Integer(u8, i128),
    /// `f d`, by its letter.
    Float(u8, f64),
    /// Scale and number.
    Decimal(u8, u32),
    /// `S x`, by its letter.
    Octets(u8, Vec<u8>),
    Array(Vec<Value>),
    Table(Table),
    Void,
    /// What the normaliser put in the place of a value that differs from run to run.
    Masked(String),
}

/// Octets of an integer type.
fn width(letter: u8) -> Option<usize> {
    Some(match letter {
        b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' => 4,
        b'l' | b'L' | b'T' => 8,
        _ => return None,
    })
}

impl Value {
    fn letter(&self) -> u8 {
        match self {
            Value::Bool(_) => b't',
            Value::Integer(letter, _) | Value::Float(letter, _) | Value::Octets(letter, _) => {
                *letter
            }
            Value::Decimal(..) => b'D',
            Value::Array(_) => b'A',
            Value::Table(_) => b'F',
            Value::Void => b'V',
            Value::Masked(name) => panic!("{name} cannot be sent"),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bool(value) => out.push(u8::from(*value)),
            Value::Integer(letter, value) => {
                let width = width(*letter).expect("an integer's letter");
                out.extend(&value.to_be_bytes()[16 - width..]);
            }
            Value::Float(b'f', value) => out.extend((*value as f32).to_be_bytes()),
            Value::Float(_, value) => out.extend(value.to_be_bytes()),
            Value::Decimal(scale, value) => {
                out.push(*scale);
                out.extend(value.to_be_bytes());
            }
            Value::Octets(_, octets) => long_string(octets, out),
            Value::Array(values) => {
                let mut inner = Vec::new();
                for value in values {
                    inner.push(value.letter());
                    value.encode(&mut inner);
                }
                long_string(&inner, out);
            }
            Value::Table(table) => encode_table(table, out),
            Value::Void | Value::Masked(_) => {}
        }
    }

    fn decode(letter: u8, wire: &mut Wire<'_>) -> Result<Self, String> {
        if let Some(width) = width(letter) {
            let mut octets = [0; 16];
            octets[16 - width..].copy_from_slice(wire.take(width)?);
            let signed = matches!(letter, b'b' | b's' | b'I' | b'l' | b'L');
            if signed && octets[16 - width] >= 0x80 {
                octets[..16 - width].fill(0xFF);
            }
            return Ok(Value::Integer(letter, i128::from_be_bytes(octets)));
        }
        Ok(match letter {
            b't' => Value::Bool(wire.take(1)?[0] != 0),
            b'f' => {
                let octets = wire.take(4)?.try_into().expect("four octets");
                Value::Float(letter, f64::from(f32::from_be_bytes(octets)))
            }
            b'd' => {
                let octets = wire.take(8)?.try_into().expect("eight octets");
                Value::Float(letter, f64::from_be_bytes(octets))
            }
            b'D' => Value::Decimal(wire.take(1)?[0], wire.number(4)? as u32),
            b'S' | b'x' => Value::Octets(letter, wire.long_string()?.to_vec()),
            b'F' => Value::Table(decode_table(wire)?),
            b'V' => Value::Void,
            b'A' => {
                let mut inner = Wire(wire.long_string()?);
                let mut values = Vec::new();
                while !inner.0.is_empty() {
                    let letter = inner.take(1)?[0];
                    values.push(Value::decode(letter, &mut inner)?);
                }
                Value::Array(values)
            }
            other => return Err(format!("a field value of type {:?}", char::from(other))),
        })
    }

    /// The text that [`Value::parse`] reads.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Bool(value) => value.to_string(),
            Value::Integer(letter, value) => format!("{}:{value}", char::from(*letter)),
            Value::Float(letter, value) => format!("{}:{value:?}", char::from(*letter)),
            Value::Decimal(scale, value) => format!("D:{scale}:{value}"),
            Value::Octets(b'S', octets) => quoted(octets),
            Value::Octets(letter, octets) => format!("{}:{}", char::from(*letter), quoted(octets)),
            Value::Array(values) => {
                let values: Vec<String> = values.iter().map(Value::text).collect();
                format!("[{}]", values.join(" "))
            }
            Value::Table(table) => table_text(table),
            Value::Void => "void".to_owned(),
            Value::Masked(name) => name.clone(),
        }
    }

    pub(super) fn parse(scanner: &mut Scanner<'_>) -> Result<Self, String> {
        match scanner.peek() {
            Some('"') => return Ok(Value::Octets(b'S', scanner.quoted()?)),
            Some('{') => return Ok(Value::Table(parse_table(scanner)?)),
            Some('[') => {
                scanner.expect('[')?;
                let mut values = Vec::new();
                while !scanner.eat(']') {
                    values.push(Value::parse(scanner)?);
                }
                return Ok(Value::Array(values));
            }
            _ => {}
        }
        let word = scanner.word()?;
        match word {
            "true" | "false" => return Ok(Value::Bool(word == "true")),
            "void" => return Ok(Value::Void),
            "x:" => return Ok(Value::Octets(b'x', scanner.quoted()?)),
            _ if word.starts_with('$') => return Ok(Value::Masked(word.to_owned())),
            _ => {}
        }
        let unclear = || format!("`{word}` is no value; strings stand in quotes");
        let (letter, number) = word.split_once(':').ok_or_else(unclear)?;
        let parsed = match *letter.as_bytes() {
            [letter] if width(letter).is_some() => {
                number.parse().ok().map(|n| Value::Integer(letter, n))
            }
            [letter @ (b'f' | b'd')] => number.parse().ok().map(|n| Value::Float(letter, n)),
            [b'D'] => number.split_once(':').and_then(|(scale, number)| {
                Some(Value::Decimal(scale.parse().ok()?, number.parse().ok()?))
            }),
            _ => None,
        };
        parsed.ok_or_else(unclear)
    }
}

/// `{name=value ...}`
pub(super) fn table_text(table: &Table) -> String {
    let fields: Vec<String> = table
        .iter()
        .map(|(name, value)| format!("{}={}", super::scanner::string(name), value.text()))
        .collect();
    format!("{{{}}}", fields.join(" "))
}

pub(super) fn parse_table(scanner: &mut Scanner<'_>) -> Result<Table, String> {
    scanner.expect('{')?;
    let mut table = Table::new();
    while !scanner.eat('}') {
        let name = scanner.string()?;
        scanner.expect('=')?;
        table.push((name, Value::parse(scanner)?));
    }
    Ok(table)
}

pub(super) fn encode_table(table: &Table, out: &mut Vec<u8>) {
    let mut inner = Vec::new();
    for (name, value) in table {
        short_string(name, &mut inner);
        inner.push(value.letter());
        value.encode(&mut inner);
    }
    long_string(&inner, out);
}

pub(super) fn decode_table(wire: &mut Wire<'_>) -> Result<Table, String> {
    let mut inner = Wire(wire.long_string()?);
    let mut table = Table::new();
    while !inner.0.is_empty() {
        let name = inner.short_string()?.to_vec();
        let letter = inner.take(1)?[0];
        table.push((name, Value::decode(letter, &mut inner)?));
    }
    Ok(table)
}

/// Octets with their length in one.
pub(super) fn short_string(octets: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(octets.len()).expect("at most 255 octets"));
    out.extend(octets);
}

/// Octets with their length in four.
pub(super) fn long_string(octets: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(octets.len()).expect("at most 4 GiB");
    out.extend(length.to_be_bytes());
    out.extend(octets);
}

/// What is left to decode.
pub(super) struct Wire<'a>(pub(super) &'a [u8]);

impl<'a> Wire<'a> {
    pub(super) fn take(&mut self, octets: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(octets)
            .ok_or("a frame that ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to eight octets.
    pub(super) fn number(&mut self, octets: usize) -> Result<u64, String> {
        let taken = self.take(octets)?.iter();
        Ok(taken.fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    pub(super) fn short_string(&mut self) -> Result<&'a [u8], String> {
        let length = self.number(1)? as usize;
        self.take(length)
    }

    pub(super) fn long_string(&mut self) -> Result<&'a [u8], String> {
        let length = self.number(4)? as usize;
        self.take(length)
    }
}
