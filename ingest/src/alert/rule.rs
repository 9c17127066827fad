//! A rule, read from its text.

use std::fmt;
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_schemas::Table;

use super::config::AlertConfig;
use super::value::Value;

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alert {name:?}: {what}")]
pub struct RuleError {
    name: String,
    what: String,
}

impl RuleError {
    pub(super) fn new(name: &str, what: impl Into<String>) -> Self {
        Self { name: name.to_owned(), what: what.into() }
    }
}

/// A rule that can be judged by.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The table that it is over.
    pub table: &'static Table,
    /// What it starts; nothing if empty.
    pub command: Vec<String>,
    pub(super) when: Condition,
    pub(super) clear: Option<Condition>,
    pub(super) lasting_ns: i64,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// One sentence: which alert, what in it cannot be read or is not there, and what could be written.
    pub fn parse(config: &AlertConfig) -> Result<Self, RuleError> {
        let fail = |what: String| RuleError::new(&config.name, what);
        if config.name.is_empty()
            || !config.name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            return Err(fail("its name has to be letters, digits, _ and -".into()));
        }
        let table = bl_schemas::table(&config.table).filter(|table| table.name != "health");
        let table = table.ok_or_else(|| fail(format!("there is no table {:?}", config.table)))?;
        let condition = |key: &str, text: &str| {
            Condition::parse(table, text).map_err(|why| fail(format!("{key}: {why}")))
        };
        let when = condition("when", &config.when)?;
        let clear = config.clear.as_deref().map(|text| condition("clear", text)).transpose()?;
        let of_age = |condition: &Condition| condition.0.iter().any(|c| c.value == Value::Age);
        if of_age(&when) && (when.0.len() > 1 || clear.is_some()) {
            return Err(fail("age stands alone, and is cleared by the next row".into()));
        }
        if clear.as_ref().is_some_and(of_age) {
            return Err(fail("clear: age is nothing that a row says".into()));
        }
        let lasting = config.lasting.as_deref().map(duration).transpose().map_err(fail)?;
        if config.command.first().is_some_and(String::is_empty) {
            return Err(fail("command: the program has no name".into()));
        }
        Ok(Self {
            name: config.name.clone(),
            table,
            command: config.command.clone(),
            when,
            clear,
            lasting_ns: i64::try_from(lasting.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX),
        })
    }

    /// The age that it is about, where it is about that.
    pub(super) fn age(&self) -> Option<&Comparison> {
        self.when.0.iter().find(|comparison| comparison.value == Value::Age)
    }
}

/// Comparisons that all have to be met.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition(Vec<Comparison>);

impl Condition {
    fn parse(table: &Table, text: &str) -> Result<Self, String> {
        text.split(" and ")
            .map(|part| Comparison::parse(table, part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a row meets it; nothing where a reading that it needs is missing.
    pub fn is_met(&self, rows: &RecordBatch, row: usize) -> Option<bool> {
        let mut all = true;
        for comparison in &self.0 {
            all &= comparison.is_met(comparison.value.of_row(rows, row)?);
        }
        Some(all)
    }

    /// What a row says to it.
    pub fn described(&self, rows: &RecordBatch, row: usize) -> String {
        let said = self.0.iter().map(|c| {
            let value = c.value.of_row(rows, row).map_or("unknown".into(), |v| format!("{v:.3}"));
            format!("{} is {value} ({})", c.value.text(), c.limit)
        });
        said.collect::<Vec<_>>().join(", ")
    }
}

/// A value against a limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub value: Value,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
    Is(f64),
    IsNot(f64),
    Outside(f64, f64),
}

type Limiter = fn(f64) -> Limit;

/// Longer ones first: `>=` begins with `>`.
const SIGNS: [(&str, Limiter); 6] = [
    (">=", Limit::AtLeast),
    ("<=", Limit::AtMost),
    ("==", Limit::Is),
    ("!=", Limit::IsNot),
    (">", Limit::Above),
    ("<", Limit::Below),
];

impl Comparison {
    fn parse(table: &Table, text: &str) -> Result<Self, String> {
        if let Some((value, range)) = text.split_once(" outside ") {
            let (low, high) = range.split_once("..").ok_or_else(|| malformed(text))?;
            let (low, high) = (number(low)?, number(high)?);
            if low > high {
                return Err(format!("{range:?} is no range: the lower end comes first"));
            }
            let limit = Limit::Outside(low, high);
            return Ok(Self { value: Value::parse(table, value.trim())?, limit });
        }
        let found = SIGNS.iter().find_map(|(sign, limit)| Some((text.split_once(sign)?, limit)));
        let ((value, right), limit) = found.ok_or_else(|| malformed(text))?;
        Ok(Self { value: Value::parse(table, value.trim())?, limit: limit(number(right)?) })
    }

    /// Whether a number meets it.
    pub fn is_met(&self, value: f64) -> bool {
        match self.limit {
            Limit::Above(limit) => value > limit,
            Limit::AtLeast(limit) => value >= limit,
            Limit::Below(limit) => value < limit,
            Limit::AtMost(limit) => value <= limit,
            Limit::Is(limit) => value == limit,
            Limit::IsNot(limit) => value != limit,
            Limit::Outside(low, high) => !(low..=high).contains(&value),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Above(limit) => write!(f, "> {limit}"),
            Limit::AtLeast(limit) => write!(f, ">= {limit}"),
            Limit::Below(limit) => write!(f, "< {limit}"),
            Limit::AtMost(limit) => write!(f, "<= {limit}"),
            Limit::Is(limit) => write!(f, "== {limit}"),
            Limit::IsNot(limit) => write!(f, "!= {limit}"),
            Limit::Outside(low, high) => write!(f, "outside {low}..{high}"),
        }
    }
}

fn malformed(text: &str) -> String {
    format!(
        "{text:?} is no comparison: write a column, one of > >= < <= == != and a number, or COLUMN outside LOW..HIGH"
    )
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{:?} is no number", text.trim()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("for: {text:?} is no duration: write 500ms, 5s or 2m");
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}
