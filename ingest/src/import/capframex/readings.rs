//! Power and sensors of a run.
//!
//! `PmdGpuPower`, `PmdCpuPower` and `PmdSystemPower` are what CapFrameX reads from a power meter, a BENCHLAB for one: they
//! become rows of table `benchlab`. Sensors become rows of `hwmon`, unless `bl export cx` wrote them: their identifier then
//! tells the table and the column that they came from.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Run, number};
use crate::import::ImportReport;
use crate::import::frames::{Reading, log_name};

/// What rows of a power meter carry in `source`.
const PMD: &str = "capframex.pmd";

/// What rows of sensors carry in `source`.
const SENSORS: &str = "capframex";

/// The two entries of `SensorData2` that are no sensors.
const TIMES: [&str; 2] = ["MeasureTime", "BetweenMeasureTime"];

/// The rows of a run, by what tells them apart: when, table, and what names the device.
type Rows = BTreeMap<(i64, &'static str, String), Vec<(String, Value)>>;

/// A sensor's place: its table, what names the device there (columns and values), and the column of its readings.
struct Place {
    table: &'static str,
    device: Vec<(&'static str, Value)>,
    column: String,
}

/// Reads power and sensors of a run; what is bad is told in the report. The run begins at `start_ns` after the record's
/// first frame.
pub(super) fn read(
    file: &Path,
    number: usize,
    run: &Run,
    start_ns: i64,
    report: &mut ImportReport,
) -> Vec<Reading> {
    let bad = |report: &mut ImportReport, why: String| {
        report.bad_line(file, 1, format!("Runs[{number}]: {why}"));
    };
    let mut rows = Rows::new();
    let sensors = run.sensor_data2.as_ref();
    let board = sensors.and_then(board_of).unwrap_or_else(|| log_name(file));
    if let Err(why) = add_power(run, start_ns, &board, &mut rows) {
        bad(report, why);
    }
    match sensors {
        Some(sensors) => {
            if let Err(why) = add_sensors(sensors, &mut rows) {
                bad(report, why);
            }
        }
        None if run.sensor_data.as_ref().is_some_and(|data| !data.is_null()) => {
            report.unknown_key("capframex", "SensorData (the form before SensorData2)", file, 1);
        }
        None => {}
    }
    let source = |table| if table == "benchlab" { PMD } else { SENSORS };
    rows.into_iter()
        .map(|((at_ns, table, _), cells)| Reading { at_ns, source: source(table), table, cells })
        .collect()
}

fn add_power(run: &Run, start_ns: i64, board: &str, rows: &mut Rows) -> Result<(), String> {
    let channels = [
        ("gpu_w", "PmdGpuPower", &run.pmd_gpu_power),
        ("cpu_w", "PmdCpuPower", &run.pmd_cpu_power),
        ("sys_w", "PmdSystemPower", &run.pmd_system_power),
    ];
    let known =
        channels.iter().filter_map(|(column, name, watts)| Some((column, name, watts.as_ref()?)));
    for (column, name, watts) in known.filter(|(_, _, watts)| !watts.is_empty()) {
        let step_ms = run.sample_time.filter(|ms| *ms > 0.0);
        let step_ms = step_ms
            .ok_or_else(|| format!("{name} without SampleTime: nothing tells when it was"))?;
        for (i, value) in watts.iter().enumerate() {
            let watts = number(value).map_err(|()| format!("{name}[{i}] is {value}"))?;
            let at_ns = start_ns + (step_ms * 1e6 * i as f64).round() as i64;
            let row = rows
                .entry((at_ns, "benchlab", Value::from(board).to_string()))
                .or_insert_with(|| vec![("device_uid".into(), board.into())]);
            row.push((column.to_string(), json!(watts)));
        }
    }
    Ok(())
}

fn add_sensors(sensors: &Map<String, Value>, rows: &mut Rows) -> Result<(), String> {
    let Some(times_s) = sensors.get(TIMES[0]).map(|times| values(TIMES[0], times)).transpose()?
    else {
        return match sensors.is_empty() {
            true => Ok(()),
            false => {
                Err("SensorData2 has no MeasureTime: nothing tells when its sensors were read"
                    .into())
            }
        };
    };
    for (key, entry) in sensors.iter().filter(|(key, _)| !TIMES.contains(&key.as_str())) {
        let readings = values(key, entry)?;
        if readings.len() != times_s.len() {
            let (found, times) = (readings.len(), times_s.len());
            return Err(format!(
                "SensorData2 {key} has {found} values where MeasureTime has {times}"
            ));
        }
        let place = Place::of(key, entry);
        let device: String = place.device.iter().map(|(_, value)| value.to_string()).collect();
        for (at_s, reading) in times_s.iter().zip(readings) {
            let (Some(at_s), Some(reading)) = (at_s, reading) else { continue };
            let at_ns = (at_s * 1e9).round() as i64;
            let row = rows.entry((at_ns, place.table, device.clone())).or_insert_with(|| {
                place.device.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
            });
            // The sums of a board are there already, as its power.
            if !row.iter().any(|(name, _)| *name == place.column) {
                row.push((place.column.clone(), json!(reading)));
            }
        }
    }
    Ok(())
}

/// The values of an entry, null where they are not known.
fn values(key: &str, entry: &Value) -> Result<Vec<Option<f64>>, String> {
    let values =
        entry["Values"].as_array().ok_or_else(|| format!("SensorData2 {key} has no Values"))?;
    let value =
        |(i, value)| number(value).map_err(|()| format!("SensorData2 {key}, value {i} is {value}"));
    values.iter().enumerate().map(value).collect()
}

/// The board whose sensors `bl export cx` wrote.
fn board_of(sensors: &Map<String, Value>) -> Option<String> {
    let uid = |key: &String| {
        let Place { table, device, .. } = Place::of_export(key)?;
        (table == "benchlab").then(|| device[0].1.as_str().map(str::to_string))?
    };
    sensors.keys().find_map(uid)
}

impl Place {
    fn of(key: &str, entry: &Value) -> Self {
        let id = entry["StableIdentifier"].as_str().filter(|id| !id.is_empty()).unwrap_or(key);
        let kind = entry["Type"].as_str().unwrap_or("unknown");
        Self::of_export(id).unwrap_or_else(|| Self {
            table: "hwmon",
            device: vec![
                ("chip", "capframex".into()),
                ("sensor", format!("{kind} {id}").into()),
                ("label", entry["Name"].clone()),
                ("unit", unit(kind).map_or(Value::Null, Value::from)),
            ],
            column: "value".into(),
        })
    }

    /// The place that an identifier of `bl export cx` names: `/table/device/column`.
    fn of_export(id: &str) -> Option<Self> {
        let (table, rest) = id.strip_prefix('/')?.split_once('/')?;
        let (device, column) = rest.rsplit_once('/')?;
        let table =
            ["benchlab", "gpu", "cpu", "rapl", "hwmon"].into_iter().find(|t| *t == table)?;
        bl_schemas::table(table)?.column(column)?;
        let device = match table {
            "benchlab" => vec![("device_uid", device.into())],
            "gpu" => match device.parse::<i16>() {
                Ok(number) => vec![("gpu", number.into())],
                Err(_) => vec![("uuid", device.into())],
            },
            "cpu" => vec![("cpu", device.into())],
            "rapl" => vec![("domain", device.into())],
            _ => {
                let (name, unit) = device.rsplit_once('|')?;
                let (chip, label) = name.split_once(' ')?;
                vec![("chip", chip.into()), ("label", label.into()), ("unit", unit.into())]
            }
        };
        Some(Self { table, device, column: column.into() })
    }
}

/// The unit of a sensor by its type (LibreHardwareMonitor, `SensorType`).
fn unit(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Voltage" => "V",
        "Current" => "A",
        "Power" => "W",
        "Clock" => "MHz",
        "Temperature" => "degC",
        "Load" | "Control" | "Level" | "Humidity" => "pct",
        "Frequency" => "Hz",
        "Fan" => "rpm",
        "Flow" => "L/h",
        "Data" => "GB",
        "SmallData" => "MB",
        "Throughput" => "B/s",
        "TimeSpan" => "s",
        "Timing" => "ns",
        "Energy" => "mWh",
        "Noise" => "dBA",
        _ => return None,
    })
}
