//! From the TOML files to tables.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Column, Kind, Metric, Table};

/// What is wrong with a table's TOML file.
#[derive(Debug, Clone, thiserror::Error)]
#[error("schemas/{file}.toml: {what}")]
pub struct DefinitionError {
    file: String,
    what: String,
}

// Every TOML file of this folder, found by the build script: `FILES`, each its name and its text.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableToml {
    name: String,
    since: u32,
    key: Option<Vec<String>>,
    description: String,
    #[serde(default)]
    aligned: bool,
    #[serde(default)]
    repeat: BTreeMap<String, Vec<String>>,
    column: Vec<ColumnToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnToml {
    name: String,
    /// Name of a list in `repeat`: the column stands for one column an entry.
    each: Option<String>,
    r#type: String,
    unit: Option<String>,
    metric: Option<Metric>,
    description: String,
    since: Option<u32>,
}

pub(crate) fn all() -> Result<Vec<Table>, DefinitionError> {
    FILES
        .iter()
        .map(|(file, text)| {
            parse(text).map_err(|what| DefinitionError { file: file.to_string(), what })
        })
        .collect()
}

fn parse(text: &str) -> Result<Table, String> {
    let toml: TableToml = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut columns = common_columns(toml.since);
    for c in &toml.column {
        let kind: Kind = c.r#type.parse()?;
        let column = |fill: &dyn Fn(&str) -> String| Column {
            name: fill(&c.name),
            kind,
            unit: c.unit.clone(),
            description: fill(&c.description),
            metric: c.metric,
            since: c.since.unwrap_or(toml.since),
        };
        match &c.each {
            None => columns.push(column(&|s| s.to_string())),
            Some(list) => {
                let entries = toml.repeat.get(list).ok_or(format!("no list '{list}' in repeat"))?;
                let placeholder = format!("{{{list}}}");
                columns.extend(entries.iter().map(|e| column(&|s| s.replace(&placeholder, e))));
            }
        }
    }
    for name in toml.key.iter().flatten() {
        if !columns.iter().any(|column| column.name == *name) {
            return Err(format!("key names '{name}', which is no column"));
        }
    }
    Ok(Table::new(toml.name, toml.description, toml.since, toml.aligned, toml.key, columns))
}

/// The columns that every table begins with.
fn common_columns(since: u32) -> Vec<Column> {
    let column = |name: &str, kind, description: &str| Column {
        name: name.into(),
        kind,
        unit: None,
        description: description.into(),
        metric: None,
        since,
    };
    vec![
        column(
            "ts",
            Kind::Timestamp,
            "When: CLOCK_MONOTONIC plus the session's fixed anchor, so it reads as UTC and never steps",
        ),
        column("session", Kind::Dict, "The session that the row was recorded in"),
        column("node", Kind::Dict, "The host that recorded it"),
        column(
            "source",
            Kind::Dict,
            "What it was read from, such as benchlab.usb or host.cpu; begins with 'sim.' where it is simulated",
        ),
    ]
}
