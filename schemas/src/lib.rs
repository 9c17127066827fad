//! The tables of the store, as data.
//!
//! One TOML file a table says each column's type, unit and meaning. Everything that has to agree on
//! them is made from these files: the Arrow schemas, the data dictionary (`schemas/README.md`), and
//! the HELP texts of the Prometheus exporter.
//!
//! ```
//! let table = bl_schemas::table("benchlab").unwrap();
//! assert_eq!(table.column("eps1_w").unwrap().unit.as_deref(), Some("W"));
//! ```

mod column;
mod definition;
mod dictionary;

use std::sync::{Arc, LazyLock};

use arrow_schema::{Field, Schema, SchemaRef};

pub use column::{Column, Kind, Metric};
pub use definition::DefinitionError;
pub use dictionary::data_dictionary;

/// The stages of an imported frame in table `pipeline`: it starts where the frame before was presented, and ends
/// where it is presented itself.
pub const FRAME_STAGES: [&str; 2] = ["frame_start", "presented"];

/// One table of the store.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name in SQL and of its folder in a session.
    pub name: String,
    /// What a row is.
    pub description: String,
    /// Version of the format in which the table appeared.
    pub since: u32,
    /// Whether `bl align` computes it (it then lies under `aligned/`, not under `raw/`).
    pub aligned: bool,
    /// Where rows are readings of one or several series: the columns that tell these apart, none where there is one.
    pub key: Option<Vec<String>>,
    /// All columns in their order: `ts`, `session`, `node`, `source`, then the table's own.
    pub columns: Vec<Column>,
    schema: SchemaRef,
    row_schema: SchemaRef,
}

impl Table {
    fn new(
        name: String,
        description: String,
        since: u32,
        aligned: bool,
        key: Option<Vec<String>>,
        columns: Vec<Column>,
    ) -> Self {
        let schema = Arc::new(Schema::new(
            columns.iter().map(|c| c.field(c.kind.arrow_type())).collect::<Vec<Field>>(),
        ));
        let row_schema = Arc::new(Schema::new(
            columns
                .iter()
                .filter(|c| !c.is_constant_in_a_session())
                .map(|c| c.field(c.kind.row_type()))
                .collect::<Vec<Field>>(),
        ));
        Self { name, description, since, aligned, key, columns, schema, row_schema }
    }

    /// The Arrow schema of the table at rest: what a sealed Parquet file holds.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The Arrow schema of what a collector hands to the store: without `session` and `node`, which
    /// are the same in every row of a session, and with plain strings in place of dictionaries.
    pub fn row_schema(&self) -> SchemaRef {
        Arc::clone(&self.row_schema)
    }

    /// Whether a column is one that every table begins with, or one that tells series apart.
    pub fn identifies(&self, column: &str) -> bool {
        ["ts", "session", "node", "source"].contains(&column)
            || self.key.iter().flatten().any(|name| name == column)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

static TABLES: LazyLock<Result<Vec<Table>, DefinitionError>> = LazyLock::new(definition::all);

/// All tables, in the order of the data dictionary.
///
/// The definitions are compiled in and a test parses them all, so that none can be broken here.
pub fn tables() -> &'static [Table] {
    TABLES.as_deref().unwrap_or(&[])
}

/// The tables whose rows are readings of series.
pub fn series_tables() -> impl Iterator<Item = &'static Table> {
    tables().iter().filter(|table| table.key.is_some())
}

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    tables().iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_sound() {
        if let Err(e) = &*TABLES {
            panic!("{e}");
        }
        for t in tables() {
            let mut names: Vec<_> = t.columns.iter().map(|c| &c.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), t.columns.len(), "{}: a column is there twice", t.name);
            for c in &t.columns {
                assert!(!c.description.is_empty(), "{}.{} has no description", t.name, c.name);
                if let (false, Some((_, suffix))) = (c.kind == Kind::Dict, c.name.rsplit_once('_'))
                {
                    let unit = match suffix {
                        "w" => Some("W"),
                        "v" => Some("V"),
                        "a" => Some("A"),
                        "j" => Some("J"),
                        "c" => Some("degC"),
                        "ms" => Some("ms"),
                        "ns" => Some("ns"),
                        "bytes" => Some("B"),
                        _ => None,
                    };
                    if let Some(unit) = unit {
                        assert_eq!(c.unit.as_deref(), Some(unit), "{}.{}", t.name, c.name);
                    }
                }
            }
        }
    }

    /// What a new column is to those who watch has to be said: a guess by its name has been wrong.
    #[test]
    fn numbers_of_series_say_what_they_are() {
        // Derived from others, or shown by metrics of their own.
        let apart = |table: &str, column: &str| {
            column.ends_with("_per_s")
                || column == "energy_uj"
                || table == "cpu" && column.ends_with("_pct")
                || ["benchlab", "hwmon"].contains(&table)
        };
        for table in series_tables() {
            for column in &table.columns {
                let is_text =
                    matches!(column.kind, Kind::Timestamp | Kind::Dict | Kind::Utf8 | Kind::Bool);
                let is_told = is_text || table.identifies(&column.name);
                if !is_told && !apart(&table.name, &column.name) {
                    assert!(column.metric.is_some(), "{}.{}: say metric", table.name, column.name);
                }
            }
        }
        let names: Vec<_> = series_tables().map(|table| table.name.as_str()).collect();
        assert!(names.contains(&"memory") && !names.contains(&"pipeline"), "{names:?}");
    }

    #[test]
    fn benchlab_has_the_names_that_others_rely_on() {
        let t = table("benchlab").unwrap();
        let names: Vec<_> = t.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(
            &names[..11],
            [
                "ts",
                "session",
                "node",
                "source",
                "device_uid",
                "rtt_ns",
                "ts_err_ns",
                "sys_w",
                "cpu_w",
                "gpu_w",
                "mb_w"
            ]
        );
        for name in ["hpwr2_wire6_a", "vin12_v", "ts_hpwr2_out_c", "fan9_enabled", "fault_log"] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_data_dictionary_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let fresh = data_dictionary();
        if std::env::var_os("BL_UPDATE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == fresh, "schemas/README.md is stale: run `make dictionary`");
    }
}
