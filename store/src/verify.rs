//! Verification: whether everything that a session was told to keep is still there as it was written.

use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};
use crate::index::{self, Day, Entry};
use crate::layout::{SessionDir, names_in, sealed_name};
use crate::merge::Survey;
use crate::session::Session;
use crate::storage::is_unfinished;

/// What is to be said of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What is the matter.
    pub kind: FindingKind,
    /// In words.
    pub what: String,
}

/// What can be the matter with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// It is not as it was written.
    Damaged,
    /// The index tells of it and it is not there: shipped by somebody, or lost.
    Gone,
    /// Nothing is known to compare it with, or this program does not know its format.
    Unknown,
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
        let of = |f: &Finding| match f.kind {
            FindingKind::Damaged | FindingKind::Gone => Verdict::Damaged,
            FindingKind::Unknown => Verdict::CannotTell,
            FindingKind::Unfinished => Verdict::Whole,
        };
        self.findings.iter().map(of).max().unwrap_or(Verdict::Whole)
    }

    fn note(&mut self, path: impl Into<PathBuf>, kind: FindingKind, what: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), kind, what: what.into() });
    }
}

/// Reads every file of a session's raw tables and compares it with its checksum; segments that nobody writes are decoded.
/// Nothing is changed.
///
/// # Errors
/// When folders cannot be listed. What is wrong with files is in the report.
pub fn verify(session: &Session) -> Result<Report> {
    let mut report = Report::default();
    let dir = session.dir();
    for table in dir.raw_tables()? {
        for day in index::read(dir, &table)? {
            check_day(&day, &mut report);
        }
        for folder in dir.hour_folders(&table)? {
            check_names(&folder, &mut report)?;
        }
        check_segments(session, dir, &table, &mut report)?;
    }
    Ok(report)
}

fn check_day(day: &Day, report: &mut Report) {
    if let Some(what) = &day.damaged {
        report.note(&day.folder, FindingKind::Damaged, what.clone());
    }
    for entry in &day.gone {
        let path = day.folder.join(&entry.file);
        report.note(path, FindingKind::Gone, format!("{} rows", entry.rows));
    }
    for e in &day.unreadable {
        let (path, kind) = match e {
            StoreError::Newer { path, .. } => (path.clone(), FindingKind::Unknown),
            StoreError::Parquet { path, .. } => (path.clone(), FindingKind::Damaged),
            _ => (day.folder.clone(), FindingKind::Damaged),
        };
        report.note(path, kind, e.to_string());
    }
    day.files.iter().for_each(|entry| check_file(&day.folder.join(&entry.file), entry, report));
}

fn check_file(path: &Path, entry: &Entry, report: &mut Report) {
    report.files += 1;
    let (bytes, crc32) = match index::checksum(path) {
        Ok(found) => found,
        Err(e) => return report.note(path, FindingKind::Damaged, e.to_string()),
    };
    report.bytes += bytes;
    match entry.crc32 {
        _ if bytes != entry.bytes => {
            let what = format!("{bytes} bytes, {} were written", entry.bytes);
            report.note(path, FindingKind::Damaged, what);
        }
        None => report.note(path, FindingKind::Unknown, "no checksum is known of it"),
        Some(written) if written != crc32 => {
            let what = format!("checksum {crc32:08x}, {written:08x} was written");
            report.note(path, FindingKind::Damaged, what);
        }
        Some(_) => {}
    }
}

/// Files among the sealed ones that are none.
fn check_names(folder: &Path, report: &mut Report) -> Result<()> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        if is_unfinished(&name) {
            report.note(path, FindingKind::Unfinished, "its writer died while it wrote it");
        } else if sealed_name(&name).is_none() {
            report.note(path, FindingKind::Unknown, "its name is not that of a sealed file");
        }
    }
    Ok(())
}

fn check_segments(
    session: &Session,
    dir: &SessionDir,
    table: &str,
    report: &mut Report,
) -> Result<()> {
    for name in names_in(&dir.open(table))? {
        if name.ends_with(".wal.damaged") {
            let what = "kept as it could not be read as a whole when it was sealed";
            report.note(dir.open(table).join(name), FindingKind::Damaged, what);
        }
    }
    if session.is_live() {
        return Ok(());
    }
    let origin = session.origin();
    for (_, path) in dir.open_segments(table)? {
        report.segments += 1;
        let Some(known) = bl_schemas::table(table) else {
            report.note(path, FindingKind::Unknown, format!("table {table} is not known"));
            continue;
        };
        match Survey::take(&path, known, &origin, None).map(|survey| survey.damage) {
            Ok(damage) if damage.is_serious() => {
                let what = format!("{} bytes of {} known rows", damage.bytes, damage.rows);
                report.note(path, FindingKind::Damaged, what);
            }
            Ok(_) => {}
            Err(e @ StoreError::Newer { .. }) => {
                report.note(path, FindingKind::Unknown, e.to_string());
            }
            Err(e) => report.note(path, FindingKind::Damaged, e.to_string()),
        }
    }
    Ok(())
}
