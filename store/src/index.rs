//! The index of a day: what is in the sealed files beside it, so that nobody has to open them to know.
//!
//! Lies in `raw/<table>/date=…/_index`, is written by whoever seals, and serves pruning, verification and shipping. It is a
//! help, not the truth: files that it does not know are asked themselves, and so it may be missing, old or damaged.
//! `docs/format.md` says how it looks.

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::count::Footer;
use crate::error::{Result, StoreError};
use crate::layout::{SealedFile, SessionDir, names_in, sealed_name};
use crate::session::Files;
use crate::storage::Storage;

/// Version of the index's format.
pub const INDEX_FORMAT: u32 = 1;

/// Hive's underscore: whoever reads the whole folder as Parquet leaves it out.
const NAME: &str = "_index";

/// How long the turn of another writer of an index is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the index tells of a sealed file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name below the day's folder, such as `hour=03/000001.parquet`.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Its first `ts`, nanoseconds UTC.
    pub min_ts: Option<i64>,
    /// Its last `ts`.
    pub max_ts: Option<i64>,
    /// CRC-32 of its bytes, taken while they were written; none where it was not known then.
    #[serde(default, with = "text::hex")]
    pub crc32: Option<u32>,
    /// Version of the store's format that it was written in.
    pub format: u32,
    /// What a newer program adds: kept as it is.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// The files of a table on one day (UTC).
#[derive(Debug, Default)]
pub struct Day {
    /// Folder of the day.
    pub folder: PathBuf,
    /// The files that are there, by their names.
    pub files: Vec<Entry>,
    /// Files that the index tells of and that are not there: shipped, or lost.
    pub gone: Vec<Entry>,
    /// Files that the index does not know and that cannot be read, each named.
    pub unreadable: Vec<StoreError>,
    /// Why the index itself could not be used, if it could not.
    pub damaged: Option<String>,
}

impl Entry {
    /// Whether rows from `from_ns` on and before `to_ns` may be in it.
    pub fn overlaps(&self, from_ns: i64, to_ns: i64) -> bool {
        self.max_ts.is_none_or(|max| max >= from_ns) && self.min_ts.is_none_or(|min| min < to_ns)
    }

    /// What a file tells itself, without a checksum.
    pub(crate) fn of_file(day: &Path, file: &str) -> Result<Self> {
        let path = day.join(file);
        let footer = Footer::read(&path)?;
        Ok(Self {
            file: file.to_owned(),
            rows: footer.rows,
            bytes: fs_err::metadata(&path)?.len(),
            min_ts: footer.first_ts,
            max_ts: footer.last_ts,
            crc32: None,
            format: footer.format,
            other: Default::default(),
        })
    }
}

/// The days of a table that has sealed files, in their order.
///
/// # Errors
/// When folders cannot be listed, or an index that is there cannot be read at all. What is damaged is no error: see
/// [`Day`].
pub fn read(dir: &SessionDir, table: &str) -> Result<Vec<Day>> {
    dir.day_folders(table)?.iter().map(|folder| read_day(folder)).collect()
}

/// The files of a table that may have rows from `from_ns` on and before `to_ns`, by their numbers, and what is known of each;
/// no footer of a file that the index knows is read, nor the index of a day that lies elsewhere. The rules of `open/` are for
/// the caller: see [`Session::files`](crate::Session::files).
///
/// # Errors
/// As [`read`].
pub fn files_between(
    dir: &SessionDir,
    table: &str,
    from_ns: i64,
    to_ns: i64,
) -> Result<Vec<(SealedFile, Entry)>> {
    Ok(between(dir, table, from_ns, to_ns)?.files)
}

/// The same, and the files that cannot be read.
pub(crate) fn between(dir: &SessionDir, table: &str, from_ns: i64, to_ns: i64) -> Result<Files> {
    let Files { mut files, mut unreadable } = Files::default();
    for folder in dir.day_folders(table)? {
        if is_elsewhere(&folder, from_ns, to_ns) {
            continue;
        }
        let day = read_day(&folder)?;
        unreadable.extend(day.unreadable);
        for entry in day.files.into_iter().filter(|e| e.overlaps(from_ns, to_ns)) {
            let path = day.folder.join(&entry.file);
            let name = path.file_name().and_then(|n| n.to_str()).and_then(sealed_name);
            if let Some((seq, part)) = name {
                files.push((SealedFile { seq, part, path }, entry));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Files { files, unreadable })
}

/// Whether the rows of a day lie elsewhere by its name. Believed only where there is an index, with an hour to spare: a file
/// without one may be of a program that did not split segments by the hour.
fn is_elsewhere(day: &Path, from_ns: i64, to_ns: i64) -> bool {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let name = day.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let midnight = name
        .strip_prefix("date=")
        .and_then(|date| format!("{date}T00:00:00Z").parse::<jiff::Timestamp>().ok())
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    let Some(midnight) = midnight else { return false };
    let is_before = midnight.saturating_add(25 * HOUR_NS) <= from_ns;
    let is_after = midnight.saturating_sub(HOUR_NS) >= to_ns;
    (is_before || is_after) && day.join(NAME).exists()
}

/// One day: its index, brought up to date with what is in its folder.
///
/// # Errors
/// As [`read`].
pub fn read_day(folder: &Path) -> Result<Day> {
    let mut day = Day { folder: folder.into(), ..Day::default() };
    let (mut known, written) = match text::read(&folder.join(NAME)) {
        Ok(found) => found,
        Err(e @ (StoreError::Index { .. } | StoreError::Newer { .. })) => {
            day.damaged = Some(e.to_string());
            Default::default()
        }
        Err(e) => return Err(e),
    };
    let mut hours = names_in(folder)?;
    hours.retain(|n| n.starts_with("hour="));
    hours.sort();
    for hour in hours {
        let hour_folder = folder.join(&hour);
        let is_newer = modified(&hour_folder) > written;
        let mut names = names_in(&hour_folder)?;
        names.retain(|n| sealed_name(n).is_some());
        names.sort();
        for name in names {
            let file = format!("{hour}/{name}");
            let entry = known.remove(&file).filter(|e| !is_newer || is_as_long(folder, e));
            match entry.map_or_else(|| Entry::of_file(folder, &file), Ok) {
                Ok(entry) => day.files.push(entry),
                Err(e) => day.unreadable.push(e),
            }
        }
    }
    day.gone = known.into_values().collect();
    Ok(day)
}

/// What the index tells of one file, as it stands there.
pub(crate) fn entry_of(file: &Path) -> Option<Entry> {
    let day = file.parent()?.parent()?;
    let name = file.strip_prefix(day).ok()?.to_str()?;
    text::read(&day.join(NAME)).ok()?.0.remove(name)
}

fn is_as_long(folder: &Path, entry: &Entry) -> bool {
    std::fs::metadata(folder.join(&entry.file)).is_ok_and(|m| m.len() == entry.bytes)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// Adds files to the index of a day, or replaces what it tells of them.
pub(crate) fn add(storage: &dyn Storage, folder: &Path, entries: Vec<Entry>) -> Result<()> {
    update(storage, folder, |all| all.extend(entries.into_iter().map(|e| (e.file.clone(), e))))
}

/// Changes the index of a day, brought up to date with its folder. One writer at a time: the recorder adds to it while
/// others change it.
pub(crate) fn update(
    storage: &dyn Storage,
    folder: &Path,
    change: impl FnOnce(&mut BTreeMap<String, Entry>),
) -> Result<()> {
    let path = folder.join(NAME);
    let _turn = take_turn(folder)?;
    if let Err(e @ StoreError::Newer { .. }) = text::read(&path) {
        return Err(e);
    }
    let day = read_day(folder)?;
    if day.damaged.is_some() {
        // Kept, for a person to see.
        storage.rename(&path, &folder.join("_index.damaged"))?;
    }
    let mut all: BTreeMap<String, Entry> =
        day.files.into_iter().chain(day.gone).map(|e| (e.file.clone(), e)).collect();
    change(&mut all);
    storage.replace_file(&path, &text::write(&path, all.values())?)
}

/// Waits for other writers of a day's index, who need milliseconds; the turn ends when the file is dropped. Where a file
/// system cannot lock a folder (NFS), everybody has a turn, and an entry that is overwritten is made up for by its file.
fn take_turn(folder: &Path) -> Result<Option<fs_err::File>> {
    let file = fs_err::File::open(folder)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(Errno::WOULDBLOCK) => {
                let what = format!(
                    "its index has been held by another process for {} s",
                    PATIENCE.as_secs()
                );
                return Err(StoreError::Index { path: folder.join(NAME), what });
            }
            Err(_) => return Ok(None),
        }
    }
}

/// Adds sealed files whose writer died before it could: their checksums are taken now.
pub(crate) fn add_sealed(dir: &SessionDir, files: &[&SealedFile]) -> Result<()> {
    for file in files.iter().filter(|f| entry_of(&f.path).is_none()) {
        let Some(day) = file.path.parent().and_then(Path::parent) else { continue };
        let Ok(name) = file.path.strip_prefix(day) else { continue };
        let (_, crc32) = checksum(&file.path)?;
        let entry = Entry { crc32: Some(crc32), ..Entry::of_file(day, &name.to_string_lossy())? };
        add(dir.storage(), day, vec![entry])?;
    }
    Ok(())
}

/// Size and CRC-32 of a file, read once from its beginning to its end.
pub(crate) fn checksum(path: &Path) -> Result<(u64, u32)> {
    use std::io::Read;

    let mut file = fs_err::File::open(path)?;
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, crc.finalize())),
            n => {
                crc.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}
