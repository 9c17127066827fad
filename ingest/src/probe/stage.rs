//! The pads to watch.

use std::fmt;
use std::str::FromStr;

/// A pad to watch, and the name of the stage it stands for; in text `name=element.pad`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name of the stage in the events.
    pub name: String,
    /// Name of the element.
    pub element: String,
    /// Name of its pad.
    pub pad: String,
}

/// A stage that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a stage; write name=element.pad, such as encoded=enc.src, and separate several with +"
)]
pub struct StageError(String);

impl Stage {
    /// Reads several, separated by `+` or commas.
    ///
    /// # Errors
    /// With the first that is none.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, StageError> {
        list.split(['+', ',']).map(str::parse).collect()
    }
}

impl FromStr for Stage {
    type Err = StageError;

    /// The last dot separates: element names may contain some.
    fn from_str(text: &str) -> Result<Self, StageError> {
        let parts = text.split_once('=').and_then(|(name, pad)| {
            let (element, pad) = pad.rsplit_once('.')?;
            Some([name, element, pad].map(str::trim))
        });
        match parts {
            Some([name, element, pad]) if ![name, element, pad].contains(&"") => {
                Ok(Self { name: name.to_owned(), element: element.to_owned(), pad: pad.to_owned() })
            }
            _ => Err(StageError(text.to_owned())),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}.{}", self.name, self.element, self.pad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        for list in ["in=src.src+out=my.enc.src", "in=src.src, out = my.enc.src"] {
            let stages = Stage::parse_list(list).unwrap();
            let again: Vec<String> = stages.iter().map(Stage::to_string).collect();
            assert_eq!(again, ["in=src.src", "out=my.enc.src"]);
        }
        assert_eq!(Stage::parse_list("a=b.c+d"), Err(StageError("d".into())));
        for bad in ["", "a", "a=b", "=b.c", "a=.c", "a=b."] {
            assert_eq!(Stage::parse_list(bad), Err(StageError(bad.into())));
        }
    }
}
