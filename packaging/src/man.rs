//! Pieces of manual pages, in the macros that man has everywhere.

use leveret::text::version::FULL_VERSION;
use roff::{Inline, Roff, bold, italic, roman};

/// A manual page in the making.
pub struct Page {
    roff: Roff,
    /// Whether a section has just begun, whose first paragraph has no macro of its own.
    begins: bool,
}

impl Page {
    /// Begins a page: its name, its section of the manual, and what it is about in a few words.
    pub fn new(name: &str, section: &str, about: &str) -> Self {
        let source = concat!("Leveret ", env!("CARGO_PKG_VERSION"));
        let mut page = Page {
            roff: Roff::new(),
            begins: false,
        };
        page.roff
            .control("TH", [name, section, date(), source, "Leveret"]);
        page.section("NAME");
        page.text([roman(format!("{name} - {about}"))]);
        page
    }

    /// Writes how a program is called.
    pub fn synopsis(&mut self, name: &str, rest: &str) {
        self.text([bold(name), roman(" "), roman(rest)]);
    }

    /// Begins a section.
    pub fn section(&mut self, heading: &str) {
        self.roff.control("SH", [heading]);
        self.begins = true;
    }

    /// Begins a part of a section.
    pub fn subsection(&mut self, heading: &str) {
        self.roff.control("SS", [heading]);
        self.begins = true;
    }

    fn break_paragraph(&mut self) {
        if !self.begins {
            self.roff.control("PP", []);
        }
    }

    /// Begins a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.break_paragraph();
        self.text([roman(text)]);
    }

    /// Continues a paragraph.
    pub fn text(&mut self, text: impl Into<Vec<Inline>>) {
        self.begins = false;
        self.roff.text(text);
    }

    /// Writes a term in bold, what follows it in italics, and what it means.
    pub fn term(&mut self, term: &str, rest: &str, meaning: &str) {
        self.roff.control("TP", []);
        match rest {
            "" => self.text([bold(term)]),
            _ => self.text([bold(term), roman(" "), italic(rest)]),
        }
        self.text([roman(meaning)]);
    }

    /// Writes a term and its meaning one step further to the right.
    pub fn inner_term(&mut self, term: &str, meaning: &str) {
        self.roff.control("RS", []);
        match term {
            "" => {
                self.roff.control("PP", []);
            }
            _ => {
                self.roff.control("TP", []);
                self.text([bold(term)]);
            }
        }
        self.text([roman(meaning)]);
        self.roff.control("RE", []);
    }

    /// Writes lines as they are.
    pub fn lines(&mut self, lines: &str) {
        self.break_paragraph();
        self.roff.control("nf", []);
        for line in lines.lines() {
            self.text([roman(line)]);
        }
        self.roff.control("fi", []);
    }

    /// Names the pages to read on.
    pub fn see_also(&mut self, pages: &[(&str, &str)]) {
        self.section("SEE ALSO");
        let mut text = Vec::new();
        for (at, (name, section)) in pages.iter().enumerate() {
            let end = if at + 1 < pages.len() { ", " } else { "" };
            text.extend([bold(*name), roman(format!("({section}){end}"))]);
        }
        self.text(text);
    }

    /// Returns the page's text.
    pub fn finish(self) -> String {
        self.roff.to_roff()
    }
}

/// Returns the date of the commit that the programs are built from, so that the same sources give the same pages.
fn date() -> &'static str {
    let date = FULL_VERSION.trim_end_matches(')').rsplit(' ').next();
    date.filter(|date| date.len() == "2026-12-01".len() && date.contains('-'))
        .unwrap_or("1970-01-01")
}

/// Ends a summary as a sentence.
pub fn sentence(text: &str) -> String {
    let text = text.trim().replace("\n\n", " ");
    match text.chars().last() {
        Some('.' | ':' | '!' | ']' | ')') => text,
        Some(_) => format!("{text}."),
        None => text,
    }
}
