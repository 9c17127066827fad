//! Frames, whatever they come from.

use bl_query::Query;
use bl_store::Session;

use super::log::LogFrames;
use super::stages::StageFrames;
use super::{Application, CxError, Report, Request, Source};

/// One frame of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// When it began: its `stage_a` event, or its present.
    pub ts_ns: i64,
    /// What stands as its frame time; above 0.
    pub frame_ns: i64,
    /// Time between display changes; the frame time where nothing tells it.
    pub display_ns: i64,
    /// Time from `stage_a` to `stage_b`, or until displayed; none for a dropped frame.
    pub latency_ns: Option<i64>,
    /// Whether it was dropped.
    pub dropped: bool,
}

/// The frames of a request, in order of time, as they are read.
pub(super) enum Frames {
    Stages(Box<StageFrames>),
    Log(LogFrames),
}

impl Frames {
    pub async fn open(
        query: &Query,
        session: &Session,
        request: &Request,
    ) -> Result<Self, CxError> {
        Ok(match &request.source {
            Source::Stages(pair) => {
                let (id, ended_ns) = (session.id().as_str(), session.manifest().ended_ns);
                Self::Stages(Box::new(StageFrames::open(query, id, ended_ns, pair).await?))
            }
            Source::Log(log) => Self::Log(LogFrames::open(query, session, log.as_deref()).await?),
        })
    }

    /// Name of the application: the one asked for, else the log's.
    pub fn application(&self, request: &Request) -> Result<Application, CxError> {
        match (&request.application, self) {
            (Some(name), _) => Ok(name.clone()),
            (None, Self::Log(LogFrames { application: Some(name), .. })) => name.parse(),
            (None, _) => "bl".parse(),
        }
    }

    /// Fills `frames` anew; false at the end.
    pub async fn next(&mut self, query: &Query, frames: &mut Vec<Frame>) -> Result<bool, CxError> {
        frames.clear();
        match self {
            Self::Stages(stages) => stages.next(query, frames).await,
            Self::Log(log) => log.next(frames).await,
        }
    }

    /// Notes what is not in the file; an error where there is nothing in it.
    pub async fn finish(&self, query: &Query, report: &mut Report) -> Result<(), CxError> {
        match self {
            Self::Stages(stages) => stages.finish(query, report).await,
            Self::Log(log) => log.finish(report),
        }
    }
}
