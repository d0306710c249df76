//! The values of options: sizes and counts with units, seconds, arguments of queues.

/// The largest body in bytes. Brokers refuse less than that.
const MAX_SIZE: u64 = 1 << 30;
/// The units of counts and their factors, in any case. Sizes have them, too, with or without a `B` behind them.
const UNITS: [(&str, u64); 3] = [("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];
/// The units of sizes only.
const BINARY_UNITS: [(&str, u64); 3] = [("ki", 1 << 10), ("mi", 1 << 20), ("gi", 1 << 30)];

/// Parses the size of a body: `1024`, `16kB`, `1KiB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "expected a size such as 1024, 16kB or 1MiB".to_owned();
    let unit_of = |unit: &str| {
        let unit = unit.to_ascii_lowercase();
        let unit = unit.strip_suffix('b').unwrap_or(&unit);
        let known = UNITS
            .iter()
            .chain(&BINARY_UNITS)
            .find(|known| known.0 == unit);
        known.map(|known| known.1).or(unit.is_empty().then_some(1))
    };
    match with_unit(text, unit_of) {
        Some(size) if size <= MAX_SIZE => usize::try_from(size).map_err(|_| wrong()),
        Some(_) => Err("a body has at most 1GiB".to_owned()),
        None => Err(wrong()),
    }
}

/// Parses a number of messages: `500`, `100k`, `2M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let unit_of = |unit: &str| {
        let unit = unit.to_ascii_lowercase();
        let known = UNITS.iter().find(|known| known.0 == unit);
        known.map(|known| known.1).or(unit.is_empty().then_some(1))
    };
    with_unit(text, unit_of).ok_or_else(|| "expected a number such as 500, 100k or 2M".to_owned())
}

/// Parses a number and the unit behind it.
fn with_unit(text: &str, unit_of: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number.parse::<u64>().ok()?.checked_mul(unit_of(unit)?)
}

/// Parses `NAME=VALUE`.
pub(super) fn argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Parses a positive number of seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds")?;
    if seconds > 0.0 && seconds <= 1e9 {
        Ok(seconds)
    } else {
        Err("expected a number of seconds above 0".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_and_counts_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("16kB", 16_000),
            ("16K", 16_000),
            ("1KiB", 1024),
            ("2mib", 2 << 20),
            ("3MB", 3_000_000),
            ("1GiB", 1 << 30),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, number) in [("500", 500), ("100k", 100_000), ("2M", 2_000_000)] {
            assert_eq!(count(text), Ok(number), "{text}");
        }
        for wrong in [
            "",
            "k",
            "-1",
            "1.5k",
            "1 k",
            "1kbb",
            "1x",
            "99999999999999999999",
            "2GiB",
        ] {
            size(wrong).expect_err(wrong);
        }
        for wrong in ["1KiB", "1kB", "18446744073709551615k", ""] {
            count(wrong).expect_err(wrong);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[0-9kKmMgGiIbBé.-]{0,12}") {
            let _ = (size(&text), count(&text), seconds(&text), argument(&text));
        }
    }
}
