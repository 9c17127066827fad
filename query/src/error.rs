//! What can go wrong with a query.

use datafusion::error::DataFusionError;

/// Why a query or a table could not be set up or run.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no SQL, or more than was asked for.
    #[error("cannot parse the SQL: {0}")]
    Parse(#[source] Box<DataFusionError>),
    /// The statement cannot be planned.
    #[error("cannot plan the query: {0}")]
    Plan(#[source] Box<DataFusionError>),
    /// The query failed while it ran.
    #[error("the query failed: {0}")]
    Run(#[source] Box<DataFusionError>),
    /// A file cannot be read as a table.
    #[error("cannot read {path} as table {table}: {reason}")]
    File {
        /// Name of the table.
        table: String,
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A result cannot be written.
    #[error("cannot write the result to {path}: {reason}")]
    Write {
        /// The file.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// A setting is out of its range.
    #[error("the query session cannot be set up: {0}")]
    Settings(#[source] Box<DataFusionError>),
}

impl QueryError {
    pub(crate) fn parse(error: DataFusionError) -> Self {
        QueryError::Parse(Box::new(error))
    }

    pub(crate) fn plan(error: DataFusionError) -> Self {
        QueryError::Plan(Box::new(error))
    }

    /// Wraps an error of a running query.
    pub fn run(error: DataFusionError) -> Self {
        QueryError::Run(Box::new(error))
    }
}
