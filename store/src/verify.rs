//! Verification: whether everything that a session was told to keep is still there as it was written.

mod check;

use std::fmt;
use std::path::PathBuf;

use crate::error::Result;
use crate::layout::SessionDir;

/// What is to be said of one file, or of one table. As text it is one line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the folder where no file can be named.
    pub path: PathBuf,
    /// What is the matter.
    pub kind: FindingKind,
    /// In words.
    pub what: String,
}

/// What can be the matter with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// It is not as it was written.
    Damaged,
    /// It was found damaged before, and was set aside: its rows are in no answer. Told until somebody removes it.
    SetAside,
    /// The index tells of it and it is not there: shipped by somebody, or lost.
    Gone,
    /// Numbers of segments of which nothing is there and nothing is told: they were empty, or went with the folder of their
    /// day.
    Gap,
    /// Nothing is known to compare it with, or this program does not know its format.
    Unknown,
    /// A segment that its dead recorder did not seal. Readers see its rows, and the next start seals it.
    Orphan,
    /// It was being written when its writer died; the next start removes it.
    Unfinished,
}

/// What became of a session's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Sealed files that were read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Open segments that were read; those of a session that is being recorded are not.
    pub segments: u64,
    /// What is to be said, file by file; nothing where all is whole.
    pub findings: Vec<Finding>,
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every file is there as it was written.
    Whole,
    /// Nothing is known to be damaged, but not of every file can be told.
    CannotTell,
    /// Something is damaged or gone.
    Damaged,
}

impl Report {
    /// The answer in one word.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|f| f.kind.verdict()).max().unwrap_or(Verdict::Whole)
    }

    fn note(&mut self, path: impl Into<PathBuf>, kind: FindingKind, what: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), kind, what: what.into() });
    }
}

impl FindingKind {
    /// What a store is that has one of these.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Damaged | Self::SetAside | Self::Gone => Verdict::Damaged,
            Self::Gap | Self::Unknown => Verdict::CannotTell,
            Self::Orphan | Self::Unfinished => Verdict::Whole,
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged",
            Self::SetAside => "set aside",
            Self::Gone => "gone",
            Self::Gap => "gap",
            Self::Unknown => "cannot tell",
            Self::Orphan => "not sealed yet",
            Self::Unfinished => "unfinished",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path.display(), self.kind, self.what)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::CannotTell => "cannot tell",
            Self::Damaged => "damaged",
        })
    }
}

/// Reads `session.json` and every file of a session's raw tables and compares them with what is known of them; segments that
/// nobody writes are decoded. Nothing is changed.
///
/// # Errors
/// When folders cannot be listed. What is wrong with files is in the report.
pub fn verify(dir: &SessionDir) -> Result<Report> {
    verify_telling(dir, |_| ())
}

/// The same; `read` is told how many bytes were read, file by file.
///
/// # Errors
/// As [`verify`].
pub fn verify_telling(dir: &SessionDir, mut read: impl FnMut(u64)) -> Result<Report> {
    check::Check::new(dir, &mut read).run()
}
