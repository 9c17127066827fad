//! The looks at each kind of file.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FindingKind, Report};
use crate::error::{Result, StoreError};
use crate::index::{self, Day, Entry};
use crate::layout::{SessionDir, names_in, sealed_name, set_aside_name};
use crate::lock::Lock;
use crate::manifest::{Manifest, State};
use crate::merge::Survey;
use crate::rest::Origin;
use crate::sequence;
use crate::storage::is_unfinished;

/// One look at a session.
pub(super) struct Check<'a> {
    dir: &'a SessionDir,
    /// Somebody writes it now: what is open is on its way.
    is_live: bool,
    read: &'a mut dyn FnMut(u64),
    report: Report,
}

impl<'a> Check<'a> {
    pub fn new(dir: &'a SessionDir, read: &'a mut dyn FnMut(u64)) -> Self {
        let is_live = Lock::is_held(&dir.lock());
        Self { dir, is_live, read, report: Report::default() }
    }

    pub fn run(mut self) -> Result<Report> {
        let tables = self.dir.raw_tables()?;
        self.manifest(!tables.is_empty());
        for table in tables {
            let mut numbers = BTreeSet::new();
            self.segments(&table, &mut numbers)?;
            for day in index::read(self.dir, &table)? {
                self.day(&day, &mut numbers);
            }
            for folder in self.dir.hour_folders(&table)? {
                self.names(&folder, &mut numbers)?;
            }
            self.numbers(&table, &numbers);
        }
        Ok(self.report)
    }

    fn manifest(&mut self, has_rows: bool) {
        let path = self.dir.manifest();
        match Manifest::read(&path) {
            Ok(manifest) if manifest.id.as_str() != self.dir.name() => {
                let what = format!("it is that of session '{}'", manifest.id);
                self.report.note(path, FindingKind::Unknown, what);
            }
            Ok(manifest) if manifest.state == State::Recording && !self.is_live => {
                let what = "its recorder died; the next start recovers it";
                self.report.note(path, FindingKind::Orphan, what);
            }
            Ok(_) => {}
            Err(e @ StoreError::Newer { .. }) => {
                self.report.note(path, FindingKind::Unknown, e.to_string());
            }
            Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                if has_rows {
                    let what = "it is missing, and there are rows in its folder";
                    self.report.note(path, FindingKind::Damaged, what);
                }
            }
            Err(e) => self.report.note(path, FindingKind::Damaged, reason(&e)),
        }
    }

    fn day(&mut self, day: &Day, numbers: &mut BTreeSet<u64>) {
        if let Some(what) = &day.damaged {
            self.report.note(&day.folder, FindingKind::Damaged, what.clone());
        }
        let known = day.files.iter().chain(&day.gone);
        numbers.extend(known.filter_map(|e| Some(sealed_name(e.file.rsplit('/').next()?)?.0)));
        for entry in &day.gone {
            let path = day.folder.join(&entry.file);
            self.report.note(path, FindingKind::Gone, format!("{} rows", entry.rows));
        }
        for e in &day.unreadable {
            let (path, kind) = match e {
                StoreError::Newer { path, .. } => (path.clone(), FindingKind::Unknown),
                StoreError::Parquet { path, .. } => (path.clone(), FindingKind::Damaged),
                _ => (day.folder.clone(), FindingKind::Damaged),
            };
            self.report.note(path, kind, reason(e));
        }
        day.files.iter().for_each(|entry| self.file(&day.folder.join(&entry.file), entry));
    }

    fn file(&mut self, path: &Path, entry: &Entry) {
        let (bytes, crc32) = match index::checksum(path) {
            Ok(found) => found,
            // Compacted or shipped since it was listed, in order.
            Err(StoreError::Io(e))
                if e.kind() == std::io::ErrorKind::NotFound && index::entry_of(path).is_none() =>
            {
                return;
            }
            Err(e) => return self.report.note(path, FindingKind::Damaged, e.to_string()),
        };
        self.report.files += 1;
        self.report.bytes += bytes;
        (self.read)(bytes);
        match entry.crc32 {
            _ if bytes != entry.bytes => {
                let what = format!("{bytes} bytes, {} were written", entry.bytes);
                self.report.note(path, FindingKind::Damaged, what);
            }
            None => {
                self.report.note(path, FindingKind::Unknown, "no checksum is known of it");
            }
            Some(written) if written != crc32 => {
                let what = format!("checksum {crc32:08x}, {written:08x} was written");
                self.report.note(path, FindingKind::Damaged, what);
            }
            Some(_) => {}
        }
    }

    /// Files among the sealed ones that are none.
    fn names(&mut self, folder: &Path, numbers: &mut BTreeSet<u64>) -> Result<()> {
        for name in names_in(folder)? {
            let path = folder.join(&name);
            if is_unfinished(&name) {
                if !self.is_live {
                    let what = "its writer died while it wrote it";
                    self.report.note(path, FindingKind::Unfinished, what);
                }
            } else if let Some((seq, _)) = set_aside_name(&name) {
                numbers.insert(seq);
                let what = "it was damaged, and its rows are in no answer";
                self.report.note(path, FindingKind::SetAside, what);
            } else if let Some((seq, _)) = sealed_name(&name) {
                numbers.insert(seq);
            } else {
                let what = "its name is not that of a sealed file";
                self.report.note(path, FindingKind::Unknown, what);
            }
        }
        Ok(())
    }

    fn segments(&mut self, table: &str, numbers: &mut BTreeSet<u64>) -> Result<()> {
        let folder = self.dir.open(table);
        for name in names_in(&folder)?.into_iter().filter(|n| n.ends_with(".wal.damaged")) {
            let what = "it could not be read as a whole when it was sealed";
            self.report.note(folder.join(name), FindingKind::SetAside, what);
        }
        for (seq, path) in self.dir.open_segments(table)? {
            numbers.insert(seq);
            if !self.is_live {
                self.segment(table, &path);
            }
        }
        Ok(())
    }

    fn segment(&mut self, table: &str, path: &Path) {
        self.report.segments += 1;
        let Some(known) = bl_schemas::table(table) else {
            let what = format!("table {table} is not known");
            return self.report.note(path, FindingKind::Unknown, what);
        };
        // What the rows say of their session matters to nobody here.
        let origin = Origin { session: String::new(), node: String::new() };
        let taken = Survey::take(path, known, &origin, None).map(|s| (s.rows(), s.damage.clone()));
        match taken {
            Ok((_, damage)) if damage.is_serious() => {
                let what = format!("{} bytes of {} known rows", damage.bytes, damage.rows);
                self.report.note(path, FindingKind::Damaged, what);
            }
            Ok((rows, _)) => self.report.note(path, FindingKind::Orphan, format!("{rows} rows")),
            Err(e @ StoreError::Newer { .. }) => {
                self.report.note(path, FindingKind::Unknown, reason(&e));
            }
            Err(e) => self.report.note(path, FindingKind::Damaged, reason(&e)),
        }
    }

    /// Whether something is known of every segment that there ever was.
    fn numbers(&mut self, table: &str, numbers: &BTreeSet<u64>) {
        let last = numbers.last().copied().unwrap_or(0);
        let noted = match sequence::noted(self.dir, table) {
            Ok(noted) => noted.unwrap_or(0),
            Err(what) => {
                let path = self.dir.highest_sequence(table);
                return self.report.note(path, FindingKind::Damaged, what);
            }
        };
        // A recorder that runs notes the numbers of what it is sealing before it appears.
        let end = if self.is_live { last } else { last.max(noted) };
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        let mut next = 1;
        for number in numbers.iter().copied().chain([end.saturating_add(1)]) {
            if next < number {
                gaps.push((next, number - 1));
            }
            next = number + 1;
        }
        if !gaps.is_empty() {
            let told = |(from, to): &(u64, u64)| match from == to {
                true => from.to_string(),
                false => format!("{from} to {to}"),
            };
            let list = gaps.iter().map(told).collect::<Vec<_>>().join(", ");
            let what = format!("nothing is known of segments {list}");
            self.report.note(self.dir.raw(table), FindingKind::Gap, what);
        }
    }
}

/// What is wrong, without the path that the finding names.
fn reason(e: &StoreError) -> String {
    match e {
        StoreError::Parquet { source, .. } => source.to_string(),
        StoreError::Manifest { what, .. }
        | StoreError::Segment { what, .. }
        | StoreError::Newer { what, .. }
        | StoreError::Damaged { what, .. }
        | StoreError::Index { what, .. } => what.clone(),
        other => other.to_string(),
    }
}
