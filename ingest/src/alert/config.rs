//! Rules as they are written.

use serde::{Deserialize, Serialize};

use super::rule::{Rule, RuleError};

/// One `[[alert]]`.
///
/// ```toml
/// [[alert]]
/// name = "gpu_hot"
/// table = "gpu"                 # benchlab by default
/// when = "temp_c > 90"
/// for = "5s"                    # at once by default
/// clear = "temp_c < 85"         # as soon as `when` is not met, by default
/// command = ["notify-send", "too hot"]
/// ```
///
/// `when` and `clear` are comparisons joined by `and`. A comparison is a value, one of `>  >=  <  <=  ==  !=` and a number,
/// or a value and `outside LOW..HIGH`. A value is a column; `max(…)`, `min(…)` or `spread(…)` (the largest less the
/// smallest) of the columns that a name with `*` stands for; or `age`, the seconds since the last row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertConfig {
    /// What it is called in `health`.
    pub name: String,
    /// The table whose rows it judges.
    #[serde(default = "benchlab")]
    pub table: String,
    /// When readings are wrong.
    pub when: String,
    /// For how long they have to be, and to be in order again: `500ms`, `5s`, `2m`.
    #[serde(default, rename = "for")]
    pub lasting: Option<String>,
    /// When they are in order again.
    #[serde(default)]
    pub clear: Option<String>,
    /// A program and its arguments, started at both; it is told what by `BL_ALERT_*` in its environment.
    #[serde(default)]
    pub command: Vec<String>,
    /// Whether it is judged by: `false` takes a rule that comes with `bl` away.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn benchlab() -> String {
    "benchlab".into()
}

/// The rules of a configuration and those that come with `bl`, in whose place a configured one of the same name comes.
///
/// # Errors
/// The first rule that cannot be read.
pub fn with_shipped(configured: &[AlertConfig]) -> Result<Vec<Rule>, RuleError> {
    if let Some(twice) = configured.iter().enumerate().find_map(|(i, alert)| {
        configured[..i].iter().any(|other| other.name == alert.name).then_some(alert)
    }) {
        return Err(RuleError::new(&twice.name, "there are two of that name"));
    }
    let shipped = shipped()?;
    let is_replaced = |alert: &AlertConfig| configured.iter().any(|own| own.name == alert.name);
    let kept = shipped.iter().filter(|alert| !is_replaced(alert));
    kept.chain(configured).filter(|alert| alert.enabled).map(Rule::parse).collect()
}

/// The rules that come with `bl`.
///
/// # Errors
/// When the file cannot be read: a slip in our own, found by the tests.
pub fn shipped() -> Result<Vec<AlertConfig>, RuleError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        alert: Vec<AlertConfig>,
    }
    let file: File = toml::from_str(include_str!("shipped.toml"))
        .map_err(|e| RuleError::new("shipped.toml", e.message()))?;
    Ok(file.alert)
}
