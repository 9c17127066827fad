//! The index of a day: what is in the sealed files beside it, so that nobody has to open them to know.
//!
//! Lies in `raw/<table>/date=…/_index`, is written by whoever seals, and serves pruning, verification and shipping. It is a
//! help, not the truth: files that it does not know are asked themselves, and so it may be missing, old or damaged.
//! `docs/format.md` says how it looks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::count::Footer;
use crate::error::{Result, StoreError};
use crate::layout::{SealedFile, SessionDir, names_in, sealed_name};
use crate::storage::Storage;

/// Version of the index's format.
pub const INDEX_FORMAT: u32 = 1;

/// Hive's underscore: whoever reads the whole folder as Parquet leaves it out.
const NAME: &str = "_index";

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
    #[serde(default, with = "hex")]
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
    fn of_file(day: &Path, file: &str) -> Result<Self> {
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
/// no footer of a file that the index knows is read. The rules of `open/` are for the caller: see
/// [`Session::snapshot`](crate::Session::snapshot).
///
/// # Errors
/// As [`read`].
pub fn files_between(
    dir: &SessionDir,
    table: &str,
    from_ns: i64,
    to_ns: i64,
) -> Result<Vec<(SealedFile, Entry)>> {
    let mut files = Vec::new();
    for day in read(dir, table)? {
        for entry in day.files.into_iter().filter(|e| e.overlaps(from_ns, to_ns)) {
            let path = day.folder.join(&entry.file);
            let name = path.file_name().and_then(|n| n.to_str()).and_then(sealed_name);
            if let Some((seq, part)) = name {
                files.push((SealedFile { seq, part, path }, entry));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// One day: its index, brought up to date with what is in its folder.
///
/// # Errors
/// As [`read`].
pub fn read_day(folder: &Path) -> Result<Day> {
    let mut day = Day { folder: folder.into(), ..Day::default() };
    let (mut known, written) = match parse_file(&folder.join(NAME)) {
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

fn is_as_long(folder: &Path, entry: &Entry) -> bool {
    std::fs::metadata(folder.join(&entry.file)).is_ok_and(|m| m.len() == entry.bytes)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// The entries of an index by their files, and when it was written. One that is not there has none.
fn parse_file(path: &Path) -> Result<(BTreeMap<String, Entry>, Option<SystemTime>)> {
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(e) => return Err(e.into()),
    };
    let entries = match parse(&text) {
        Ok(entries) => entries,
        Err(Unusable::Damaged(what)) => return Err(StoreError::Index { path: path.into(), what }),
        Err(Unusable::Newer(what)) => return Err(StoreError::Newer { path: path.into(), what }),
    };
    Ok((entries.into_iter().map(|e| (e.file.clone(), e)).collect(), modified(path)))
}

/// Why an index cannot be used.
enum Unusable {
    Damaged(String),
    Newer(String),
}

fn parse(text: &[u8]) -> Result<Vec<Entry>, Unusable> {
    let damaged = |what: &str| Unusable::Damaged(what.to_owned());
    let end = text.iter().position(|b| *b == b'\n').ok_or(damaged("it has no first line"))?;
    let (first, rest) = (&text[..end], &text[end + 1..]);
    let first = std::str::from_utf8(first).unwrap_or_default();
    let words: Vec<&str> = first.split(' ').collect();
    let ["bl-index", version, crc] = words[..] else {
        return Err(damaged("its first line is not that of an index"));
    };
    if crc != checksum_of(version, rest) {
        return Err(damaged("its checksum is wrong"));
    }
    if version != INDEX_FORMAT.to_string() {
        let what = format!("index format {version}, this program knows {INDEX_FORMAT}");
        return Err(Unusable::Newer(what));
    }
    rest.split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|e| Unusable::Damaged(e.to_string())))
        .collect()
}

/// The checksum of an index: of its version and of all that follows its first line.
fn checksum_of(version: &str, lines: &[u8]) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(version.as_bytes());
    crc.update(lines);
    format!("{:08x}", crc.finalize())
}

/// Adds files to the index of a day, or replaces what it tells of them.
pub(crate) fn add(storage: &dyn Storage, folder: &Path, entries: Vec<Entry>) -> Result<()> {
    let path = folder.join(NAME);
    if let Err(e @ StoreError::Newer { .. }) = parse_file(&path) {
        return Err(e);
    }
    let day = read_day(folder)?;
    if day.damaged.is_some() {
        // Kept, for a person to see.
        storage.rename(&path, &folder.join("_index.damaged"))?;
    }
    let mut all: BTreeMap<String, Entry> =
        day.files.into_iter().chain(day.gone).map(|e| (e.file.clone(), e)).collect();
    all.extend(entries.into_iter().map(|e| (e.file.clone(), e)));
    let mut lines = Vec::new();
    for entry in all.values() {
        serde_json::to_writer(&mut lines, entry)
            .map_err(|e| StoreError::Index { path: path.clone(), what: e.to_string() })?;
        lines.push(b'\n');
    }
    let version = INDEX_FORMAT.to_string();
    let first = format!("bl-index {version} {}\n", checksum_of(&version, &lines));
    let mut text = first.into_bytes();
    text.extend(lines);
    storage.replace_file(&path, &text)
}

/// Adds sealed files whose writer died before it could: their checksums are taken now.
pub(crate) fn add_sealed(dir: &SessionDir, files: &[&SealedFile]) -> Result<()> {
    for file in files {
        let Some(day) = file.path.parent().and_then(Path::parent) else { continue };
        let Ok(name) = file.path.strip_prefix(day) else { continue };
        let known = parse_file(&day.join(NAME)).map(|(known, _)| known).unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        if !known.contains_key(&name) {
            let (_, crc32) = checksum(&file.path)?;
            let entry = Entry { crc32: Some(crc32), ..Entry::of_file(day, &name)? };
            add(dir.storage(), day, vec![entry])?;
        }
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

/// Eight hexadecimal digits, as tools print a CRC-32.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(crc: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
        crc.map(|crc| format!("{crc:08x}")).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|t| u32::from_str_radix(&t, 16).map_err(D::Error::custom)).transpose()
    }
}
