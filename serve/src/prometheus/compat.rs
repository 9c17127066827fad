//! The series of the older tool, as dashboards of its users have them. Its names are not the conventional ones.

use serde_json::Value;

use super::FRESH_NS;
use super::families::Families;
use crate::live::{POWER_COLUMNS, Series, Window};

/// The board's electrical rails begin here in [`POWER_COLUMNS`], in the order in which the older tool numbers them.
const FIRST_RAIL: usize = 4;
/// The sensors under the older tool's names.
const SENSORS: [(&str, &str); 6] = [
    ("chip", "chip_c"),
    ("ambient", "ambient_c"),
    ("ext1", "ts1_c"),
    ("ext2", "ts2_c"),
    ("ext3", "ts3_c"),
    ("ext4", "ts4_c"),
];

pub(super) fn collect(families: &mut Families, window: &Window, now_ns: i64) {
    for pair in &window.pairs {
        let labels = [("pair", &*pair.name)];
        let last = pair.rows.iter().rev().find(|row| row.latency_ns.is_some());
        if let Some(row) = last.filter(|row| now_ns - row.ts_ns < FRESH_NS) {
            let text = "Latency of the last frame, milliseconds";
            families.gauge("benchlab_pipeline_latency_ms", text, &labels, row.latency_ms());
        }
        let text = "Frames that never reached the second stage";
        families.counter(
            "benchlab_pipeline_dropped_total",
            text,
            &labels,
            pair.counts.dropped as f64,
        );
    }
    // The older tool knew one board.
    let Some(board) = window.boards.first() else { return };
    let Some(row) = board.rows.back().filter(|row| now_ns - row.ts_ns < FRESH_NS) else { return };
    for at in FIRST_RAIL..POWER_COLUMNS.len() {
        let rail = (at - FIRST_RAIL).to_string();
        families.gauge(
            "benchlab_power_w",
            "Power of a rail, watts",
            &[("rail", &rail)],
            row.watts(at),
        );
    }
    families.gauge("benchlab_total_power_w", "Power of all rails, watts", &[], row.watts(0));
    info(families, window, &board.uid);
    let found =
        window.series(now_ns - FRESH_NS).find(|s| s.table.name == "benchlab" && s.key == board.uid);
    if let Some(series) = found {
        channels(families, series);
    }
}

fn channels(families: &mut Families, series: &Series) {
    let value = |column: &str| {
        let at = series.columns.iter().position(|c| *c == column);
        at.map_or(f64::NAN, |at| series.latest.1[at])
    };
    for channel in 0..13 {
        let label = channel.to_string();
        let text = "Voltage input, volts";
        families.gauge(
            "benchlab_voltage_v",
            text,
            &[("channel", &label)],
            value(&format!("vin{channel}_v")),
        );
    }
    for (at, column) in POWER_COLUMNS.iter().enumerate().skip(FIRST_RAIL) {
        let rail = (at - FIRST_RAIL).to_string();
        let (labels, stem) = ([("rail", rail.as_str())], column.trim_end_matches("_w"));
        let (volts, amperes) = (value(&format!("{stem}_v")), value(&format!("{stem}_a")));
        families.gauge("benchlab_power_voltage_v", "Voltage of a rail, volts", &labels, volts);
        families.gauge("benchlab_power_current_a", "Current of a rail, amperes", &labels, amperes);
    }
    for fan in 0..9 {
        let (label, stem) = (fan.to_string(), format!("fan{}", fan + 1));
        let labels = [("fan", label.as_str())];
        let on = series.attrs.get(&format!("{stem}_enabled")).and_then(Value::as_bool);
        let on = on.map_or(f64::NAN, |on| f64::from(u8::from(on)));
        families.gauge("benchlab_fan_enabled", "Whether a fan is enabled", &labels, on);
        let duty = value(&format!("{stem}_duty_pct"));
        families.gauge("benchlab_fan_duty", "Duty of a fan, percent", &labels, duty);
        families.gauge(
            "benchlab_fan_rpm",
            "Speed of a fan",
            &labels,
            value(&format!("{stem}_rpm")),
        );
    }
    for (sensor, column) in SENSORS {
        let text = "Temperature, degrees Celsius";
        families.gauge("benchlab_temp_c", text, &[("sensor", sensor)], value(column));
    }
    families.gauge(
        "benchlab_humidity_pct",
        "Relative humidity, percent",
        &[],
        value("humidity_pct"),
    );
    families.gauge(
        "benchlab_vdd_v",
        "Supply of the board's controller, volts",
        &[],
        value("vdd_v"),
    );
    families.gauge("benchlab_vref_v", "Voltage reference, volts", &[], value("vref_v"));
}

fn info(families: &mut Families, window: &Window, uid: &str) {
    let manifest = window.entry.session.manifest();
    let Some(known) = manifest.devices.iter().find(|d| d["id"] == uid) else { return };
    let text = |name: &str| match &known[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let values = ["name", "firmware", "vendor_id", "product_id"].map(|name| (name, text(name)));
    let labels: Vec<(&str, &str)> = std::iter::once(("uid", uid))
        .chain(values.iter().map(|(name, value)| (*name, value.as_str())))
        .collect();
    families.gauge("benchlab_device_info", "Always 1; who the board is", &labels, 1.0);
    if let Some(valid) = known["calibration_valid"].as_bool() {
        let value = f64::from(u8::from(valid));
        families.gauge(
            "benchlab_calibration_valid",
            "Whether the calibration is valid",
            &[],
            value,
        );
    }
}
