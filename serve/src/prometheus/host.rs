//! The host: each numeric column of its tables is a metric, in base units, with the column's meaning as HELP.

use super::FRESH_NS;
use super::families::Families;
use crate::live::{Series, Window, key_columns};

pub(super) fn collect(families: &mut Families, window: &Window, now_ns: i64) {
    for series in window.series(now_ns - FRESH_NS) {
        match series.table.name.as_str() {
            "benchlab" => {}
            "hwmon" => sensor(families, series),
            _ => columns(families, series),
        }
    }
}

/// A metric that a column is: its name behind `bl_<table>_`, its factor, and whether it is a sum.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub name: String,
    pub factor: f64,
    pub is_counter: bool,
}

/// How a column of a table becomes a metric; `None` where it does not: rates, which Prometheus works out itself, and
/// shares that follow from counters.
pub(super) fn rule(table: &str, column: &str) -> Option<Rule> {
    let rule = |name: String, factor, is_counter| Some(Rule { name, factor, is_counter });
    let counts = ["net", "disk"].contains(&table);
    let (stem, unit) = column.rsplit_once('_').unwrap_or((column, ""));
    match unit {
        _ if column.ends_with("_per_s") => None,
        "uj" => None,
        "pct" if table == "cpu" && stem != "busy" => None,
        "pct" => rule(format!("{stem}_ratio"), 0.01, false),
        "w" => rule(format!("{stem}_watts"), 1.0, false),
        "j" => rule(format!("{stem}_joules_total"), 1.0, true),
        "c" => rule(format!("{stem}_celsius"), 1.0, false),
        "mhz" => rule(format!("{stem}_hertz"), 1e6, false),
        "ms" => rule(format!("{stem}_seconds_total"), 1e-3, true),
        "ticks" => rule(format!("{stem}_seconds_total"), 1e-2, true),
        "bytes" | "packets" | "errors" | "dropped" | "ops" if counts => {
            rule(format!("{column}_total"), 1.0, true)
        }
        _ => rule(column.into(), 1.0, false),
    }
}

fn columns(families: &mut Families, series: &Series) {
    let table = &series.table.name;
    let name = series.attrs.get("name").and_then(|name| name.as_str());
    let key = key_columns(table).first().map(|label| (*label, series.key.as_str()));
    let labels: Vec<(&str, &str)> =
        key.into_iter().chain(name.map(|name| ("name", name))).collect();
    for (column, value) in series.columns.iter().zip(&series.latest.1) {
        let Some(rule) = rule(table, column) else { continue };
        let help = series.table.column(column).map_or("", |c| c.description.as_str());
        let metric = format!("bl_{table}_{}", rule.name);
        match rule.is_counter {
            true => families.counter(&metric, help, &labels, value * rule.factor),
            false => families.gauge(&metric, help, &labels, value * rule.factor),
        }
    }
}

fn sensor(families: &mut Families, series: &Series) {
    let text = |name: &str| series.attrs.get(name).and_then(|v| v.as_str()).unwrap_or_default();
    let (chip, sensor) = series.key.split_once('/').unwrap_or((&series.key, ""));
    let (name, factor) = match text("unit") {
        "degC" => ("bl_hwmon_temperature_celsius", 1.0),
        "V" => ("bl_hwmon_voltage_volts", 1.0),
        "A" => ("bl_hwmon_current_amperes", 1.0),
        "W" => ("bl_hwmon_power_watts", 1.0),
        "rpm" => ("bl_hwmon_fan_rpm", 1.0),
        "%" | "%RH" => ("bl_hwmon_share_ratio", 0.01),
        _ => ("bl_hwmon_value", 1.0),
    };
    let help = series.table.description.as_str();
    let labels = [("chip", chip), ("sensor", sensor), ("label", text("label"))];
    if let Some(at) = series.columns.iter().position(|c| *c == "value") {
        families.gauge(name, help, &labels, series.latest.1[at] * factor);
    }
}
