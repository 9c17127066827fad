//! Files that CapFrameX opens: its CSV and its JSON.
//!
//! What CapFrameX 1.8.4 takes and what it drops without a word is in `docs/capframex.md`. Both forms are written
//! from the same [`Frame`]s, which come from table `latency` or from imported frame logs.

mod capture;
mod csv;
mod decimal;
mod error;
mod file;
mod frame;
mod info;
mod json;
mod log;
mod name;
mod order;
mod power;
mod rows;
mod sensors;
mod stages;

use std::io::Write;

use bl_query::latency::{LatencyOptions, Method};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::{Session, Store};

pub use error::CxError;
pub use file::{Format, file_name};
pub use frame::Frame;
pub use name::Application;
pub use order::{Defaults, Ended, Exporter, Order};

use capture::Capture;
use frame::Frames;
use info::Info;
use power::Board;
use sensors::Sensors;

/// What is exported of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where the frames come from.
    pub source: Source,
    /// Name of the application; without one that of the frame log, else `bl`.
    pub application: Option<Application>,
    /// UID of the BENCHLAB board whose power is told; needed where several were recorded.
    pub board: Option<String>,
}

/// Where the frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Stage events of a pipeline.
    Stages(StagePair),
    /// An imported frame log, by its name; needed where the session has several.
    Log(Option<String>),
}

/// Two stages of a pipeline, and what is told of their frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePair {
    /// The stage where a frame begins.
    pub stage_a: String,
    /// The stage where it ends.
    pub stage_b: String,
    /// The pipeline, needed where several have these stages; an empty name stands for events without one.
    pub pipeline: Option<String>,
    /// Longest time between the two events of a frame.
    pub window_ns: i64,
    /// What stands as frame time in the file.
    pub metric: Metric,
}

/// What stands as frame time (`MsBetweenPresents`) in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Time from `stage_a` to `stage_b`. A frame that never got there has none: it has no row.
    Latency,
    /// Time between consecutive `stage_a` events: true frame times. The first event only starts the clock.
    Interval,
}

/// What became of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Frames in the file.
    pub frames: u64,
    /// Frames in the file that are marked as dropped.
    pub dropped: u64,
    /// What a reader of the file should know, a sentence each.
    pub notes: Vec<String>,
}

/// Writes a session's frames as CSV. `out` should be buffered generously: it gets large blocks.
///
/// # Errors
/// [`CxError`]; what was written until then is no file for CapFrameX.
pub async fn write_csv(
    store: &Store,
    session: &Session,
    request: &Request,
    out: impl Write,
) -> Result<Report, CxError> {
    let query = open(store, session, request)?;
    let mut report = Report::default();
    let power = Board::choose(&query, request.board.as_deref(), &mut report.notes).await?;
    let power = match power {
        Some(board) => Some(board.system_power(&query).await?),
        None => None,
    };
    let mut frames = Frames::open(&query, session, request).await?;
    let application = frames.application(request)?;
    csv::write(&query, &mut frames, &application, power.as_ref(), &mut report, out).await?;
    frames.finish(&query, &mut report).await?;
    if report.frames < csv::LINES_FOR_A_NAME {
        report.notes.push(format!(
            "CapFrameX reads the application's name only from files of more than {} lines: it will show this \
             one as \"Unknown\"",
            csv::LINES_FOR_A_NAME
        ));
    }
    Ok(report)
}

/// Writes a session's frames, power and sensors as a record of CapFrameX. All frames are held in memory.
///
/// An array of a record has no place for what is unknown, so nothing is put there: frames at which the board's power
/// is unknown are left out and their time with them; where these are most frames, its arrays are. Sensors lose the
/// instants at which one of them is unknown, or are left out themselves. Each is noted in the report.
///
/// # Errors
/// [`CxError`]; what was written until then is no file for CapFrameX.
pub async fn write_json(
    store: &Store,
    session: &Session,
    request: &Request,
    out: impl Write,
) -> Result<Report, CxError> {
    let query = open(store, session, request)?;
    let mut report = Report::default();
    let board = Board::choose(&query, request.board.as_deref(), &mut report.notes).await?;
    let frames = Frames::open(&query, session, request).await?;
    let application = frames.application(request)?;
    let capture = Capture::read(&query, frames, board.as_ref(), &mut report).await?;
    let sensors = Sensors::read(&query, &capture, board.as_ref()).await?;
    if !sensors.left_out.is_empty() {
        let names = sensors.left_out.join(", ");
        report.notes.push(format!("known too seldom, and left out: {names}"));
    }
    let manifest = session.manifest();
    let info = Info::read(&query, manifest, request, &application, &capture, &report).await?;
    let hash = info::identity(&(manifest.id.as_str(), "hash"), request, &capture);
    json::write(&capture, &sensors, &info, hash, out)?;
    Ok(report)
}

/// A query over that session alone, whose table `latency` has the stages that are asked for.
fn open(store: &Store, session: &Session, request: &Request) -> Result<Query, CxError> {
    let query = Query::new(&Settings::default())?;
    let only = SessionFilter::Named(vec![session.id().clone()]);
    let mut latency = LatencyOptions::default();
    if let Source::Stages(pair) = &request.source {
        latency.pairs.push((pair.stage_a.clone(), pair.stage_b.clone()));
        latency.method = Method { window_ns: pair.window_ns, ..Method::default() };
    }
    query.register_store_with(store.clone(), only, latency)?;
    Ok(query)
}
