//! What is aligned already: `progress.json` beside the files of `aligned/latency`.

use std::path::{Path, PathBuf};

use bl_align::pair::FirstKeys;
use bl_store::{Session, State, StoreError, replace_file};
use serde::{Deserialize, Serialize};

use super::{LatencyError, LatencyOptions, Method};

/// Notes of one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Number of the next file.
    pub next_file: u64,
    pub pairs: Vec<PairProgress>,
}

/// How far one pair of stages is aligned, and all that is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PairProgress {
    pub stage_a: String,
    pub stage_b: String,
    pub method: Method,
    /// The board whose power counts.
    pub device: Option<String>,
    /// Frames that entered `stage_a` before this instant are in the files.
    pub until_ns: i64,
    /// The raw rows that it was made from, once the session had ended.
    pub complete: Option<RawRows>,
    /// Names of the files, in order of time.
    pub files: Vec<String>,
    pub pipelines: Vec<PipelineProgress>,
    /// `stage_b` events from `until_ns` on whose frames are in the files.
    pub taken: Vec<Taken>,
}

/// What is known of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PipelineProgress {
    pub name: Option<String>,
    pub first: FirstKeysNoted,
}

/// What identifies the frames of a pipeline, best first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyKind {
    Frame,
    KeyNs,
    PtsNs,
}

/// [`FirstKeys`] by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FirstKeysNoted {
    pub a: Option<Vec<KeyKind>>,
    pub b: Option<Vec<KeyKind>>,
}

const KINDS: [KeyKind; 3] = [KeyKind::Frame, KeyKind::KeyNs, KeyKind::PtsNs];

impl From<FirstKeys> for FirstKeysNoted {
    fn from(first: FirstKeys) -> Self {
        let named = |set: u8| {
            let kinds = KINDS.into_iter().enumerate();
            kinds.filter(|(at, _)| set & (1 << at) != 0).map(|(_, kind)| kind).collect()
        };
        Self { a: first.a.map(named), b: first.b.map(named) }
    }
}

impl From<&FirstKeysNoted> for FirstKeys {
    fn from(noted: &FirstKeysNoted) -> Self {
        let set = |kinds: &Vec<KeyKind>| {
            kinds.iter().fold(0, |set, kind| {
                set | KINDS.iter().position(|k| k == kind).map_or(0, |at| 1 << at)
            })
        };
        Self { a: noted.a.as_ref().map(set), b: noted.b.as_ref().map(set) }
    }
}

/// A `stage_b` event that ends a frame from before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub pipeline: Option<String>,
    pub id: i64,
    pub ts_ns: i64,
}

/// The raw rows of a session that is not recorded any more, told apart from others by their numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RawRows {
    pub ended_ns: Option<i64>,
    pub pipeline: u64,
    pub benchlab: u64,
}

impl RawRows {
    /// None while the session is recorded.
    pub fn of(session: &Session) -> Option<Self> {
        let manifest = session.manifest();
        let rows = |table: &str| manifest.rows.get(table).copied().unwrap_or_default();
        let known = manifest.state != State::Recording || !session.is_live();
        known.then(|| Self {
            ended_ns: manifest.ended_ns,
            pipeline: rows("pipeline"),
            benchlab: rows("benchlab"),
        })
    }
}

/// What is to be done for a pair of stages.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub stage_a: String,
    pub stage_b: String,
    pub method: Method,
    /// The files that hold, and where to go on.
    pub done: Option<PairProgress>,
    /// Whether raw rows may hold more than the files.
    pub open: bool,
}

impl Progress {
    /// Where the notes of a session are.
    pub fn path(session: &Session) -> PathBuf {
        session.dir().aligned("latency").join("progress.json")
    }

    /// The notes of a session; empty where nothing is aligned.
    pub fn read(session: &Session) -> Result<Self, LatencyError> {
        let path = Self::path(session);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => {
                let e = std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
                return Err(StoreError::Io(e).into());
            }
        };
        serde_json::from_slice(&text).map_err(|e| wrong(&path, &e))
    }

    pub fn write(&self, session: &Session) -> Result<(), LatencyError> {
        let path = Self::path(session);
        let mut text = serde_json::to_vec_pretty(self).map_err(|e| wrong(&path, &e))?;
        text.push(b'\n');
        Ok(replace_file(&path, &text)?)
    }

    /// What is to be done so that the rows of all pairs asked for are there. Where the raw rows are gone, what is
    /// aligned stands as it is.
    pub fn tasks(
        &self,
        session: &Session,
        options: &LatencyOptions,
    ) -> Result<Vec<Task>, LatencyError> {
        let raw = RawRows::of(session);
        let has_raw = session.has_files_of("pipeline")?;
        let task = |(stage_a, stage_b): &(String, String)| {
            let of_pair = |p: &&PairProgress| p.stage_a == *stage_a && p.stage_b == *stage_b;
            let known = self.pairs.iter().find(of_pair);
            let holds = |known: &&PairProgress| {
                let as_it_was = known.complete.is_none() || known.complete == raw;
                !has_raw || known.method == options.method && as_it_was
            };
            let done = known.filter(holds).cloned();
            Task {
                stage_a: stage_a.clone(),
                stage_b: stage_b.clone(),
                method: options.method.clone(),
                open: has_raw && done.as_ref().is_none_or(|done| done.complete.is_none()),
                done,
            }
        };
        Ok(options.pairs.iter().map(task).collect())
    }
}

fn wrong(path: &Path, e: &serde_json::Error) -> LatencyError {
    LatencyError::Progress { path: path.display().to_string(), what: e.to_string() }
}
