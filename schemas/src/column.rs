//! A column and its type.

use std::fmt;
use std::str::FromStr;

use arrow_schema::{DataType, Field, TimeUnit};

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, with its unit as suffix (`_w`, `_ns`, ...).
    pub name: String,
    /// Type of its values.
    pub kind: Kind,
    /// Unit of its values, if they have one.
    pub unit: Option<String>,
    /// What it means.
    pub description: String,
    /// What it is to those who watch; `None` where they are not shown it: texts, and what follows from other columns.
    pub metric: Option<Metric>,
    /// Version of the format in which the column appeared.
    pub since: u32,
}

/// What a number is to those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// It goes up and down.
    Gauge,
    /// It only grows, until what counts it starts anew.
    Counter,
}

impl Column {
    /// Whether every row of a session has the same value: `session` and `node`.
    pub fn is_constant_in_a_session(&self) -> bool {
        matches!(self.name.as_str(), "session" | "node")
    }

    pub(crate) fn field(&self, data_type: DataType) -> Field {
        let required = matches!(self.name.as_str(), "ts" | "session" | "node" | "source");
        Field::new(&self.name, data_type, !required)
    }
}

/// Type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Instant in nanoseconds on the session's timeline, UTC.
    Timestamp,
    /// String of few different values.
    Dict,
    /// Any string.
    Utf8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 64-bit integer.
    U64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// True or false.
    Bool,
    /// Exact decimal number in 32 bits.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: i8,
    },
}

impl Kind {
    /// The Arrow type at rest.
    pub fn arrow_type(self) -> DataType {
        match self {
            Kind::Dict => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            other => other.row_type(),
        }
    }

    /// The Arrow type in a collector's hand: plain strings in place of dictionaries.
    pub fn row_type(self) -> DataType {
        match self {
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Kind::Dict | Kind::Utf8 => DataType::Utf8,
            Kind::I16 => DataType::Int16,
            Kind::I32 => DataType::Int32,
            Kind::I64 => DataType::Int64,
            Kind::U64 => DataType::UInt64,
            Kind::F32 => DataType::Float32,
            Kind::F64 => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Decimal { precision, scale } => DataType::Decimal32(precision, scale),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Kind::Timestamp => "timestamp_ns",
            Kind::Dict => "dict",
            Kind::Utf8 => "utf8",
            Kind::I16 => "i16",
            Kind::I32 => "i32",
            Kind::I64 => "i64",
            Kind::U64 => "u64",
            Kind::F32 => "f32",
            Kind::F64 => "f64",
            Kind::Bool => "bool",
            Kind::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
        };
        f.write_str(name)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let simple = [
            Kind::Timestamp,
            Kind::Dict,
            Kind::Utf8,
            Kind::I16,
            Kind::I32,
            Kind::I64,
            Kind::U64,
            Kind::F32,
            Kind::F64,
            Kind::Bool,
        ];
        if let Some(kind) = simple.into_iter().find(|k| k.to_string() == s) {
            return Ok(kind);
        }
        let decimal = s
            .strip_prefix("decimal(")
            .and_then(|s| s.strip_suffix(')'))
            .and_then(|s| s.split_once(','))
            .and_then(|(p, s)| Some((p.parse().ok()?, s.parse().ok()?)));
        match decimal {
            Some((precision @ 1..=9, scale)) => Ok(Kind::Decimal { precision, scale }),
            _ => Err(format!("'{s}' is no type of a column")),
        }
    }
}
