//! Where things lie. Paths are made here and nowhere else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;

use crate::error::Result;
use crate::names::SessionId;
use crate::storage::Storage;

/// The folder of one session, and the disk that it lies on.
#[derive(Debug, Clone)]
pub struct SessionDir {
    path: PathBuf,
    storage: Arc<dyn Storage>,
}

/// A sealed file of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedFile {
    /// Number of the segment that it was.
    pub seq: u64,
    /// 0 for the file of the segment's first hour, 1 for that of the next one that it has rows of, and so on.
    pub part: u64,
    /// Where it lies.
    pub path: PathBuf,
}

impl SessionDir {
    pub(crate) fn new(data_root: &Path, id: &SessionId, storage: Arc<dyn Storage>) -> Self {
        Self { path: sessions_dir(data_root).join(id.as_str()), storage }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk, for whatever is written.
    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// `session.json`.
    pub fn manifest(&self) -> PathBuf {
        self.path.join("session.json")
    }

    /// What its folder is called.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The lock of the one writer.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The lock of whoever changes sealed files.
    pub(crate) fn maintenance(&self) -> PathBuf {
        self.path.join("maintenance")
    }

    /// Folder of a raw table.
    pub fn raw(&self, table: &str) -> PathBuf {
        self.path.join("raw").join(table)
    }

    /// Folder of a table that `bl align` computes.
    pub fn aligned(&self, table: &str) -> PathBuf {
        self.path.join("aligned").join(table)
    }

    /// Folder of the files for CapFrameX.
    pub fn cx_export(&self) -> PathBuf {
        self.path.join("cx-export")
    }

    pub(crate) fn open(&self, table: &str) -> PathBuf {
        self.raw(table).join("open")
    }

    pub(crate) fn segment(&self, table: &str, seq: u64) -> PathBuf {
        self.open(table).join(format!("{seq:06}.wal"))
    }

    /// Where the highest number of a segment is noted.
    pub(crate) fn highest_sequence(&self, table: &str) -> PathBuf {
        self.raw(table).join("_highest")
    }

    /// Where the rows of segment `seq` go that are of the hour of `ts` (nanoseconds UTC).
    pub(crate) fn sealed(&self, table: &str, seq: u64, part: usize, ts: i64) -> PathBuf {
        let time = jiff::Timestamp::from_second(ts.div_euclid(1_000_000_000))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let hour = time.strftime("date=%Y-%m-%d/hour=%H").to_string();
        let name = match part {
            0 => format!("{seq:06}.parquet"),
            part => format!("{seq:06}-{part}.parquet"),
        };
        self.raw(table).join(hour).join(name)
    }

    /// Names of the raw tables that the session has a folder of.
    pub(crate) fn raw_tables(&self) -> Result<Vec<String>> {
        names_in(&self.path.join("raw"))
    }

    /// The sealed files of a table, by their number. Hours are looked at in their order: the file of a segment's first
    /// hour appears last, so that whoever sees it sees the others.
    pub(crate) fn sealed_files(&self, table: &str) -> Result<Vec<SealedFile>> {
        let mut files = Vec::new();
        for folder in self.hour_folders(table)? {
            for name in names_in(&folder)? {
                if let Some((seq, part)) = sealed_name(&name) {
                    files.push(SealedFile { seq, part, path: folder.join(name) });
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The folders of the days that a table has files of, in their order.
    pub(crate) fn day_folders(&self, table: &str) -> Result<Vec<PathBuf>> {
        let raw = self.raw(table);
        let mut dates = names_in(&raw)?;
        dates.retain(|n| n.starts_with("date="));
        dates.sort();
        Ok(dates.into_iter().map(|date| raw.join(date)).collect())
    }

    /// The folders of the hours that a table has files of, in their order.
    pub(crate) fn hour_folders(&self, table: &str) -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for day in self.day_folders(table)? {
            folders.extend(names_in(&day)?.into_iter().map(|hour| day.join(hour)));
        }
        folders.sort();
        Ok(folders)
    }

    /// The open segments of a table, by their number.
    pub(crate) fn open_segments(&self, table: &str) -> Result<Vec<(u64, PathBuf)>> {
        let folder = self.open(table);
        let mut segments: Vec<_> = names_in(&folder)?
            .into_iter()
            .filter_map(|name| Some((sequence(&name, ".wal")?, folder.join(&name))))
            .collect();
        segments.sort();
        Ok(segments)
    }
}

/// The folder of all sessions.
pub(crate) fn sessions_dir(data_root: &Path) -> PathBuf {
    data_root.join("sessions")
}

fn sequence(name: &str, extension: &str) -> Option<u64> {
    name.strip_suffix(extension)?.parse().ok()
}

/// Number and part that the name of a sealed file tells.
pub(crate) fn sealed_name(name: &str) -> Option<(u64, u64)> {
    let stem = name.strip_suffix(".parquet")?;
    match stem.split_once('-') {
        None => Some((stem.parse().ok()?, 0)),
        Some((seq, part)) => Some((seq.parse().ok()?, part.parse().ok()?)),
    }
}

/// What a sealed file is called that is damaged: with an underscore, so that no engine takes it for data.
pub(crate) fn set_aside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("_{name}.damaged"))
}

/// Number and part that the name of such a file tells.
pub(crate) fn set_aside_name(name: &str) -> Option<(u64, u64)> {
    sealed_name(name.strip_prefix('_')?.strip_suffix(".damaged")?)
}

/// Leaves out the files that do not count yet: those of a segment that is still open and whose first file has not
/// appeared.
pub(crate) fn that_count(sealed: &mut Vec<SealedFile>, open: &[(u64, PathBuf)]) {
    let whole: BTreeSet<u64> = sealed.iter().filter(|f| f.part == 0).map(|f| f.seq).collect();
    sealed.retain(|f| whole.contains(&f.seq) || open.iter().all(|(seq, _)| *seq != f.seq));
}

/// Names in a folder; none where there is no such folder.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        // A plain file beside the folders, such as somebody's notes.
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
