//! The application's name.

use std::fmt;
use std::str::FromStr;

use super::CxError;

/// A name that CapFrameX can read from a CSV file, whose fields it splits at every comma.
///
/// ```
/// use bl_export::cx::Application;
/// assert!("Half-Life 2".parse::<Application>().is_ok());
/// assert!("one, two".parse::<Application>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application(String);

impl Application {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Application {
    type Err = CxError;

    fn from_str(name: &str) -> Result<Self, CxError> {
        let refused = |what| Err(CxError::Name { name: name.into(), what });
        match name {
            _ if name.trim().is_empty() => refused("nothing in it"),
            _ if name.contains(',') => refused("a comma"),
            _ if name.contains('"') => refused("a quote"),
            _ if name.contains(['\n', '\r']) => refused("a line break"),
            _ if name.contains(char::is_control) => refused("a control character"),
            // Such a line is information to CapFrameX, or a comment that hides the header.
            _ if name.starts_with(['/', '#']) => refused("a '/' or '#' at its start"),
            _ => Ok(Self(name.trim().into())),
        }
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_break_a_line_are_refused_and_say_why() {
        let refused = |name: &str| name.parse::<Application>().unwrap_err().to_string();
        assert!(refused("a,b").contains("\"a,b\" has a comma"));
        assert!(refused("a\"b").contains("a quote"));
        assert!(refused("a\nb").contains("a line break"));
        assert!(refused("a\tb").contains("a control character"));
        assert!(refused(" ").contains("nothing in it"));
        assert!(refused("//Id=1").contains("at its start"));
        assert_eq!("  Spiel é ".parse::<Application>().unwrap().as_str(), "Spiel é");
    }
}
