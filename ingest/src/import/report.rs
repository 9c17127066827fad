//! What an import did, and what it could not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bad lines that are kept in full; all are counted.
const KEPT_BAD_LINES: usize = 20;

/// What an import did, and what it could not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Files that were read.
    pub files: usize,
    /// Lines with something on them.
    pub lines: u64,
    /// Rows handed to the store, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Well-formed lines without any reading: they become no row.
    pub empty: u64,
    /// Frames of processes that were not asked for.
    pub left_out: u64,
    /// Lines that could not be imported.
    pub bad: u64,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// Keys that have no column, each once.
    pub unknown_keys: Vec<UnknownKey>,
    /// Values with more digits than their column keeps, rounded half to even.
    pub rounded: u64,
}

/// A line that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its file.
    pub file: PathBuf,
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// A key that has no column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The `source` of the lines that have it.
    pub source: String,
    /// Where it is in a line, such as `temps.vrm`.
    pub key: String,
    /// How many lines have it.
    pub count: u64,
    /// The file of the first of them.
    pub file: PathBuf,
    /// Its number, from 1.
    pub line: u64,
}

impl fmt::Display for ImportReport {
    /// For a person, several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows from {} lines of {} files", self.total_rows(), self.lines, self.files)?;
        for (table, rows) in &self.rows {
            write!(f, "\n  {table}: {rows} rows")?;
        }
        if self.empty > 0 {
            write!(f, "\n{} lines without any reading", self.empty)?;
        }
        if self.left_out > 0 {
            write!(f, "\n{} frames of other processes were left out", self.left_out)?;
        }
        if self.rounded > 0 {
            write!(f, "\n{} values with more digits than are kept, rounded", self.rounded)?;
        }
        for UnknownKey { source, key, count, file, line } in &self.unknown_keys {
            let (file, of) = (file.display(), if source.is_empty() { "" } else { " of " });
            write!(f, "\n{file}:{line}: no column for '{key}'{of}{source}, in {count} lines")?;
        }
        for BadLine { file, line, why } in &self.bad_lines {
            write!(f, "\n{}:{line}: {why}", file.display())?;
        }
        match self.bad - self.bad_lines.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more bad lines"),
        }
    }
}

impl ImportReport {
    /// All rows.
    pub fn total_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Adds what another file's import did.
    pub fn add(&mut self, other: ImportReport) {
        self.files += other.files;
        self.lines += other.lines;
        for (table, rows) in other.rows {
            *self.rows.entry(table).or_default() += rows;
        }
        self.empty += other.empty;
        self.left_out += other.left_out;
        self.rounded += other.rounded;
        self.bad += other.bad;
        let room = KEPT_BAD_LINES.saturating_sub(self.bad_lines.len());
        self.bad_lines.extend(other.bad_lines.into_iter().take(room));
        self.unknown_keys.extend(other.unknown_keys);
    }

    pub(super) fn bad_line(&mut self, file: &Path, line: u64, why: impl Into<String>) {
        self.bad += 1;
        if self.bad_lines.len() < KEPT_BAD_LINES {
            self.bad_lines.push(BadLine { file: file.to_path_buf(), line, why: why.into() });
        }
    }

    pub(super) fn unknown_key(&mut self, source: &str, key: &str, file: &Path, line: u64) {
        match self.unknown_keys.iter_mut().find(|u| u.key == key && u.source == source) {
            Some(known) => known.count += 1,
            None => self.unknown_keys.push(UnknownKey {
                source: source.into(),
                key: key.into(),
                count: 1,
                file: file.to_path_buf(),
                line,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_several_files_are_one() {
        let file = Path::new("a.csv");
        let mut one = ImportReport { files: 1, lines: 20, left_out: 2, ..Default::default() };
        (0..15).for_each(|line| one.bad_line(file, line, "bad"));
        one.rows.insert("frames", 5);
        let mut both = one.clone();
        both.add(one);
        assert_eq!((both.files, both.lines, both.left_out, both.rows["frames"]), (2, 40, 4, 10));
        assert_eq!((both.bad, both.bad_lines.len()), (30, KEPT_BAD_LINES));
        assert!(both.to_string().ends_with("... and 10 more bad lines"));
    }

    #[test]
    fn a_report_names_everything() {
        let mut report =
            ImportReport { files: 1, lines: 30, empty: 1, rounded: 2, ..Default::default() };
        report.rows.insert("benchlab", 5);
        let file = Path::new("a.jsonl");
        for line in [3, 4] {
            report.unknown_key("benchlab.usb", "temps.vrm", file, line);
        }
        for line in 6..30 {
            report.bad_line(file, line, "kv is missing");
        }
        let text = report.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "5 rows from 30 lines of 1 files",
                "  benchlab: 5 rows",
                "1 lines without any reading",
                "2 values with more digits than are kept, rounded",
                "a.jsonl:3: no column for 'temps.vrm' of benchlab.usb, in 2 lines",
                "a.jsonl:6: kv is missing",
            ]
        );
        assert_eq!((lines.len(), lines[25]), (26, "... and 4 more bad lines"));
    }
}
