//! The host: each numeric column of its tables is a metric, in base units, with the column's meaning as HELP.

use bl_schemas::{Column, Metric};

use super::FRESH_NS;
use super::families::Families;
use crate::live::{Series, Window};

pub(super) fn collect(families: &mut Families, window: &Window, now_ns: i64) {
    for series in window.series(now_ns - FRESH_NS) {
        match series.table.name.as_str() {
            "benchlab" => {}
            "hwmon" => sensor(families, series),
            _ => columns(families, series),
        }
    }
}

/// A metric that a column is: its name behind `bl_<table>_`, its factor to base units, and what it is.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    pub name: String,
    pub factor: f64,
    pub metric: Metric,
}

/// How a column becomes a metric, by what `schemas/` says of it; `None` where it does not: rates, which Prometheus works out
/// itself, and shares that follow from counters.
pub(super) fn rule(column: &Column) -> Option<Rule> {
    let metric = column.metric?;
    let (base, factor) = match column.unit.as_deref() {
        Some("%") => (Some("ratio"), 0.01),
        Some("W") => (Some("watts"), 1.0),
        Some("J") => (Some("joules"), 1.0),
        Some("V") => (Some("volts"), 1.0),
        Some("A") => (Some("amperes"), 1.0),
        Some("degC") => (Some("celsius"), 1.0),
        Some("MHz") => (Some("hertz"), 1e6),
        Some("ms") => (Some("seconds"), 1e-3),
        Some("us") => (Some("seconds"), 1e-6),
        Some("ns") => (Some("seconds"), 1e-9),
        Some("1/100 s") => (Some("seconds"), 1e-2),
        _ => (None, 1.0),
    };
    let stem = column.name.rsplit_once('_').map_or(column.name.as_str(), |(stem, _)| stem);
    let name = base.map_or(column.name.clone(), |base| format!("{stem}_{base}"));
    let name = match metric {
        Metric::Counter => format!("{name}_total"),
        Metric::Gauge => name,
    };
    Some(Rule { name, factor, metric })
}

fn columns(families: &mut Families, series: &Series) {
    let table = &series.table.name;
    let name = series.attrs.get("name").and_then(|name| name.as_str());
    let key = series.table.key.iter().flatten().next();
    let key = key.map(|label| (label.as_str(), series.key.as_str()));
    let labels: Vec<(&str, &str)> =
        key.into_iter().chain(name.map(|name| ("name", name))).collect();
    for (column, value) in series.columns.iter().zip(&series.latest.1) {
        let Some(column) = series.table.column(column) else { continue };
        let Some(rule) = rule(column) else { continue };
        let (metric, help) = (format!("bl_{table}_{}", rule.name), &column.description);
        match rule.metric {
            Metric::Counter => families.counter(&metric, help, &labels, value * rule.factor),
            Metric::Gauge => families.gauge(&metric, help, &labels, value * rule.factor),
        }
    }
}

fn sensor(families: &mut Families, series: &Series) {
    let text = |name: &str| series.attrs.get(name).and_then(|v| v.as_str()).unwrap_or_default();
    let (chip, sensor) = series.key.split_once('/').unwrap_or((&series.key, ""));
    let (name, factor, metric) = match text("unit") {
        "degC" => ("bl_hwmon_temperature_celsius", 1.0, Metric::Gauge),
        "V" => ("bl_hwmon_voltage_volts", 1.0, Metric::Gauge),
        "A" => ("bl_hwmon_current_amperes", 1.0, Metric::Gauge),
        "W" => ("bl_hwmon_power_watts", 1.0, Metric::Gauge),
        "J" => ("bl_hwmon_energy_joules_total", 1.0, Metric::Counter),
        "Hz" => ("bl_hwmon_frequency_hertz", 1.0, Metric::Gauge),
        "rpm" => ("bl_hwmon_fan_rpm", 1.0, Metric::Gauge),
        "pct" => ("bl_hwmon_share_ratio", 0.01, Metric::Gauge),
        _ => ("bl_hwmon_value", 1.0, Metric::Gauge),
    };
    let help = series.table.description.as_str();
    let labels = [("chip", chip), ("sensor", sensor), ("label", text("label"))];
    if let Some(at) = series.columns.iter().position(|c| *c == "value") {
        let value = series.latest.1[at] * factor;
        match metric {
            Metric::Counter => families.counter(name, help, &labels, value),
            Metric::Gauge => families.gauge(name, help, &labels, value),
        }
    }
}
