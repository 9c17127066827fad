//! What can go wrong with an export.

use bl_query::QueryError;

/// Why a file for CapFrameX was not written.
#[derive(Debug, thiserror::Error)]
pub enum CxError {
    /// The name would break the file.
    #[error(
        "the application's name {name:?} has {what}, with which CapFrameX does not load the file: choose another \
         (--application)"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// CapFrameX would not pick a file of this name up.
    #[error("CapFrameX does not pick up {path:?}: {why}")]
    Path {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// A stage that no event names.
    #[error("session {session} has no events of stage {stage:?}: {seen}")]
    NoStage {
        /// The session.
        session: String,
        /// The stage.
        stage: String,
        /// Which stages there are.
        seen: String,
    },
    /// Both stages were seen, but no frame has what is asked for.
    #[error("session {session} gives no frame to export: {why}")]
    NoFrames {
        /// The session.
        session: String,
        /// What is missing, and what to do.
        why: String,
    },
    /// Several of what there has to be one of.
    #[error("session {session} has several {what} ({names}): choose one with {flag}")]
    Several {
        /// The session.
        session: String,
        /// Of what.
        what: &'static str,
        /// Those that there are.
        names: String,
        /// The flag that names one.
        flag: &'static str,
    },
    /// Stages that cannot be paired.
    #[error("{0}")]
    Stages(String),
    /// What was asked for does not go together, or does not fit the session.
    #[error("{0}")]
    Order(String),
    /// A board that was not recorded.
    #[error("board {uid} was not recorded in this session; those that were: {recorded}")]
    NoBoard {
        /// UID that was asked for.
        uid: String,
        /// UIDs of the boards that there are.
        recorded: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The file cannot be written.
    #[error("cannot write the file for CapFrameX: {0}")]
    Write(#[from] std::io::Error),
}

impl CxError {
    /// Whether the call was wrong, as opposed to the work having failed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Name { .. }
                | Self::Path { .. }
                | Self::Several { .. }
                | Self::Stages(_)
                | Self::Order(_)
                | Self::NoBoard { .. }
        )
    }
}
