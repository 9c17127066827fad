//! From the TOML files to tables.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Column, Kind, Table};

/// What is wrong with a table's TOML file.
#[derive(Debug, Clone, thiserror::Error)]
#[error("schemas/{file}.toml: {what}")]
pub struct DefinitionError {
    file: String,
    what: String,
}

const FILES: &[(&str, &str)] = &[
    ("benchlab", include_str!("../benchlab.toml")),
    ("pipeline", include_str!("../pipeline.toml")),
    ("frames", include_str!("../frames.toml")),
    ("marks", include_str!("../marks.toml")),
    ("gpu", include_str!("../gpu.toml")),
    ("cpu", include_str!("../cpu.toml")),
    ("memory", include_str!("../memory.toml")),
    ("net", include_str!("../net.toml")),
    ("disk", include_str!("../disk.toml")),
    ("pressure", include_str!("../pressure.toml")),
    ("power_supply", include_str!("../power_supply.toml")),
    ("process", include_str!("../process.toml")),
    ("rapl", include_str!("../rapl.toml")),
    ("hwmon", include_str!("../hwmon.toml")),
    ("clock", include_str!("../clock.toml")),
    ("health", include_str!("../health.toml")),
    ("latency", include_str!("../latency.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableToml {
    name: String,
    since: u32,
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
    Ok(Table::new(toml.name, toml.description, toml.since, toml.aligned, columns))
}

/// The columns that every table begins with.
fn common_columns(since: u32) -> Vec<Column> {
    let column = |name: &str, kind, description: &str| Column {
        name: name.into(),
        kind,
        unit: None,
        description: description.into(),
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
