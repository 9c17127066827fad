//! How new sessions are called.

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde::{Serialize, Serializer};

use super::form::{Form, Raw, Text, Wrong};

/// A pattern of strftime that gives a new session its name, in UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionName(String);

impl SessionName {
    /// The name of a session that starts at `start`.
    ///
    /// # Errors
    /// When the pattern cannot be formatted; a pattern of the configuration was tried when it was read.
    pub fn at(&self, start: Timestamp) -> Result<String, jiff::Error> {
        strtime::format(&self.0, start)
    }
}

impl Serialize for SessionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Patterns whose names can be folders.
pub(super) struct NamePattern;

impl Form<SessionName> for NamePattern {
    fn says(&self) -> String {
        "a strftime pattern whose result can name a folder, such as \"%Y-%m-%dT%H-%M-%SZ\"".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<SessionName, Wrong> {
        let pattern = SessionName(Text("").read(raw)?);
        let name = pattern.at(Timestamp::UNIX_EPOCH).map_err(|e| Wrong::why(format!("{e}")))?;
        let fits = (1..=200).contains(&name.len()) && !name.starts_with('.') && !name.contains('/');
        if fits { Ok(pattern) } else { Err(Wrong::default()) }
    }
}
