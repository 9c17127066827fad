//! Names of sessions and of hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of a session: the name of its folder, so nothing that could lead out of it.
///
/// ```
/// use bl_store::SessionId;
/// assert!("2025-11-11T14-30-00Z".parse::<SessionId>().is_ok());
/// assert!("../etc".parse::<SessionId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// Between the name of a session and the number of a part of it.
const PART: &str = ".part";

/// Why a string is no name of a session or of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no name for {of}: {why}")]
pub struct NameError {
    name: String,
    of: &'static str,
    why: &'static str,
}

/// Whether a host can be called so: its name goes into paths and topics elsewhere. None at all is permitted.
pub(crate) fn check_node(name: &str) -> Result<(), NameError> {
    let no = |why| Err(NameError { name: name.escape_default().to_string(), of: "a host", why });
    if name.len() > 253 {
        return no("it is longer than 253 bytes");
    }
    if name.starts_with('.') || name.starts_with('-') {
        return no("it begins with '.' or '-'");
    }
    if !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        return no("it may hold letters, digits, '-', '_' and '.' only");
    }
    Ok(())
}

impl SessionId {
    /// The name that a session begun at `utc_ns` gets by default, such as `2025-11-11T14-30-00Z`.
    pub fn at(utc_ns: i64) -> Self {
        let seconds = utc_ns.div_euclid(1_000_000_000);
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self(time.strftime("%Y-%m-%dT%H-%M-%SZ").to_string())
    }

    /// The instant that the name tells, if it is one of the default form, in nanoseconds UTC.
    pub fn time_ns(&self) -> Option<i64> {
        let (date, clock) = self.0.get(..20)?.split_once('T')?;
        let text = format!("{date}T{}", clock.replace('-', ":"));
        let time: jiff::Timestamp = text.parse().ok()?;
        time.as_nanosecond().try_into().ok()
    }

    /// The name of a later part of a session, from 2 on.
    ///
    /// # Errors
    /// When that is too long.
    pub fn of_part(&self, number: u32) -> Result<Self, NameError> {
        format!("{self}{PART}{number}").parse()
    }

    /// The first part's name and the number, if it is the name of a later part.
    pub fn part(&self) -> Option<(Self, u32)> {
        let (first, number) = self.0.rsplit_once(PART)?;
        let part: u32 = number.parse().ok().filter(|n| *n >= 2)?;
        (part.to_string() == number).then_some((first.parse().ok()?, part))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let no =
            |why| Err(NameError { name: name.escape_default().to_string(), of: "a session", why });
        if name.is_empty() {
            return no("it is empty");
        }
        if name.len() > 100 {
            return no("it is longer than 100 bytes");
        }
        if name.starts_with('.') || name.starts_with('-') {
            return no("it begins with '.' or '-'");
        }
        if !name.chars().all(|c| c.is_alphanumeric() || "-_.+@ ".contains(c)) {
            return no("it may hold letters, digits, '-', '_', '.', '+', '@' and blanks only");
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for SessionId {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_tell_their_time() {
        let id = SessionId::at(1_762_871_400_123_456_789);
        assert_eq!(id.as_str(), "2025-11-11T14-30-00Z");
        assert_eq!(id.time_ns(), Some(1_762_871_400_000_000_000));
        let second: SessionId = "2025-11-11T14-30-00Z-2".parse().unwrap();
        assert_eq!(second.time_ns(), id.time_ns());
        assert_eq!("demo".parse::<SessionId>().unwrap().time_ns(), None);
    }

    #[test]
    fn parts_have_their_numbers_in_their_names() {
        let id = |name: &str| name.parse::<SessionId>().unwrap();
        assert_eq!(id("run").of_part(2).unwrap(), id("run.part2"));
        assert_eq!(id("run.part12").part(), Some((id("run"), 12)));
        for other in ["run", "run.part1", "run.part02", "run.part", "run.part2b", "part2"] {
            assert_eq!(id(other).part(), None, "{other}");
        }
        assert_eq!(SessionId::at(0).of_part(3).unwrap().time_ns(), Some(0));
        assert!(id(&"x".repeat(95)).of_part(2).is_err());
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "a\0b", "-rf", "a\nb", &"x".repeat(101)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
        for good in ["run 1", "Überlauf", "a..b", "x@y+z_1.2"] {
            assert!(good.parse::<SessionId>().is_ok(), "{good:?}");
        }
    }
}
