//! What is aligned already: `progress.json` beside the files of `aligned/latency`.

use std::path::{Path, PathBuf};

use bl_store::{Session, State, StoreError, replace_file};
use serde::{Deserialize, Serialize};

use super::events::count_before;
use super::lag::{LagNote, may_tell_lag};
use super::{Lag, LatencyError, LatencyOptions, Method};

/// Notes of one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Number of the next file.
    pub next_file: u64,
    pub pairs: Vec<PairProgress>,
}

/// The rule that frames are told by. Rows of another one are made anew where the raw rows are there.
pub(crate) const RULE: u32 = 2;

/// How far one pair of stages is aligned, and all that is needed to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PairProgress {
    /// [`RULE`]; notes of the first release tell none.
    #[serde(default)]
    pub rule: u32,
    pub stage_a: String,
    pub stage_b: String,
    pub method: Method,
    /// The board whose power counts.
    pub device: Option<String>,
    /// The lag of that board's power.
    #[serde(default)]
    pub lag: LagNote,
    /// Frames that entered `stage_a` before this instant are in the files.
    pub until_ns: i64,
    /// The raw rows of the settled time when they were made.
    #[serde(default)]
    pub settled: Settled,
    /// The raw rows that it was made from, once the session had ended.
    pub complete: Option<RawRows>,
    /// Names of the files, in order of time.
    pub files: Vec<String>,
    /// Whether any event of `stage_a` was seen.
    #[serde(default)]
    pub seen_a: bool,
    /// Whether any event of `stage_b` was seen.
    #[serde(default)]
    pub seen_b: bool,
    /// Frames in the files of which nobody can tell what became of them.
    #[serde(default)]
    pub doubtful: Doubtful,
}

/// How many frames are doubtful, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Doubtful {
    pub frames: u64,
    pub since_ns: i64,
}

/// How many raw rows there were from before an instant. More of them at another time are late ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub until_ns: i64,
    pub pipeline: u64,
    pub benchlab: u64,
}

impl Settled {
    /// The rows that are there now.
    pub fn count(session: &Session, until_ns: i64) -> Result<Self, LatencyError> {
        let count = |table: &str| match bl_schemas::table(table) {
            Some(table) => count_before(session, table, until_ns),
            None => Ok(0),
        };
        Ok(Self { until_ns, pipeline: count("pipeline")?, benchlab: count("benchlab")? })
    }
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
            let done = match known {
                Some(known) if !has_raw || known.holds(session, options, &raw)? => {
                    Some(known.clone())
                }
                _ => None,
            };
            Ok(Task {
                stage_a: stage_a.clone(),
                stage_b: stage_b.clone(),
                method: options.method.clone(),
                open: has_raw && done.as_ref().is_none_or(|done| done.complete.is_none()),
                done,
            })
        };
        options.pairs.iter().map(task).collect()
    }
}

impl PairProgress {
    /// Whether the files have what the raw rows of their time give: none came late.
    fn holds(
        &self,
        session: &Session,
        options: &LatencyOptions,
        raw: &Option<RawRows>,
    ) -> Result<bool, LatencyError> {
        if self.rule != RULE || self.method != options.method {
            return Ok(false);
        }
        // While it was recorded its lag was not known; now it may be.
        let is_sought = self.lag != LagNote::NotSought || options.method.lag == Lag::Ignore;
        if raw.is_some() && !is_sought && may_tell_lag(session)? {
            return Ok(false);
        }
        match &self.complete {
            Some(_) => Ok(self.complete == *raw),
            None => Ok(self.settled == Settled::count(session, self.settled.until_ns)?),
        }
    }
}

fn wrong(path: &Path, e: &serde_json::Error) -> LatencyError {
    LatencyError::Progress { path: path.display().to_string(), what: e.to_string() }
}
