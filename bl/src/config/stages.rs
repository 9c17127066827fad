//! The names of stages, the pairs of them that are measured, and the steps of a flow.

use serde::Serialize;
use toml::de::DeTable;

use super::form::{Float, Form, Raw, Text, Wrong};
use super::nearest::did_you_mean;

/// A stage's name.
pub(super) const STAGE: Text = Text("the name of a stage");

/// Two stages between which latency is measured, first and second.
pub type StagePair = (String, String);

/// A list of pairs of stages; as text `a:b,b:c`.
pub(super) struct Pairs;

impl Form<Vec<StagePair>> for Pairs {
    fn says(&self) -> String {
        "a list of pairs of stages, such as [[\"ingress\", \"encoded\"]]".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<Vec<StagePair>, Wrong> {
        let items = raw.items().filter(|items| !items.is_empty()).ok_or_else(Wrong::default)?;
        items.into_iter().map(|item| pair(item).map_err(|wrong| wrong.at(item))).collect()
    }
}

fn pair(raw: Raw<'_>) -> Result<StagePair, Wrong> {
    let (a, b) = match raw {
        Raw::Text(text) => {
            let (a, b) = text.split_once(':').ok_or_else(Wrong::default)?;
            (STAGE.read(Raw::Text(a))?, STAGE.read(Raw::Text(b))?)
        }
        Raw::Toml(_) => match raw.items().unwrap_or_default()[..] {
            [a, b] => (
                STAGE.read(a).map_err(|wrong| wrong.at(a))?,
                STAGE.read(b).map_err(|wrong| wrong.at(b))?,
            ),
            _ => return Err(Wrong::default()),
        },
    };
    if a == b {
        return Err(Wrong::why(format!("pairs the stage \"{a}\" with itself")));
    }
    Ok((a, b))
}

/// One step of a flow: a mark of this name begins it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Step {
    /// The name that marks carry.
    pub id: String,
    /// What is shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// What the older tool's operator software did in this step; kept as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<String>,
    /// The latency that counts as met, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_target_ms: Option<f64>,
}

/// The steps of a flow, as inline tables.
pub(super) struct Steps;

const TEXT: Text = Text("text that is not empty");
const STEP_KEYS: [&str; 4] = ["id", "copy", "ops", "latency_target_ms"];
const TARGET: Float = Float { above: 0.0, max: 3_600_000.0 };

impl Form<Vec<Step>> for Steps {
    fn says(&self) -> String {
        "a list of steps, such as [{ id = \"capture\", latency_target_ms = 120 }]".into()
    }

    fn read(&self, raw: Raw<'_>) -> Result<Vec<Step>, Wrong> {
        let Raw::Toml(_) = raw else { return Err(Wrong::default()) };
        let mut steps: Vec<Step> = Vec::new();
        for item in raw.items().ok_or_else(Wrong::default)? {
            let Raw::Toml(value) = item else { return Err(Wrong::default()) };
            let table = value.get_ref().as_table().ok_or_else(|| Wrong::default().at(item))?;
            let step = step(table).map_err(|wrong| wrong.at(item))?;
            if steps.iter().any(|known| known.id == step.id) {
                return Err(Wrong::why(format!("has two steps \"{}\"", step.id)).at(item));
            }
            steps.push(step);
        }
        Ok(steps)
    }
}

fn step(table: &DeTable<'_>) -> Result<Step, Wrong> {
    let mut step = Step::default();
    for (key, value) in table {
        let (name, raw) = (key.get_ref().as_ref(), Raw::Toml(value));
        let (part, says) = match name {
            "id" => (TEXT.read(raw).map(|id| step.id = id), TEXT.says()),
            "copy" => (TEXT.read(raw).map(|copy| step.copy = Some(copy)), TEXT.says()),
            "ops" => (ops(raw).map(|ops| step.ops = ops), "a list of texts".into()),
            "latency_target_ms" => {
                (TARGET.read(raw).map(|ms| step.latency_target_ms = Some(ms)), TARGET.says())
            }
            _ => {
                let hint = did_you_mean(name, STEP_KEYS.iter().copied());
                let why = format!("has a step with the unknown key \"{name}\"{hint}");
                return Err(Wrong { span: Some(key.span()), why: Some(why) });
            }
        };
        let why = || format!("has a step whose {name} must be {says}");
        part.map_err(|wrong| Wrong { why: Some(why()), ..wrong.at(raw) })?;
    }
    if step.id.is_empty() {
        return Err(Wrong::why("has a step without an id"));
    }
    Ok(step)
}

fn ops(raw: Raw<'_>) -> Result<Vec<String>, Wrong> {
    let items = raw.items().ok_or_else(Wrong::default)?;
    items.into_iter().map(|item| TEXT.read(item).map_err(|wrong| wrong.at(item))).collect()
}
