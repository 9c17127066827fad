//! What can go wrong with a query.

use std::error::Error;
use std::path::Path;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::advice::advice;

/// Why a query or a table could not be set up or run.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no SQL, or more than was asked for.
    #[error("cannot parse the SQL: {}", sentence(.0))]
    Parse(Box<DataFusionError>),
    /// The statement cannot be planned.
    #[error("cannot plan the query: {}", sentence(.0))]
    Plan(Box<DataFusionError>),
    /// The query failed while it ran.
    #[error("the query failed: {}", sentence(.0))]
    Run(Box<DataFusionError>),
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
    /// A Parquet file that a query reads holds something else than it should.
    #[error("{path} is damaged: {reason}; restore it or move it away")]
    Damaged {
        /// The file.
        path: String,
        /// What cannot be read.
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
    /// The store cannot be read.
    #[error(transparent)]
    Store(Box<bl_store::StoreError>),
    /// The statement is not answered here, and why.
    #[error("{0}")]
    Refused(String),
    /// A name that is not there, with what was meant.
    #[error("{0}")]
    Name(String),
    /// A setting is out of its range.
    #[error("the query session cannot be set up: {}", sentence(.0))]
    Settings(Box<DataFusionError>),
}

/// What an error says, once: that of its root, without the kind of error that DataFusion puts before it.
pub(crate) fn sentence(error: &DataFusionError) -> String {
    let root = error.find_root();
    let text = match root {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
        },
        DataFusionError::Plan(text)
        | DataFusionError::Execution(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Configuration(text) => text.clone(),
        DataFusionError::ParquetError(error) => error.to_string(),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(text) => text.clone(),
            other => other.to_string(),
        },
        DataFusionError::External(error) => with_causes(error.as_ref()),
        other => other.to_string(),
    };
    let text = text.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error of ours with its causes, each once.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

impl QueryError {
    /// The same in plainer words where it is about a name that is not there; `tables` are the names of those
    /// that are.
    pub(crate) fn with_advice(self, tables: &[String]) -> Self {
        let advice = match &self {
            QueryError::Plan(e) | QueryError::Run(e) => advice(e, tables),
            _ => None,
        };
        advice.map_or(self, QueryError::Name)
    }

    pub(crate) fn no_catalog(name: &str) -> Self {
        let text = format!("the session has no catalog {name}");
        QueryError::Settings(Box::new(DataFusionError::Internal(text)))
    }

    pub(crate) fn damaged(path: &Path, reason: String) -> Self {
        QueryError::Damaged { path: path.display().to_string(), reason }
    }

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
