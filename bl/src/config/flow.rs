//! The steps of the configured flow, from its own file where there is one.

use std::path::Path;

use anyhow::{Context, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use toml::Value;
use toml::de::DeTable;

use super::Config;
use super::form::{Form, Raw};
use super::stages::{Step, Steps};

impl Config {
    /// The steps of `flows.file`, else of `flows.steps`.
    ///
    /// # Errors
    /// When the file cannot be read, or is no flow.
    pub fn flow(&self) -> anyhow::Result<Vec<Step>> {
        let Some(path) = &self.flows.file else { return Ok(self.flows.steps.clone()) };
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the flow {shown}"))?;
        let read = if is_yaml(path) { from_yaml(&text) } else { steps(&text, "write [[steps]]") };
        read.with_context(|| format!("{shown} is no flow"))
    }
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
}

/// Reads `steps`, each with an `id` and, where it has a target, `latency_target_ms`.
fn steps(text: &str, how: &str) -> anyhow::Result<Vec<Step>> {
    let root = DeTable::parse(text)?;
    let mut steps = None;
    for (key, value) in root.get_ref() {
        match key.get_ref().as_ref() {
            "steps" => {
                steps = Some(Steps.read(Raw::Toml(value)).map_err(|wrong| match wrong.why {
                    Some(why) => anyhow::anyhow!("it {why}"),
                    None => anyhow::anyhow!("steps must be a list: {how} before each"),
                })?);
            }
            other => bail!("it has the unknown key \"{other}\": a flow has only steps"),
        }
    }
    steps.with_context(|| format!("it has no steps: {how} before each"))
}

/// The same as YAML, by way of the TOML that says the same.
fn from_yaml(text: &str) -> anyhow::Result<Vec<Step>> {
    let mut documents = Yaml::load_from_str(text).context("it is not YAML")?;
    let how = "write steps: and - id:";
    let root = match (documents.pop(), documents.is_empty()) {
        (None, _) => bail!("it has no steps: {how} before each"),
        (Some(Yaml::Mapping(_)), false) => bail!("it has {} documents", documents.len() + 1),
        (Some(root), _) => root,
    };
    match value(&root)? {
        Value::Table(table) => steps(&toml::to_string(&table)?, how),
        _ => bail!("it has no steps: {how} before each"),
    }
}

fn value(yaml: &Yaml<'_>) -> anyhow::Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Value::Integer(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::Float(number.into_inner()),
        Yaml::Value(Scalar::Boolean(value)) => Value::Boolean(*value),
        Yaml::Sequence(items) => {
            Value::Array(items.iter().map(value).collect::<anyhow::Result<_>>()?)
        }
        Yaml::Mapping(entries) => {
            let entry = |(key, entry): (&Yaml<'_>, &Yaml<'_>)| {
                let key = key.as_str().context("it has a key that is no text")?;
                let entry = value(entry).with_context(|| format!("key \"{key}\""))?;
                Ok((key.to_string(), entry))
            };
            Value::Table(entries.iter().map(entry).collect::<anyhow::Result<_>>()?)
        }
        Yaml::Value(Scalar::Null) => bail!("it has a key without a value: leave the key out"),
        _ => bail!("it has a tag or an alias: write the value itself"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steps: anyhow::Result<Vec<Step>>) -> Vec<(String, Option<f64>)> {
        steps.unwrap().into_iter().map(|s| (s.id, s.latency_target_ms)).collect()
    }

    #[test]
    fn a_flow_is_its_steps() {
        let toml =
            "[[steps]]\nid = \"capture\"\nlatency_target_ms = 120\n[[steps]]\nid = \"show\"\n";
        let yaml = "# a flow\nsteps:\n  - id: capture\n    latency_target_ms: 120\n    ops: [a, \"b\"]\n  - id: show\n";
        let wanted = [("capture".into(), Some(120.0)), ("show".into(), None)];
        assert_eq!(told(steps(toml, "")), wanted);
        assert_eq!(told(from_yaml(yaml)), wanted);
        for (wrong, why) in [
            ("", "no steps"),
            ("step = 1", "unknown key \"step\""),
            ("steps = 1", "must be a list"),
            ("[[steps]]\nname = \"x\"", "unknown key \"name\""),
            ("- capture: 120", ""),
        ] {
            let said = steps(wrong, "").unwrap_err().to_string();
            assert!(said.contains(why), "{wrong:?}: {said}");
        }
        for (wrong, why) in [
            ("", "no steps"),
            ("- id: capture", "no steps"),
            ("step: 1", "unknown key \"step\""),
            ("steps: 1", "must be a list"),
            ("steps: [{id: a}, {id: a}]", "two steps \"a\""),
            ("steps: [{id: a, latency_target_ms: fast}]", "latency_target_ms must be a number"),
            ("steps: [{id: a, latency_target_ms: }]", "without a value"),
            ("steps: [{id: a}]\nsteps: [{id: b}]", "duplicated key"),
            ("steps: [{id: a}]\n---\nsteps: [{id: b}]", "2 documents"),
            ("steps: [", "not YAML"),
        ] {
            let said = format!("{:#}", from_yaml(wrong).unwrap_err());
            assert!(said.contains(why), "{wrong:?}: {said}");
        }
    }
}
