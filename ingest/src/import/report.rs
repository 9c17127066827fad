//! What an import did, and what it could not.

use std::collections::BTreeMap;
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

impl ImportReport {
    /// All rows.
    pub fn total_rows(&self) -> u64 {
        self.rows.values().sum()
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
