//! Reading the words, strings and brackets of one line.

/// From how many equal octets on a string is written as `"x"*1000`.
const RUN_MIN: usize = 41;

/// What is left of a line.
#[derive(Clone)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

/// What a word is made of; everything else needs quotes.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "$._#*/@+-:!&|;,'<>%^~?".contains(c)
}

impl<'a> Scanner<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Scanner { rest: line.trim() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next character, blanks passed over.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, octets: usize) {
        self.rest = self.rest[octets..].trim_start();
    }

    /// Takes a character if it is next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let next = self.rest.starts_with(wanted);
        if next {
            self.advance(wanted.len_utf8());
        }
        next
    }

    pub(super) fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) {
            return Ok(());
        }
        Err(format!("expected `{wanted}` before `{}`", self.rest))
    }

    /// A word without quotes.
    pub(super) fn word(&mut self) -> Result<&'a str, String> {
        let end = self.rest.find(|c| !is_plain(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("expected a word before `{}`", self.rest));
        }
        let word = &self.rest[..end];
        self.advance(end);
        Ok(word)
    }

    /// A decimal number, or one in hexadecimal after `0x`.
    pub(super) fn number(&mut self) -> Result<u64, String> {
        let word = self.word()?;
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.map_err(|_| format!("`{word}` is no number"))
    }

    /// A word, or octets in quotes.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, String> {
        match self.peek() {
            Some('"') => self.quoted(),
            _ => Ok(self.word()?.as_bytes().to_vec()),
        }
    }

    /// Octets in quotes, with `\"`, `\\` and `\x00`; `"ab"*3` repeats.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let open = || "a string that does not end".to_owned();
        let text = self.rest.strip_prefix('"').ok_or_else(open)?;
        let mut octets = Vec::new();
        let mut at = 0;
        loop {
            let next = *text.as_bytes().get(at).ok_or_else(open)?;
            at += 1;
            match next {
                b'"' => break,
                b'\\' => {
                    let escaped = text.as_bytes().get(at).ok_or_else(open)?;
                    at += 1;
                    match escaped {
                        b'"' | b'\\' => octets.push(*escaped),
                        b'x' => {
                            let digits = text.get(at..at + 2).ok_or_else(open)?;
                            let octet = u8::from_str_radix(digits, 16);
                            octets.push(octet.map_err(|_| format!("no octet: \\x{digits}"))?);
                            at += 2;
                        }
                        other => return Err(format!("no escape: \\{}", char::from(*other))),
                    }
                }
                other => octets.push(other),
            }
        }
        let times = text[at..].strip_prefix('*');
        self.advance(1 + at + usize::from(times.is_some()));
        if times.is_some() {
            let times = self.number()?;
            octets = octets.repeat(usize::try_from(times).map_err(|_| "too often")?);
        }
        Ok(octets)
    }
}

/// Octets as a word where they are one, in quotes otherwise.
pub(super) fn string(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) && octets.len() < RUN_MIN => {
            text.to_owned()
        }
        _ => quoted(octets),
    }
}

/// Octets in quotes, as [`Scanner::quoted`] reads them.
pub(super) fn quoted(octets: &[u8]) -> String {
    if octets.len() >= RUN_MIN && octets.iter().all(|octet| *octet == octets[0]) {
        return format!("{}*{}", quoted(&octets[..1]), octets.len());
    }
    let mut text = String::from("\"");
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for octet in c.encode_utf8(&mut utf8).bytes() {
                        text.push_str(&format!("\\x{octet:02x}"));
                    }
                }
                c => text.push(c),
            }
        }
        for octet in chunk.invalid() {
            text.push_str(&format!("\\x{octet:02x}"));
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let samples: [&[u8]; 7] = [
            b"",
            b"word.#*",
            b"two words",
            b"\"\\\x00\xff",
            "h\u{e4}se".as_bytes(),
            &[b'x'; 100],
            "\u{85}\u{7f}\n".as_bytes(),
        ];
        for octets in samples {
            for text in [string(octets), quoted(octets)] {
                let mut scanner = Scanner::new(&text);
                assert_eq!(scanner.string().as_deref(), Ok(octets), "{text}");
                assert!(scanner.is_empty());
            }
        }
    }
}
