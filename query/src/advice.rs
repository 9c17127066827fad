//! What was meant: errors of planning as one sentence with the nearest name.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// The error in our words, if it is one of a name that is not there; `tables` are the names of those that are.
pub fn advice(error: &DataFusionError, tables: &[String]) -> Option<String> {
    match error.find_root() {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
                Some(unknown(
                    "column",
                    &field.name,
                    &names,
                    "DESCRIBE of the table lists its columns",
                ))
            }
            _ => None,
        },
        DataFusionError::Plan(text) => {
            let name = text.strip_prefix("table '")?.split_once("' not found")?.0;
            let name = name.rsplit('.').next().unwrap_or(name);
            let names: Vec<&str> = tables.iter().map(String::as_str).collect();
            Some(unknown("table", name, &names, "SHOW TABLES lists them"))
        }
        _ => None,
    }
}

fn unknown(what: &str, name: &str, known: &[&str], otherwise: &str) -> String {
    match nearest(name, known) {
        Some(near) => format!("there is no {what} '{name}': did you mean '{near}'?"),
        None => format!("there is no {what} '{name}': {otherwise}"),
    }
}

/// The known name most like `name`, if it is like it at all.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&name, &k.to_lowercase()), *k))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
