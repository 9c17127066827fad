//! The index of a day as bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use super::{Entry, INDEX_FORMAT};
use crate::error::{Result, StoreError};

/// The entries of an index by their files, and when it was written. One that is not there has none.
pub(super) fn read(path: &Path) -> Result<(BTreeMap<String, Entry>, Option<SystemTime>)> {
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
    let written = std::fs::metadata(path).and_then(|m| m.modified()).ok();
    Ok((entries.into_iter().map(|e| (e.file.clone(), e)).collect(), written))
}

/// The bytes of an index of these entries.
pub(super) fn write<'a>(path: &Path, entries: impl Iterator<Item = &'a Entry>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)
            .map_err(|e| StoreError::Index { path: path.into(), what: e.to_string() })?;
        lines.push(b'\n');
    }
    let version = INDEX_FORMAT.to_string();
    let first = format!("bl-index {version} {}\n", checksum_of(&version, &lines));
    let mut text = first.into_bytes();
    text.extend(lines);
    Ok(text)
}

/// Why an index cannot be used.
#[derive(Debug)]
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

/// Eight hexadecimal digits, as tools print a CRC-32.
pub(super) mod hex {
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
