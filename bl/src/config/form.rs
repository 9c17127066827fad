//! What values may look like: each form reads one type and says what it accepts.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;
use toml::Spanned;
use toml::de::DeValue;

use super::Secret;

/// A value as it was written: in TOML, or as the text of a variable or a flag.
#[derive(Clone, Copy)]
pub enum Raw<'a> {
    /// A value of a file.
    Toml(&'a Spanned<DeValue<'a>>),
    /// The text of an environment variable or of a flag.
    Text(&'a str),
}

/// A value that was refused.
#[derive(Debug, Default)]
pub struct Wrong {
    /// The part that is wrong, as bytes of the file; the whole value if `None`.
    pub span: Option<Range<usize>>,
    /// What is wrong, where "must be ..., not ..." does not say it.
    pub why: Option<String>,
}

impl Wrong {
    pub(super) fn why(text: impl Into<String>) -> Self {
        Self { span: None, why: Some(text.into()) }
    }

    /// Points at `part`, unless something inside it is pointed at already.
    pub(super) fn at(mut self, part: Raw<'_>) -> Self {
        if let (None, Raw::Toml(value)) = (&self.span, part) {
            self.span = Some(value.span());
        }
        self
    }
}

impl<'a> Raw<'a> {
    /// Text in quotes, or the text of a variable.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Raw::Toml(value) => value.get_ref().as_str(),
            Raw::Text(text) => Some(text),
        }
    }

    fn whole(self) -> Option<i64> {
        match self {
            Raw::Toml(value) => {
                let integer = value.get_ref().as_integer()?;
                i64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Raw::Text(text) => text.trim().parse().ok(),
        }
    }

    pub(super) fn float(self) -> Option<f64> {
        match self {
            Raw::Toml(value) => match value.get_ref() {
                DeValue::Float(float) => float.as_str().parse().ok(),
                _ => self.whole().map(|whole| whole as f64),
            },
            Raw::Text(text) => text.trim().parse().ok(),
        }
    }

    /// The elements of a list; of a text, the parts between commas.
    pub(super) fn items(self) -> Option<Vec<Raw<'a>>> {
        match self {
            Raw::Toml(value) => Some(value.get_ref().as_array()?.iter().map(Raw::Toml).collect()),
            Raw::Text(text) => Some(text.split(',').map(|part| Raw::Text(part.trim())).collect()),
        }
    }
}

/// Reads values of type `T`.
pub trait Form<T> {
    /// What is accepted, as it follows "must be".
    fn says(&self) -> String;

    /// Reads a value.
    ///
    /// # Errors
    /// [`Wrong`] when the value is not what [`says`](Form::says) tells.
    fn read(&self, raw: Raw<'_>) -> Result<T, Wrong>;

    /// Whether values are never printed.
    fn secret(&self) -> bool {
        false
    }
}

/// Reads a default that is written in the list of keys.
pub(super) fn read_literal<T>(form: &dyn Form<T>, literal: &str) -> Result<T, Wrong> {
    let value = DeValue::parse(literal).map_err(|e| Wrong::why(e.message()))?;
    form.read(Raw::Toml(&value))
}

/// `true` or `false`; in a variable also `1`, `0`, `yes`, `no`, `on`, `off`.
pub(super) struct Switch;

impl Form<bool> for Switch {
    fn says(&self) -> String {
        "true or false".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<bool, Wrong> {
        match raw {
            Raw::Toml(value) => value.get_ref().as_bool().ok_or_else(Wrong::default),
            Raw::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(Wrong::default()),
            },
        }
    }
}

/// A number above `above`, at most `max`.
pub(super) struct Float {
    pub above: f64,
    pub max: f64,
}

impl Form<f64> for Float {
    fn says(&self) -> String {
        format!("a number above {} and at most {}", self.above, self.max)
    }

    fn read(&self, raw: Raw<'_>) -> Result<f64, Wrong> {
        raw.float().filter(|f| *f > self.above && *f <= self.max).ok_or_else(Wrong::default)
    }
}

/// A whole number from `min` to `max`.
pub(super) struct Whole {
    pub min: i64,
    pub max: i64,
}

impl<T: TryFrom<i64>> Form<T> for Whole {
    fn says(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn read(&self, raw: Raw<'_>) -> Result<T, Wrong> {
        let whole = raw.whole().filter(|w| (self.min..=self.max).contains(w));
        whole.and_then(|w| T::try_from(w).ok()).ok_or_else(Wrong::default)
    }
}

/// A size in bytes: a whole number, or text with a unit.
pub(super) struct Bytes {
    pub min: u64,
    pub max: u64,
}

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A size such as "64 MiB", in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

impl Form<u64> for Bytes {
    fn says(&self) -> String {
        let (min, max) = (self.min >> 20, self.max >> 20);
        format!("a size such as \"64 MiB\", from {min} MiB to {max} MiB")
    }

    fn read(&self, raw: Raw<'_>) -> Result<u64, Wrong> {
        let size = match raw.text() {
            Some(text) => bytes(text),
            None => raw.whole().and_then(|w| u64::try_from(w).ok()),
        };
        size.filter(|b| (self.min..=self.max).contains(b)).ok_or_else(Wrong::default)
    }
}

/// Text that is not empty and has no control characters; the field says what for.
pub(super) struct Text(pub &'static str);

impl Form<String> for Text {
    fn says(&self) -> String {
        self.0.into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<String, Wrong> {
        let text = raw.text().filter(|t| !t.trim().is_empty() && !t.contains(char::is_control));
        text.map(str::to_owned).ok_or_else(Wrong::default)
    }
}

/// A path. In a file it must be absolute, since the file is read by processes that run anywhere.
pub(super) struct FilePath;

impl Form<PathBuf> for FilePath {
    fn says(&self) -> String {
        "an absolute path".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<PathBuf, Wrong> {
        let text = Text("").read(raw)?;
        if text.starts_with('~') {
            return Err(Wrong::why("begins with `~`, which is not expanded here; write it out"));
        }
        let path = PathBuf::from(text);
        match raw {
            Raw::Toml(_) if path.is_relative() => Err(Wrong::default()),
            _ => Ok(path),
        }
    }
}

/// An address and port to listen on; port 0 is any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bind(pub SocketAddr);

impl Default for Bind {
    /// Any free port, on this machine only.
    fn default() -> Self {
        Self((Ipv4Addr::LOCALHOST, 0).into())
    }
}

/// Reads a [`Bind`].
pub(super) struct Address;

impl Form<Bind> for Address {
    fn says(&self) -> String {
        "an address with a port, such as \"127.0.0.1:9109\"".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<Bind, Wrong> {
        let text = raw.text().ok_or_else(Wrong::default)?.trim();
        match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|p| SocketAddr::from((Ipv4Addr::LOCALHOST, p))),
            None => text.parse().ok(),
        }
        .map(Bind)
        .ok_or_else(Wrong::default)
    }
}

/// The base address of an HTTP server.
pub(super) struct HttpUrl;

impl Form<String> for HttpUrl {
    fn says(&self) -> String {
        "an address such as \"http://localhost:8080\"".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<String, Wrong> {
        let text = raw.text().ok_or_else(Wrong::default)?.trim();
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = rest.and_then(|r| r.split('/').next()).unwrap_or_default();
        let port = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                !name.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)
            }
            _ => true,
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
        if host.is_empty() || !port || text.contains(odd) {
            return Err(Wrong::default());
        }
        Ok(text.trim_end_matches('/').to_owned())
    }
}

/// One of a few words.
pub(super) struct OneOf<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy> Form<T> for OneOf<T> {
    fn says(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("one of {}", words.join(", "))
    }

    fn read(&self, raw: Raw<'_>) -> Result<T, Wrong> {
        let text = raw.text().ok_or_else(Wrong::default)?;
        let found = self.0.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, value)| *value).ok_or_else(Wrong::default)
    }
}

/// A secret. Empty text stands for none.
pub(super) struct SecretText;

impl Form<Option<Secret>> for SecretText {
    fn says(&self) -> String {
        "text, which is never printed".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<Option<Secret>, Wrong> {
        let text = raw.text().ok_or_else(Wrong::default)?.trim();
        Ok((!text.is_empty()).then(|| Secret::new(text)))
    }

    fn secret(&self) -> bool {
        true
    }
}

/// A value that may be left out.
pub(super) struct Optional<F>(pub F);

impl<T, F: Form<T>> Form<Option<T>> for Optional<F> {
    fn says(&self) -> String {
        self.0.says()
    }

    fn read(&self, raw: Raw<'_>) -> Result<Option<T>, Wrong> {
        self.0.read(raw).map(Some)
    }
}

/// One value, or a list of them.
pub(super) struct OneOrMore<F>(pub F);

impl<T, F: Form<T>> Form<Vec<T>> for OneOrMore<F> {
    fn says(&self) -> String {
        format!("{}, or a list of such", self.0.says())
    }

    fn read(&self, raw: Raw<'_>) -> Result<Vec<T>, Wrong> {
        match raw.items() {
            None => Ok(vec![self.0.read(raw)?]),
            Some(items) if items.is_empty() => Err(Wrong::default()),
            Some(items) => items.into_iter().map(|i| self.0.read(i).map_err(|w| w.at(i))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn edges_of_forms() {
        let bytes = Bytes { min: 1, max: u64::MAX };
        for (text, size) in [("7", 7), ("1 kB", 1000), ("2MiB", 2 << 20), ("3 gib", 3 << 30)] {
            assert_eq!(bytes.read(Raw::Text(text)).unwrap(), size);
        }
        for text in ["", "MiB", "-1", "1.5 MiB", "99999999999 GiB", "1 XB"] {
            assert!(bytes.read(Raw::Text(text)).is_err(), "{text}");
        }
        let hz = Float { above: 0.0, max: 10_000.0 };
        for literal in ["10_000", "0.1", "1e3", "0x10"] {
            assert!(read_literal(&hz, literal).is_ok(), "{literal}");
        }
        for literal in
            ["nan", "inf", "0", "-0.0", "10000.1", "\"10\"", "true", "99999999999999999999"]
        {
            assert!(read_literal(&hz, literal).is_err(), "{literal}");
        }
        for text in ["http://h", "https://h:1/p/", "http://[::1]:80", "http://10.0.0.1:65535"] {
            assert!(HttpUrl.read(Raw::Text(text)).is_ok(), "{text}");
        }
        for text in [
            "h:1",
            "ftp://h",
            "http://",
            "http://:80",
            "http://h:0",
            "http://h:x",
            "http://u:p@h",
            "http://a b",
        ] {
            assert!(HttpUrl.read(Raw::Text(text)).is_err(), "{text}");
        }
        assert_eq!(Address.read(Raw::Text("localhost:80")).unwrap().0.to_string(), "127.0.0.1:80");
        assert!(Address.read(Raw::Text(":80")).is_err());
        assert_eq!(FilePath.read(Raw::Text("here")).unwrap(), Path::new("here"));
        assert!(read_literal(&FilePath, "\"here\"").is_err());
        assert!(read_literal(&FilePath, "\"/a\\u0000b\"").is_err());
        assert!(Switch.read(Raw::Text("ON")).unwrap());
        assert!(read_literal(&Switch, "1").is_err());
    }
}
