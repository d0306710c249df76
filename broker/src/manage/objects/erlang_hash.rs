//! The hash of Erlang's `erlang:phash2/2`, for field tables as RabbitMQ represents them: lists of
//! `{Name, Type, Value}`. RabbitMQ's HTTP API names bindings by it, and clients keep these names, so the values must be
//! the same.

use leveret_protocol::table::{as_integer, type_name};
use leveret_protocol::values::{AMQPValue, FieldTable};

/// The multiples of this constant tell kinds of terms apart.
const GOLDEN: u32 = 0x9e37_79b9;
/// What stands for the empty list, and its hash if it is the whole term.
const NIL: u32 = 2;
const NIL_ALONE: u32 = 3_468_870_702;

/// Returns the 32-bit hash of a table. The recursion is bounded, because the protocol crate limits the nesting of tables.
pub(super) fn of_table(table: &FieldTable) -> u32 {
    let mut hash = Hash(0);
    hash.table(table);
    hash.0
}

/// The hash of the terms so far.
struct Hash(u32);

fn kind(n: u32) -> u32 {
    GOLDEN.wrapping_mul(n)
}

/// Bob Jenkins' mix of three words.
fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    let less = |x: u32, y: u32, z: u32| x.wrapping_sub(y).wrapping_sub(z);
    for (first, second, third) in [(13, 8, 13), (12, 16, 5), (3, 10, 15)] {
        a = less(a, b, c) ^ (c >> first);
        b = less(b, c, a) ^ (a << second);
        c = less(c, a, b) ^ (b >> third);
    }
    (a, b, c)
}

impl Hash {
    fn words(&mut self, a: u32, b: u32, kind: u32) {
        (_, _, self.0) = mix(kind.wrapping_add(a), kind.wrapping_add(b), self.0);
    }

    fn word(&mut self, value: u32, kind: u32) {
        self.words(value, 0, kind);
    }

    fn nil(&mut self) {
        match self.0 {
            0 => self.0 = NIL_ALONE,
            _ => self.word(NIL, kind(2)),
        }
    }

    fn atom(&mut self, name: &str) {
        let value = name.bytes().fold(0u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(byte.into());
            let high = hash & 0xf000_0000;
            (hash ^ (high >> 24)) & !high
        });
        match self.0 {
            0 => self.0 = value,
            _ => self.word(value, kind(3)),
        }
    }

    fn tuple(&mut self, arity: u32) {
        self.word(arity, kind(9));
    }

    fn integer(&mut self, value: i128) {
        if (-(1 << 27)..1 << 27).contains(&value) {
            if value < 0 {
                self.word(-value as u32, kind(1));
            }
            return self.word(value as u32, kind(1));
        }
        let sign = if value < 0 { kind(10) } else { kind(11) };
        let size = value.unsigned_abs();
        self.words(size as u32, (size >> 32) as u32, sign);
    }

    fn float(&mut self, value: f64) {
        // Both zeros are the same.
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        self.words((bits >> 32) as u32, bits as u32, kind(12));
    }

    fn binary(&mut self, bytes: &[u8]) {
        let start = kind(13).wrapping_add(self.0);
        if bytes.is_empty() {
            self.0 = start;
            return;
        }
        let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, start);
        let word = |bytes: &[u8]| {
            let shifted = bytes.iter().rev();
            shifted.fold(0u32, |word, byte| (word << 8) | u32::from(*byte))
        };
        let blocks = bytes.chunks_exact(12);
        let rest = blocks.remainder();
        for block in blocks {
            a = a.wrapping_add(word(&block[..4]));
            b = b.wrapping_add(word(&block[4..8]));
            c = c.wrapping_add(word(&block[8..]));
            (a, b, c) = mix(a, b, c);
        }
        let part = |from: usize| &rest[from.min(rest.len())..(from + 4).min(rest.len())];
        a = a.wrapping_add(word(part(0)));
        b = b.wrapping_add(word(part(4)));
        // The lowest byte is the length's.
        c = c.wrapping_add(word(part(8)) << 8);
        c = c.wrapping_add(bytes.len() as u32);
        (_, _, self.0) = mix(a, b, c);
    }

    fn table(&mut self, table: &FieldTable) {
        for (name, value) in table {
            self.tuple(3);
            self.binary(name.as_str().as_bytes());
            self.atom(type_name(value));
            self.value(value);
        }
        self.nil();
    }

    fn value(&mut self, value: &AMQPValue) {
        match value {
            AMQPValue::Boolean(true) => self.atom("true"),
            AMQPValue::Boolean(false) => self.atom("false"),
            AMQPValue::Float(number) => self.float((*number).into()),
            AMQPValue::Double(number) => self.float(*number),
            AMQPValue::Timestamp(time) => self.integer((*time).into()),
            AMQPValue::ShortString(text) => self.binary(text.as_str().as_bytes()),
            AMQPValue::LongString(text) => self.binary(text.as_bytes()),
            AMQPValue::ByteArray(bytes) => self.binary(bytes.as_slice()),
            AMQPValue::FieldTable(table) => self.table(table),
            AMQPValue::FieldArray(values) => {
                for value in values.as_slice() {
                    self.tuple(2);
                    self.atom(type_name(value));
                    self.value(value);
                }
                self.nil();
            }
            AMQPValue::DecimalValue(decimal) => {
                self.tuple(2);
                self.integer(decimal.scale.into());
                self.integer(decimal.value.into());
            }
            AMQPValue::Void => self.atom("undefined"),
            other => self.integer(as_integer(other).unwrap_or_default().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the hash of a term alone; the expected values are those of Erlang/OTP 25.
    fn alone(term: impl FnOnce(&mut Hash)) -> u32 {
        let mut hash = Hash(0);
        term(&mut hash);
        hash.0
    }

    #[test]
    fn terms_hash_as_in_erlang() {
        assert_eq!(alone(Hash::nil), 3_468_870_702);
        for (atom, hash) in [
            ("longstr", 56_945_346),
            ("bool", 431_708),
            ("double", 112_638_245),
            ("undefined", 180_132_084),
        ] {
            assert_eq!(alone(|h| h.atom(atom)), hash, "{atom}");
        }
        for (bytes, hash) in [
            ("", 147_926_629),
            ("a", 1_589_197_455),
            ("abcdefghijklmnopqrstuvwxyz", 2_974_138_351),
        ] {
            assert_eq!(alone(|h| h.binary(bytes.as_bytes())), hash, "{bytes}");
        }
        for (number, hash) in [
            (0, 3_175_731_469),
            (5, 676_967_202),
            (-5, 517_668_864),
            (134_217_727, 4_273_352_567),
            (134_217_728, 2_562_491_755),
            (-134_217_728, 874_979_335),
            (-134_217_729, 1_418_916_782),
            (4_294_967_296, 2_108_323_275),
            (i64::MAX.into(), 2_712_534_173),
            (i64::MIN.into(), 1_736_826_119),
            (u64::MAX.into(), 321_870_806),
        ] {
            assert_eq!(alone(|h| h.integer(number)), hash, "{number}");
        }
        for (number, hash) in [
            (1.5, 2_023_646_235),
            (0.0, 423_528_920),
            (-0.0, 423_528_920),
        ] {
            assert_eq!(alone(|h| h.float(number)), hash, "{number}");
        }
    }

    #[test]
    fn tables_hash_as_in_erlang() {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut table = FieldTable::default();
        table.insert("n".into(), AMQPValue::LongLongInt(5));
        table.insert("x".into(), text("y"));
        assert_eq!(of_table(&table), 2_747_897_215);
        let mut inner = FieldTable::default();
        inner.insert("e".into(), text("f"));
        let mut table = FieldTable::default();
        table.insert("a".into(), AMQPValue::LongLongInt(5));
        table.insert("b".into(), AMQPValue::Boolean(true));
        table.insert("c".into(), AMQPValue::Double(1.5));
        table.insert("d".into(), AMQPValue::FieldTable(inner));
        let array = vec![AMQPValue::LongLongInt(1)];
        table.insert("g".into(), AMQPValue::FieldArray(array.into()));
        assert_eq!(of_table(&table), 2_008_127_477);
        assert_eq!(of_table(&FieldTable::default()), 3_468_870_702);
    }
}
