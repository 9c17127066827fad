//! Slow series: about two rows a second of everything that is no power and no frame.

use std::collections::{BTreeMap, HashSet, VecDeque};

use arrow::array::RecordBatch;
use bl_schemas::{Kind, Table};
use serde_json::{Map, Value, json};

use super::cells::Cells;
use super::power::POWER_COLUMNS;
use super::time::{json_number, ms};

/// Series kept at most: bounds memory, whatever the host has.
const SERIES: usize = 512;

/// Rows are kept in about this distance, however many come at once: after a stall, or at the first look.
const STEP_NS: i64 = 500_000_000;

/// The key of the series that a row belongs to: `all`, `eth0`, `nct6775/temp1`; empty where a table has one series.
pub fn key_of(table: &Table, cells: &Cells<'_>, row: usize) -> String {
    let parts = table.key.iter().flatten().map(|name| match cells.text(name, row) {
        Some(text) => text.to_string(),
        None => match cells.number(name, row) {
            number if number.is_finite() => number.to_string(),
            _ => String::new(),
        },
    });
    parts.collect::<Vec<_>>().join("/")
}

/// One series of a table.
#[derive(Debug, Clone)]
pub struct Series {
    /// The table.
    pub table: &'static Table,
    /// Which series of it.
    pub key: String,
    /// What its rows carry in `source`.
    pub source: String,
    /// Names of its numeric columns.
    pub columns: Vec<&'static str>,
    /// The rows, oldest first; NaN is null.
    pub rows: VecDeque<(i64, Box<[f64]>)>,
    /// The last row as it was.
    pub latest: (i64, Box<[f64]>),
    /// Last values of the columns that are no numbers.
    pub attrs: Map<String, Value>,
    is_fresh: bool,
    /// How many of the rows were not told yet.
    untold: usize,
}

impl Series {
    /// A series that begins with a row.
    pub fn new(table: &'static Table, cells: &Cells<'_>, row: usize) -> Self {
        let columns = table.columns.iter().filter(|c| is_numeric(table, c.name.as_str(), c.kind));
        let mut series = Self {
            table,
            key: key_of(table, cells, row),
            source: String::new(),
            columns: columns.map(|c| c.name.as_str()).collect(),
            rows: VecDeque::new(),
            latest: (i64::MIN, Box::default()),
            attrs: Map::new(),
            is_fresh: false,
            untold: 0,
        };
        series.push(cells, row);
        series
    }

    /// Takes a row unless a newer one is there.
    pub fn push(&mut self, cells: &Cells<'_>, row: usize) {
        let ts_ns = cells.ts()[row];
        if ts_ns < self.latest.0 {
            return;
        }
        if self.rows.back().is_none_or(|(last, _)| self.latest.0 - last >= STEP_NS) {
            self.keep();
        }
        self.latest = (ts_ns, self.columns.iter().map(|name| cells.number(name, row)).collect());
        self.source = cells.text("source", row).unwrap_or_default().into();
        for column in &self.table.columns {
            let value = match column.kind {
                _ if self.table.identifies(&column.name) => continue,
                Kind::Bool => json!(cells.flag(&column.name, row)),
                Kind::Dict | Kind::Utf8 => json!(cells.text(&column.name, row)),
                _ => continue,
            };
            if !value.is_null() || self.attrs.contains_key(&column.name) {
                self.attrs.insert(column.name.clone(), value);
            }
        }
        self.is_fresh = true;
    }

    /// Keeps the last row among the rows.
    pub fn keep(&mut self) {
        if std::mem::take(&mut self.is_fresh) {
            self.rows.push_back(self.latest.clone());
            self.untold += 1;
        }
    }
}

fn is_numeric(table: &Table, name: &str, kind: Kind) -> bool {
    let text = matches!(kind, Kind::Timestamp | Kind::Dict | Kind::Utf8 | Kind::Bool);
    let is_power = table.name == "benchlab" && POWER_COLUMNS.contains(&name);
    !text && !is_power && !table.identifies(name)
}

/// One series with these of its rows; columns that are null throughout are left out.
pub fn series_json(series: &Series, rows: &[&(i64, Box<[f64]>)]) -> Value {
    let mut cols = Map::new();
    for (column, name) in series.columns.iter().enumerate() {
        if rows.iter().any(|(_, values)| values[column].is_finite()) {
            let values = rows.iter().map(|(_, values)| json_number(values[column]));
            cols.insert((*name).into(), values.collect());
        }
    }
    let t: Vec<f64> = rows.iter().map(|(ts_ns, _)| ms(*ts_ns)).collect();
    json!({
        "table": series.table.name, "key": series.key, "source": series.source,
        "t": t, "cols": cols, "attrs": series.attrs,
    })
}

/// The last row of each half second of each series, in order; none where the table is none of series.
fn last_rows(table: &Table, cells: &Cells<'_>) -> Vec<(String, usize)> {
    if table.key.is_none() {
        return Vec::new();
    }
    let mut done = HashSet::new();
    let mut last: Vec<(String, usize)> = Vec::new();
    for row in (0..cells.rows()).rev() {
        let key = key_of(table, cells, row);
        if done.insert((key.clone(), cells.ts()[row].div_euclid(STEP_NS))) {
            last.push((key, row));
        }
    }
    last.reverse();
    last
}

/// All series of a session, by table and key.
#[derive(Debug, Clone, Default)]
pub(super) struct Channels(BTreeMap<(&'static str, String), Series>);

impl Channels {
    /// Takes rows of a table: of each series, the last of each half second.
    pub fn push(&mut self, table: &'static Table, rows: &RecordBatch) {
        let cells = Cells(rows);
        for (key, row) in last_rows(table, &cells) {
            let place = (table.name.as_str(), key);
            let has_room = self.0.len() < SERIES;
            match self.0.get_mut(&place) {
                Some(series) => series.push(&cells, row),
                None if has_room => {
                    self.0.insert(place, Series::new(table, &cells, row));
                }
                None => {}
            }
        }
    }

    /// Keeps the last rows. Returns those that are new, as the shape **channels**.
    pub fn tick(&mut self) -> Option<Value> {
        let mut new = Vec::new();
        for series in self.0.values_mut() {
            series.keep();
            let untold = std::mem::take(&mut series.untold).min(series.rows.len());
            if untold > 0 {
                let rows: Vec<_> = series.rows.range(series.rows.len() - untold..).collect();
                new.push(series_json(series, &rows));
            }
        }
        (!new.is_empty()).then(|| json!({ "series": new }))
    }

    /// The series with a row from `from_ns` on.
    pub fn since(&self, from_ns: i64) -> impl Iterator<Item = &Series> {
        self.0.values().filter(move |series| series.latest.0 >= from_ns)
    }

    /// Forgets rows before `ts_ns`, and series that have none any more.
    pub fn trim_before(&mut self, ts_ns: i64) {
        self.0.retain(|_, series| series.latest.0 >= ts_ns);
        for series in self.0.values_mut() {
            while series.rows.front().is_some_and(|(ts, _)| *ts < ts_ns) {
                series.rows.pop_front();
            }
        }
    }
}

/// The rows of a series from `from_ns` on.
pub(super) fn rows_since(series: &Series, from_ns: i64) -> Vec<&(i64, Box<[f64]>)> {
    series.rows.iter().filter(|(ts, _)| *ts >= from_ns).collect()
}
