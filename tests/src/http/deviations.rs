//! The differences that are meant: `tests/conformance/http/deviations.md`.

use std::path::Path;

use super::compare::Difference;
use super::run::Mismatch;

/// A row of the table.
#[derive(Debug)]
struct Deviation {
    line: usize,
    request: String,
    key: String,
    difference: String,
    used: bool,
}

/// The table.
#[derive(Debug, Default)]
pub struct Deviations {
    rows: Vec<Deviation>,
}

/// Returns whether a text matches a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.into_iter().any(|at| matches(rest, &text[at..]))
}

/// Returns a key as the table writes it: `items[name=q].x` is `items[].x`.
fn generic(key: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in key.chars() {
        match c {
            '[' => {
                depth += 1;
                if depth == 1 {
                    out.push('[');
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    out.push(']');
                }
            }
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

impl Deviations {
    /// Reads the rows `| request | key | difference | reason |` of a file.
    ///
    /// # Errors
    /// When there is no such file, or a row lacks a cell.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut rows = Vec::new();
        let lines = text.lines().enumerate();
        // The heads of tables and the lines under them are no rows.
        let is_row = |line: &str| {
            line.starts_with("| ") && !line.starts_with("| request |") && !line.starts_with("| --")
        };
        for (at, line) in lines.filter(|(_, line)| is_row(line)) {
            let cells: Vec<String> = line
                .trim_matches(|c| c == '|' || c == ' ')
                .split(" | ")
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect();
            let [request, key, difference, reason] = cells.as_slice() else {
                let cells = cells.len();
                return Err(format!("line {}: {cells} cells, not 4", at + 1));
            };
            let known = ["missing", "extra", "type", "value", "any"];
            if !known.contains(&difference.as_str()) || reason.is_empty() {
                return Err(format!(
                    "line {}: a difference of {known:?} and a reason",
                    at + 1
                ));
            }
            rows.push(Deviation {
                line: at + 1,
                request: request.clone(),
                key: key.clone(),
                difference: difference.clone(),
                used: false,
            });
        }
        Ok(Deviations { rows })
    }

    fn allow(&mut self, request: &str, difference: &Difference) -> bool {
        let key = generic(&difference.key);
        let mut allowed = false;
        for row in &mut self.rows {
            let meant = row.difference == "any" || row.difference == difference.kind.word();
            if meant && matches(&row.request, request) && matches(&row.key, &key) {
                row.used = true;
                allowed = true;
            }
        }
        allowed
    }

    /// Takes the differences that are meant out of `mismatches`.
    pub fn forgive(&mut self, mismatches: &mut Vec<Mismatch>) {
        mismatches.retain(|mismatch| !self.allow(&mismatch.request, &mismatch.difference));
    }

    /// Returns the rows that have forgiven nothing, with their lines.
    pub fn unused(&self) -> Vec<String> {
        let unused = self.rows.iter().filter(|row| !row.used);
        unused
            .map(|row| format!("line {}: {} {}", row.line, row.request, row.key))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::Kind;
    use super::*;

    fn mismatch(request: &str, key: &str, kind: Kind) -> Mismatch {
        Mismatch {
            place: "x.txt:1".to_owned(),
            request: request.to_owned(),
            difference: Difference {
                key: key.to_owned(),
                kind,
                expected: String::new(),
                got: String::new(),
            },
        }
    }

    #[test]
    fn only_what_is_meant_is_forgiven() {
        let table = "# Deviations\n\n| request | key | difference | reason |\n| --- | --- | --- | --- |\n\
                     | `GET /api/nodes*` | `[].mem*` | missing | no Erlang |\n| `PUT /x` | `status` | value | never |\n";
        let mut deviations = Deviations::parse(table).expect("a table");
        let mut all = vec![
            mismatch("GET /api/nodes", "[name=n].mem_used", Kind::Missing),
            mismatch("GET /api/nodes", "[name=n].mem_used", Kind::Value),
            mismatch("GET /api/queues", "[name=n].mem_used", Kind::Missing),
        ];
        deviations.forgive(&mut all);
        assert_eq!(all.len(), 2);
        assert_eq!(deviations.unused(), ["line 6: PUT /x status"]);
        assert!(Deviations::parse("| a | b | missing |").is_err());
        assert!(Deviations::parse("| a | b | wrong | reason |").is_err());
    }

    #[test]
    fn patterns_and_keys() {
        assert!(matches("GET /a/*/c*", "GET /a/b/c"));
        assert!(!matches("GET /a/*/c", "GET /a/b/d"));
        assert!(matches("*", ""));
        assert_eq!(generic("a[name=x[1]].b[0]"), "a[].b[]");
    }
}
