//! Boards: power, voltage and current by rail, energy, fans, temperatures, identity.

use serde_json::Value;

use super::FRESH_NS;
use super::families::Families;
use crate::live::{Board, POWER_COLUMNS, Series, Window};

/// Sums that the board's rails add up to.
const PARTS: usize = 4;

pub(super) fn collect(families: &mut Families, window: &Window, now_ns: i64) {
    for board in window.boards.iter() {
        if board.rows.back().is_some_and(|row| now_ns - row.ts_ns < FRESH_NS) {
            power(families, board);
            identity(families, window, board);
        }
    }
    for series in window.series(now_ns - FRESH_NS).filter(|s| s.table.name == "benchlab") {
        channels(families, series);
    }
}

/// HELP of a column of table `benchlab`, or of its kind where several columns share a metric.
fn help(column: &str) -> &'static str {
    let table = bl_schemas::table("benchlab");
    table.and_then(|t| t.column(column)).map_or("", |c| c.description.as_str())
}

fn power(families: &mut Families, board: &Board) {
    let device = ("device", board.uid.as_str());
    let Some(row) = board.rows.back() else { return };
    for (at, column) in POWER_COLUMNS.iter().enumerate() {
        let name = column.trim_end_matches("_w");
        if at >= PARTS {
            let labels = [device, ("rail", name)];
            families.gauge("bl_power_watts", "Power of a rail", &labels, row.watts(at));
            continue;
        }
        let labels = [device, ("part", name)];
        let text = format!("Sums of the rails; sys: {}", help("sys_w"));
        families.gauge("bl_power_sum_watts", &text, &labels, row.watts(at));
        let text = "Energy since the session's start; nothing is counted across a gap";
        families.counter("bl_energy_joules_total", text, &labels, board.joules[at]);
    }
    let text = "Samples of the board that were read";
    families.counter("bl_device_samples_total", text, &[device], board.samples as f64);
    if let Some(rtt_ns) = board.round_trips.back() {
        let seconds = *rtt_ns as f64 / 1e9;
        families.gauge("bl_device_round_trip_seconds", help("rtt_ns"), &[device], seconds);
    }
}

fn identity(families: &mut Families, window: &Window, board: &Board) {
    let manifest = window.entry.session.manifest();
    let Some(known) = manifest.devices.iter().find(|d| d["id"] == board.uid.as_str()) else {
        return;
    };
    let text = |name: &str| match &known[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let (model, name, firmware) = (text("model"), text("name"), text("firmware"));
    let labels = [
        ("device", board.uid.as_str()),
        ("model", &model),
        ("name", &name),
        ("firmware", &firmware),
    ];
    families.gauge("bl_device_info", "Always 1; who the board is", &labels, 1.0);
    if let Some(valid) = known["calibration_valid"].as_bool() {
        let value = f64::from(u8::from(valid));
        let text = "Whether the calibration that the board works with is valid";
        families.gauge("bl_device_calibration_valid", text, &labels[..1], value);
    }
}

fn channels(families: &mut Families, series: &Series) {
    let device = ("device", series.key.as_str());
    for (column, value) in series.columns.iter().zip(&series.latest.1) {
        let Some((stem, unit)) = column.rsplit_once('_') else { continue };
        let wire = stem.contains("_wire");
        let fan = stem.strip_suffix("_duty").unwrap_or(stem);
        let (name, text, label, value) = match unit {
            "w" if wire => {
                ("bl_wire_power_watts", "Power of a pin, part of its rail", "wire", *value)
            }
            "v" if wire => ("bl_wire_voltage_volts", "Voltage of a pin", "wire", *value),
            "a" if wire => {
                ("bl_wire_current_amperes", "Current of a pin, part of its rail", "wire", *value)
            }
            "v" => ("bl_voltage_volts", "Voltage of a rail or an input", "rail", *value),
            "a" => ("bl_current_amperes", "Current of a rail", "rail", *value),
            "c" => {
                ("bl_temperature_celsius", "Temperature of a sensor of the board", "sensor", *value)
            }
            "rpm" => ("bl_fan_speed_rpm", "Speed of a fan, revolutions a minute", "fan", *value),
            "pct" if stem == "humidity" => {
                families.gauge("bl_humidity_ratio", help(column), &[device], value / 100.0);
                continue;
            }
            "pct" => ("bl_fan_duty_ratio", "PWM duty of a fan", "fan", value / 100.0),
            _ => continue,
        };
        let which = if label == "fan" { fan } else { stem };
        families.gauge(name, text, &[device, (label, which)], value);
    }
    for (name, value) in &series.attrs {
        if let (Some(fan), Some(on)) = (name.strip_suffix("_enabled"), value.as_bool()) {
            let labels = [device, ("fan", fan)];
            let value = f64::from(u8::from(on));
            families.gauge("bl_fan_enabled", "Whether a fan is enabled", &labels, value);
        }
    }
}
