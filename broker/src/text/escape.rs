//! Escaping text from outside: names, reasons and properties are chosen by clients, and must not end a log line,
//! control a terminal, or reverse the text beside them.
//!
//! Ordinary text stays as it is, including backslashes: the output is for people, and JSON for
//! programs that need every character.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// Which characters are escaped, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A single line or a part of it, `\n` and `\u{1b}`: no control characters at all.
    Line,
    /// Like [`Form::Line`], including tabs: for a cell in quotes.
    Quoted,
    /// Several lines, or cells separated by tabs, already laid out.
    Lines,
    /// Like [`Form::Lines`], but keeps the codes for bold headings on a terminal.
    BoldLines,
    /// JSON in lines, which escapes C0 itself but lets everything else through: `\u009b`.
    Json,
}

/// The codes that start and end bold text on a terminal.
pub const BOLD: [&str; 2] = ["\u{1b}[1m", "\u{1b}[0m"];

/// Returns whether a character affects its surroundings instead of being displayed.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Line and paragraph separators.
            '\u{2028}' | '\u{2029}'
            // Characters that change the text direction (Unicode: Bidi_Control).
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible characters and annotations: never seen in a name.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Form {
    fn escapes(self, c: char) -> bool {
        acts(c)
            && match self {
                Form::Line => true,
                Form::Quoted => c != '\t',
                Form::Lines | Form::BoldLines => !matches!(c, '\n' | '\t'),
                Form::Json => c != '\n',
            }
    }

    /// Splits text into what precedes the first character to escape, that character, and the rest.
    fn split(self, text: &str) -> Option<(&str, char, &str)> {
        let (at, c) = text.char_indices().find(|(_, c)| self.escapes(*c))?;
        Some((&text[..at], c, &text[at + c.len_utf8()..]))
    }

    fn write(self, out: &mut dyn fmt::Write, mut text: &str) -> fmt::Result {
        while let Some((before, c, after)) = self.split(text) {
            out.write_str(before)?;
            let escape = &text[before.len()..];
            let bold = BOLD.into_iter().find(|bold| escape.starts_with(bold));
            text = match bold.filter(|_| self == Form::BoldLines) {
                Some(bold) => {
                    out.write_str(bold)?;
                    &escape[bold.len()..]
                }
                None => {
                    self.write_escaped(out, c)?;
                    after
                }
            };
        }
        out.write_str(text)
    }

    fn write_escaped(self, out: &mut dyn fmt::Write, c: char) -> fmt::Result {
        if self == Form::Json {
            let mut units = [0; 2];
            let mut units = c.encode_utf16(&mut units).iter();
            return units.try_for_each(|unit| write!(out, "\\u{unit:04x}"));
        }
        write!(out, "{}", c.escape_default())
    }
}

/// Returns the text in this form, borrowed if there is nothing to escape.
pub fn escaped(text: &str, form: Form) -> Cow<'_, str> {
    if form.split(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // Writing to a String cannot fail.
    let _ = form.write(&mut shown, text);
    Cow::Owned(shown)
}

/// A writer that escapes what is written to it.
#[derive(Debug)]
pub struct Escaped<W> {
    inner: W,
    form: Form,
}

impl<W> Escaped<W> {
    /// Wraps `inner`.
    pub fn new(inner: W, form: Form) -> Self {
        Escaped { inner, form }
    }
}

impl<W: fmt::Write> fmt::Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.form.write(&mut self.inner, text)
    }
}

impl<W: io::Write> io::Write for Escaped<W> {
    /// Writes all or nothing: a part could end within a character. Invalid UTF-8 becomes U+FFFD.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.inner.write_all(escaped(&text, self.form).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "amq.gen-x",
            "C:\\dir",
            "häufig",
            "队列",
            "नमस्\u{200d}ते",
            "👩\u{200d}🌾",
            "a\u{a0}b",
            "",
        ] {
            for form in [
                Form::Line,
                Form::Quoted,
                Form::Lines,
                Form::BoldLines,
                Form::Json,
            ] {
                assert!(matches!(escaped(text, form), Cow::Borrowed(shown) if shown == text));
            }
        }
    }

    #[test]
    fn what_acts_is_written_out() {
        let text = "a\nb\t\u{1b}[2J\u{7f}\u{9b}1m\u{202e}\u{2028}\u{e0041}\r";
        let line = r"a\nb\t\u{1b}[2J\u{7f}\u{9b}1m\u{202e}\u{2028}\u{e0041}\r";
        assert_eq!(escaped(text, Form::Line), line);
        assert_eq!(escaped(text, Form::Quoted), line.replace(r"\t", "\t"));
        let lines = line.replace(r"a\nb\t", "a\nb\t");
        assert_eq!(escaped(text, Form::Lines), lines);
        assert_eq!(escaped(text, Form::BoldLines), lines);
        let json = serde_json::Value::from(text).to_string();
        let shown = escaped(&json, Form::Json);
        assert!(!shown.contains(acts), "{shown}");
        let back: String = serde_json::from_str(&shown).unwrap();
        assert_eq!(back, text);
    }

    #[test]
    fn only_headings_are_bold_and_only_where_they_may_be() {
        let text = "\u{1b}[1mUsage\u{1b}[0m \u{1b}[31m";
        let bold = "\u{1b}[1mUsage\u{1b}[0m \\u{1b}[31m";
        assert_eq!(escaped(text, Form::BoldLines), bold);
        assert!(!escaped(text, Form::Lines).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left_however_it_is_written(pieces in prop::collection::vec("\\PC|\\p{C}|a", 0..20)) {
            let whole = pieces.concat();
            let mut out = String::new();
            let mut writer = Escaped::new(&mut out, Form::Line);
            for piece in &pieces {
                writer.write_str(piece).unwrap();
            }
            prop_assert!(!out.contains(acts));
            prop_assert_eq!(out, escaped(&whole, Form::Line));
        }
    }
}
