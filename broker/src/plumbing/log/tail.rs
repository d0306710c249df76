//! The last lines of a log file, read in bounded memory however long they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are searched for line ends at a time, and returned at a time.
pub(super) const BLOCK: usize = 64 << 10;
/// A longer line is returned in pieces.
const PIECE: u64 = 1 << 20;

/// The last lines of a file, as it was when it was opened.
#[derive(Debug)]
pub(super) struct FileTail(BufReader<Take<File>>);

impl FileTail {
    /// Opens a file at its last `count` lines.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn open(path: &Path, count: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let start = start_of_last(&file, length, count)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(FileTail(BufReader::new(file.take(length - start))))
    }

    /// Returns some more lines; `None` at the end.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn read(&mut self) -> io::Result<Option<String>> {
        let mut text = Vec::new();
        while text.len() < BLOCK {
            let mut line = (&mut self.0).take(PIECE);
            if line.read_until(b'\n', &mut text)? == 0 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        Ok((!text.is_empty()).then(|| text.into_owned()))
    }
}

/// Returns where the last `count` lines of a file of this length begin.
fn start_of_last(file: &File, length: u64, count: u64) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    // The line feed at the end of the last line starts no line.
    let mut end = length.saturating_sub(1);
    let mut found = 0;
    if count == 0 {
        return Ok(length);
    }
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let part = &mut block[..(end - start) as usize];
        file.read_exact_at(part, start)?;
        for (at, _) in part
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            found += 1;
            if found == count {
                return Ok(start + at as u64 + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(path: &Path, count: u64) -> String {
        let mut tail = FileTail::open(path, count).unwrap();
        let mut text = String::new();
        while let Some(more) = tail.read().unwrap() {
            text += &more;
        }
        text
    }

    #[test]
    fn long_files_are_read_from_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let text: String = (0..40_000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(tail(&path, 2), "line 39998\nline 39999\n");
        assert_eq!(tail(&path, 20_000).lines().count(), 20_000);
        assert_eq!(tail(&path, u64::MAX), text);
        assert_eq!(tail(&path, 0), "");
    }

    proptest! {
        #[test]
        fn the_last_lines_are_those_of_the_whole_text(text in "[a\n]{0,40}", count in 0u64..10) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            std::fs::write(&path, &text).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let skipped = lines.len().saturating_sub(count as usize);
            prop_assert_eq!(tail(&path, count), lines[skipped..].concat());
        }
    }
}
