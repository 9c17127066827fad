//! The query of a request, checked.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::Problem;

/// Names and values of a query.
pub(super) struct Params(HashMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(map)) => Ok(Self(map)),
            Err(e) => Err(Problem::wrong(format!("the query cannot be read: {e}"))),
        }
    }
}

impl Params {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number within bounds.
    pub fn number<T>(&self, name: &str, least: T, most: T) -> Result<Option<T>, Problem>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) if value >= least && value <= most => Ok(Some(value)),
            _ => Err(Problem::wrong(format!(
                "{name} must be a number from {least} to {most}, not '{text}'"
            ))),
        }
    }

    /// A time in milliseconds, as nanoseconds.
    pub fn time_ns(&self, name: &str) -> Result<Option<i64>, Problem> {
        // To the year 2262, where nanoseconds end.
        let ms = self.number(name, 0.0, 9.2e12)?;
        Ok(ms.map(|ms: f64| (ms * 1e3).round() as i64 * 1_000))
    }
}
