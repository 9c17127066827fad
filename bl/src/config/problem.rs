//! Where a value came from, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// A place in the configuration file; both count from 1.
    File { path: PathBuf, line: usize, column: usize },
    /// A file as a whole: a secret's, or one that cannot be read.
    Whole { path: PathBuf },
    /// An environment variable.
    Env { name: &'static str },
    /// A flag of the command line.
    Flag { name: &'static str },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Origin::Whole { path } => write!(f, "{}", path.display()),
            Origin::Env { name } => write!(f, "environment {name}"),
            Origin::Flag { name } => f.write_str(name),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Who says it.
    pub origin: Origin,
    /// What is wrong, and what would be right; one line.
    pub text: String,
}

impl Problem {
    pub(super) fn new(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, text } = self;
        match origin {
            Origin::File { column, .. } => write!(f, "{origin}:{column}: {text}"),
            _ => write!(f, "{origin}: {text}"),
        }
    }
}

/// The configuration is refused: everything that is wrong with it, one line each. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigError(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}
