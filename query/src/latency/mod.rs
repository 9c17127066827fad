//! What each frame cost: the rows of table `latency`, from the raw rows of a session.
//!
//! [`align()`] writes them into `aligned/latency` and `compute` makes those that are not
//! there yet; both run the same code, and go on where the files end.

mod align;
mod demand;
mod doubts;
mod events;
mod exec;
mod lag;
mod power;
mod progress;
mod rows;

use bl_store::StoreError;

pub use align::{Aligned, AlignedPair, align};
pub(crate) use doubts::file as file_of_doubts;
pub(crate) use exec::{LatencyExec, Share};
pub use power::first_device;
pub(crate) use progress::Progress;

pub use bl_align::DEFAULT_TOLERANCE_NS;

/// Which rows the table `latency` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyOptions {
    /// Pairs of stages, each `(stage_a, stage_b)`.
    pub pairs: Vec<(String, String)>,
    /// How those pairs are made.
    pub method: Method,
}

/// How the rows of a pair of stages are made. Rows made otherwise are made anew.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Method {
    /// The longest time from `stage_a` to `stage_b`; a frame that takes longer is dropped.
    pub window_ns: i64,
    /// The oldest power sample that tells the power of an event, and the longest time between two samples that
    /// energy is integrated over.
    pub tolerance_ns: i64,
    /// UID of the board whose power counts; without one, the board with the first sample of the session.
    /// Boards are never added up: two of them may measure the same supply.
    pub device: Option<String>,
    /// What is made of the meter's lag. Notes of the first release tell none: they made nothing of it.
    #[serde(default = "Lag::ignored")]
    pub lag: Lag,
}

/// What is made of the meter's lag: power that shows some time after the work that causes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lag {
    /// Where a session that has ended tells it for certain, samples are taken for what was so long before.
    #[default]
    Apply,
    /// Samples are taken as they are stamped.
    Ignore,
}

impl Lag {
    fn ignored() -> Self {
        Self::Ignore
    }
}

impl Default for Method {
    fn default() -> Self {
        Self {
            window_ns: bl_align::pair::DEFAULT_WINDOW_NS,
            tolerance_ns: DEFAULT_TOLERANCE_NS,
            device: None,
            lag: Lag::default(),
        }
    }
}

impl LatencyOptions {
    /// Those for one session: where it has imported frames, their stages are a pair too.
    pub(crate) fn of(&self, session: &bl_store::Session) -> Result<Self, StoreError> {
        let mut options = self.clone();
        let [start, presented] = bl_schemas::FRAME_STAGES.map(str::to_string);
        let frames = (start, presented);
        if !options.pairs.contains(&frames) && session.tables()?.iter().any(|t| t == "frames") {
            options.pairs.push(frames);
        }
        Ok(options)
    }
}

impl Default for LatencyOptions {
    /// No pairs but those that are aligned already.
    fn default() -> Self {
        Self { pairs: Vec::new(), method: Method::default() }
    }
}

/// Why latencies cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// Raw rows cannot be read, or aligned ones not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two stages that cannot be a pair.
    #[error("stage {0:?} cannot be paired with itself: name two stages")]
    SameStage(String),
    /// Rows that do not fit together.
    #[error("computing latencies of session {session}: {source}")]
    Arrow {
        /// The session.
        session: String,
        /// What went wrong.
        source: datafusion::arrow::error::ArrowError,
    },
    /// A table's column of names holds something else.
    #[error("reading events of session {session}: {source}")]
    Events {
        /// The session.
        session: String,
        /// Which column, and what it holds.
        source: bl_align::pair::StageError,
    },
    /// The notes of what is aligned cannot be read.
    #[error("{path}: {what}; remove the folder that it is in and align again")]
    Progress {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Whoever asked for the rows does not wait for more of them: it has enough, or is gone.
    #[error("the rows that are left are not asked for any more")]
    Stopped,
    /// Another process aligns the session.
    #[error("session {0} is being aligned by another process: wait until it is done")]
    Busy(String),
}

/// What went wrong with Arrow in a session.
fn arrow(
    session: &bl_store::Session,
) -> impl Fn(datafusion::arrow::error::ArrowError) -> LatencyError + '_ {
    |source| LatencyError::Arrow { session: session.id().to_string(), source }
}
