//! The steps of the configured flow, from its own file where there is one.

use anyhow::{Context, bail};
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
        steps(&text).with_context(|| format!("{shown} is no flow"))
    }
}

/// Reads `[[steps]]`, each with an `id` and, where it has a target, `latency_target_ms`.
fn steps(text: &str) -> anyhow::Result<Vec<Step>> {
    let root = DeTable::parse(text)?;
    let mut steps = None;
    for (key, value) in root.get_ref() {
        match key.get_ref().as_ref() {
            "steps" => {
                steps = Some(Steps.read(Raw::Toml(value)).map_err(|wrong| match wrong.why {
                    Some(why) => anyhow::anyhow!("it {why}"),
                    None => anyhow::anyhow!("steps must be a list: write [[steps]] before each"),
                })?);
            }
            other => bail!("it has the unknown key \"{other}\": a flow has only [[steps]]"),
        }
    }
    steps.context("it has no steps: write [[steps]] before each")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_its_steps() {
        let flow =
            "[[steps]]\nid = \"capture\"\nlatency_target_ms = 120\n[[steps]]\nid = \"show\"\n";
        let found: Vec<_> =
            steps(flow).unwrap().into_iter().map(|s| (s.id, s.latency_target_ms)).collect();
        assert_eq!(found, [("capture".into(), Some(120.0)), ("show".into(), None)]);
        for (wrong, why) in [
            ("", "no steps"),
            ("step = 1", "unknown key \"step\""),
            ("steps = 1", "must be a list"),
            ("[[steps]]\nname = \"x\"", "unknown key \"name\""),
            ("- capture: 120", ""),
        ] {
            let said = steps(wrong).unwrap_err().to_string();
            assert!(said.contains(why), "{wrong:?}: {said}");
        }
    }
}
