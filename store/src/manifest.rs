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

impl Manifest {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let wrong = |what: String| StoreError::Manifest { path: path.into(), what };
        let manifest: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if manifest.format > FORMAT {
            return Err(wrong(format!(
                "format {} is newer than this program knows ({FORMAT}): use a newer bl",
                manifest.format
            )));
        }
        Ok(manifest)
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
