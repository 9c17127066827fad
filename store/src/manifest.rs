//! `session.json`: what a session is.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::layout::SessionDir;
use crate::names::SessionId;

/// Version of the store's format, see `docs/format.md`.
pub const FORMAT: u32 = 1;

/// What `session.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the session.
    pub id: SessionId,
    /// The session that this one goes on from; none in the first part, and where there is but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<SessionId>,
    /// The how-manieth part it is, from 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Name of the host.
    pub node: String,
    /// When it began, nanoseconds UTC on its own timeline.
    pub started_ns: i64,
    /// When it ended; none while it is recorded, and after a crash until it is recovered.
    pub ended_ns: Option<i64>,
    /// Whether it is being recorded.
    pub state: State,
    /// What ties its stamps to UTC.
    #[serde(flatten)]
    pub anchor: Anchor,
    /// Whether the anchor is a guess, as for recordings imported without one.
    #[serde(default)]
    pub anchor_estimated: bool,
    /// Identity of the boot that it was recorded in: within it the monotonic clock is one.
    pub boot_id: Option<String>,
    /// Names of its sources.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Whether any of them is simulated.
    #[serde(default)]
    pub simulated: bool,
    /// Devices that were found, each an object with an `id`.
    #[serde(default)]
    pub devices: Vec<serde_json::Value>,
    /// The host: processor, memory, system.
    #[serde(default)]
    pub host: serde_json::Value,
    /// The configuration in effect, without secrets.
    #[serde(default)]
    pub config: serde_json::Value,
    /// Files that were imported into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// Rows of each table, known once it has ended.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// What others wrote there: kept as it is.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// State of a session as its manifest tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Being recorded, or its recorder died.
    Recording,
    /// Ended in order.
    Ended,
    /// Its recorder died; everything was sealed afterwards.
    Recovered,
}

/// A file that was imported into a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// The file's name, which is column `log` of its frames.
    pub file: String,
    /// What its rows carry in `source`.
    pub source: String,
    /// SHA-256 of its content, 64 hex digits.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// The one process whose frames were taken; without one, all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// When its first frame was; none for a recording, whose rows have times of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_frame: Option<FirstFrame>,
    /// What it tells about the game and the system, by the names of the tool that wrote it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub info: serde_json::Map<String, serde_json::Value>,
}

impl Import {
    /// Whether it brings in what another one did, whatever the file is called. Of a log of which one process was taken,
    /// another process is new.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_other_process = match (&self.process, &other.process) {
            (Some(process), Some(other)) => process != other,
            _ => false,
        };
        self.sha256 == other.sha256 && !is_other_process
    }
}

/// When the first frame of an imported log was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstFrame {
    /// Nanoseconds UTC.
    pub ts_ns: i64,
    /// By how much that may be wrong; none where nothing tells.
    pub err_ns: Option<i64>,
    /// What tells it.
    pub from: String,
}

impl Manifest {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &fs::read(path)?)
    }

    /// Reads its text, which is that of the file `path`.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let wrong =
            |e: serde_json::Error| StoreError::Manifest { path: path.into(), what: e.to_string() };
        // First of all the version: a newer one may look different in everything else.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        match serde_json::from_slice(text) {
            Ok(Version { format }) if format > FORMAT => Err(StoreError::Newer {
                path: path.into(),
                what: format!("format {format} is newer than this program knows ({FORMAT})"),
            }),
            _ => serde_json::from_slice(text).map_err(wrong),
        }
    }

    /// Writes it, with the keys of others as they stand in the file now.
    pub(crate) fn write(&self, dir: &SessionDir) -> Result<()> {
        let path = dir.manifest();
        let mut manifest = self.clone();
        if let Ok(now) = Self::read(&path) {
            manifest.other = now.other;
        }
        let mut text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| StoreError::Manifest { path: path.clone(), what: e.to_string() })?;
        text.push(b'\n');
        dir.storage().replace_file(&path, &text)
    }
}

/// Identity of this boot of the host; none where the kernel does not tell.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHOUT_IMPORTS: &str = r#"{"format":1,"id":"a","node":"n","started_ns":0,"ended_ns":null,"state":"ended",
        "utc_minus_monotonic_ns":0,"err_ns":0,"boot_id":null}"#;

    #[test]
    fn an_import_is_known_again_by_its_content() {
        let mut manifest: Manifest = serde_json::from_str(WITHOUT_IMPORTS).unwrap();
        assert!(!serde_json::to_string(&manifest).unwrap().contains("imports"));
        let import = |sha256: &str, process: Option<&str>| Import {
            file: "a.csv".into(),
            source: "mangohud".into(),
            sha256: sha256.into(),
            bytes: 1,
            process: process.map(str::to_string),
            first_frame: None,
            info: Default::default(),
        };
        manifest.imports = vec![import("aa", None), import("bb", Some("game"))];
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        for (sha256, process, known) in [
            ("aa", None, true),
            ("aa", Some("game"), true),
            ("bb", Some("game"), true),
            ("bb", Some("other"), false),
            // A part of it would be there twice.
            ("bb", None, true),
            ("cc", None, false),
        ] {
            let again = import(sha256, process);
            let is_known = manifest.imports.iter().any(|before| before.is_same(&again));
            assert_eq!(is_known, known, "{sha256} {process:?}");
        }
    }
}
