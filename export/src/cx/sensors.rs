//! Sensors of a JSON record (`SensorData2`): everything else that was measured while the frames ran.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use arrow::array::{Array, Float64Array};
use bl_query::Query;
use bl_schemas::Kind;

use super::capture::{Capture, Part};
use super::power::{Board, tolerance_ns};
use super::{CxError, rows};

/// Spacing of the readings in a record: 250 ms.
const SPACING_NS: NonZeroU64 = NonZeroU64::new(250_000_000).unwrap();

/// A sensor that is unknown at more than this share of the instants is left out; else the instants are, as an
/// array has no place for what is unknown.
const UNKNOWN: f64 = 0.1;

/// Sensors on one series of instants.
#[derive(Debug, Default)]
pub(super) struct Sensors {
    /// Nanoseconds since the first frame.
    pub at_ns: Vec<i64>,
    pub sensors: Vec<Sensor>,
    /// Names of those that are known too seldom; the board's, which fail together, are counted.
    pub left_out: Vec<String>,
}

/// One sensor, with a value an instant.
#[derive(Debug)]
pub(super) struct Sensor {
    pub id: String,
    pub name: String,
    /// Type of sensor, as LibreHardwareMonitor calls it.
    pub kind: &'static str,
    pub values: Vec<f64>,
}

/// Columns of a table that are sensors, by what tells several of their kind apart.
struct Group {
    table: &'static str,
    /// SQL for the key, and for the rows.
    key: &'static str,
    rows: String,
    /// Column, type, and the sensor's name with `{}` for the key.
    columns: Vec<(String, &'static str, String)>,
}

impl Sensors {
    /// Reads what was measured during the capture.
    pub async fn read(
        query: &Query,
        capture: &Capture,
        board: Option<&Board>,
    ) -> Result<Self, CxError> {
        let parts = capture.every(SPACING_NS);
        let mut found = Vec::new();
        let groups =
            [gpu(), cpu(), rapl(), hwmon(), imported()].into_iter().chain(board.map(benchlab));
        for group in groups {
            found.append(&mut group.read(query, &parts).await?);
        }
        Ok(Self::of(found, &parts))
    }

    fn of(found: Vec<(Sensor, Vec<Option<f64>>)>, parts: &[Part]) -> Self {
        let at_ns: Vec<i64> = parts.iter().flat_map(Part::offsets_ns).collect();
        let mut sensors = Self::default();
        let mut known = vec![true; at_ns.len()];
        let (mut kept, mut of_board) = (Vec::new(), 0);
        for (sensor, values) in found {
            let unknown = values.iter().filter(|value| value.is_none()).count();
            if unknown as f64 > at_ns.len() as f64 * UNKNOWN {
                match sensor.id.starts_with("/benchlab/") {
                    true => of_board += 1,
                    false => sensors.left_out.push(sensor.name),
                }
                continue;
            }
            known.iter_mut().zip(&values).for_each(|(known, value)| *known &= value.is_some());
            kept.push((sensor, values));
        }
        if of_board > 0 {
            sensors.left_out.push(format!("{of_board} readings of the board"));
        }
        let is_known = |at: &usize| known[*at];
        sensors.at_ns = (0..at_ns.len()).filter(is_known).map(|at| at_ns[at]).collect();
        for (mut sensor, values) in kept {
            sensor.values = (0..at_ns.len()).filter(is_known).filter_map(|at| values[at]).collect();
            sensors.sensors.push(sensor);
        }
        sensors
    }
}

/// Samples of all columns of one key.
#[derive(Default)]
struct Series {
    ts_ns: Vec<i64>,
    /// Not a number where unknown.
    columns: Vec<Vec<f64>>,
}

impl Group {
    /// Its sensors that have any value, at the instants of the parts.
    async fn read(
        &self,
        query: &Query,
        parts: &[Part],
    ) -> Result<Vec<(Sensor, Vec<Option<f64>>)>, CxError> {
        let Self { table, key, rows: of, columns } = self;
        let names: Vec<String> = columns.iter().map(|(name, ..)| rows::identifier(name)).collect();
        let sql =
            format!("SELECT ts, {key}, {} FROM {table} WHERE {of} ORDER BY ts", names.join(", "));
        let mut batches = rows::ask(query, &sql).await?;
        let mut by_key: BTreeMap<String, Series> = BTreeMap::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ts_ns = rows::instants(&batch, 0)?;
            let keys = rows::texts(&batch, 1)?;
            let values: Vec<Float64Array> = (2..batch.num_columns())
                .map(|c| rows::floats(&batch, c))
                .collect::<Result<_, _>>()?;
            for (row, &ts_ns) in ts_ns.iter().enumerate() {
                let key = if keys.is_valid(row) { keys.value(row) } else { "" };
                if !by_key.contains_key(key) {
                    by_key.insert(key.into(), Series::default());
                }
                let Some(series) = by_key.get_mut(key) else { continue };
                series.ts_ns.push(ts_ns);
                series.columns.resize_with(values.len(), Vec::new);
                for (column, values) in series.columns.iter_mut().zip(&values) {
                    column.push(if values.is_valid(row) { values.value(row) } else { f64::NAN });
                }
            }
        }
        let mut found = Vec::new();
        for (nth, (key, series)) in by_key.iter().enumerate() {
            let tolerance_ns = tolerance_ns(&series.ts_ns);
            for ((column, kind, name), values) in columns.iter().zip(&series.columns) {
                let value = |row: usize| Some(values[row]);
                let of_part = |part: &Part| part.resample(&series.ts_ns, value, tolerance_ns);
                let on_grid: Vec<Option<f64>> = parts.iter().flat_map(of_part).collect();
                if on_grid.iter().any(Option::is_some) {
                    let id = match imported_parts(name, key) {
                        Some((_, id, _)) => id.to_string(),
                        None => format!("/{table}/{key}/{column}"),
                    };
                    let sensor = Sensor {
                        id,
                        name: named(name, key, nth),
                        kind: kind_of(kind, key),
                        values: vec![],
                    };
                    found.push((sensor, as_stored(on_grid, table, column)));
                }
            }
        }
        Ok(found)
    }
}

/// Rounds values between two samples to the digits that the column has: more are none of the device's.
fn as_stored(values: Vec<Option<f64>>, table: &str, column: &str) -> Vec<Option<f64>> {
    let kind = bl_schemas::table(table).and_then(|table| table.column(column)).map(|c| c.kind);
    let digits = match kind {
        Some(Kind::Decimal { scale, .. }) => i32::from(scale),
        Some(Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64) => 0,
        _ => return values,
    };
    let one = 10f64.powi(digits);
    values.into_iter().map(|value| value.map(|value| (value * one).round() / one)).collect()
}

/// The name of a sensor. CapFrameX takes the processor's and the card's power from the first sensors whose names
/// have `CPU Package` and `GPU Power` in them: those are software sensors (RAPL, the driver), and only they are
/// called so.
fn named(name: &str, key: &str, nth: usize) -> String {
    match name {
        "RAPL" => match key.strip_prefix("package-") {
            Some("0") => "CPU Package".into(),
            Some(number) if number.bytes().all(|c| c.is_ascii_digit()) => {
                format!("CPU Package {number}")
            }
            _ => format!("RAPL {key}"),
        },
        IMPORTED => imported_parts(name, key).map_or(key, |(_, _, label)| label).into(),
        "HWMON" => key.rsplit_once('|').map_or(key, |(name, _)| name).into(),
        _ if nth > 0 => name.replace("GPU", &format!("GPU{nth}")),
        _ => name.into(),
    }
}

/// What stands for the names of sensors that a record of CapFrameX brought in: they keep their own.
const IMPORTED: &str = "IMPORTED";

/// Type, identifier and name of such a sensor, as `bl import` puts them into `hwmon` and [`imported`] into the key.
fn imported_parts<'a>(name: &str, key: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let (kind, rest) = key.split_once(' ').filter(|_| name == IMPORTED)?;
    let (id, label) = rest.rsplit_once('|')?;
    Some((kind, id, label))
}

/// Types of sensors (LibreHardwareMonitor, `SensorType`).
const KINDS: [&str; 18] = [
    "Voltage",
    "Current",
    "Power",
    "Clock",
    "Temperature",
    "Load",
    "Frequency",
    "Fan",
    "Flow",
    "Control",
    "Level",
    "Factor",
    "Data",
    "SmallData",
    "Throughput",
    "TimeSpan",
    "Energy",
    "Noise",
];

/// Types of hwmon sensors go by their unit, which is the last part of their key; those of imported ones are the first.
fn kind_of(kind: &'static str, key: &str) -> &'static str {
    if kind == IMPORTED {
        let word = key.split(' ').next().unwrap_or_default();
        return KINDS.into_iter().find(|kind| *kind == word).unwrap_or("Level");
    }
    if !kind.is_empty() {
        return kind;
    }
    match key.rsplit_once('|').map_or("", |(_, unit)| unit) {
        "degC" => "Temperature",
        "V" => "Voltage",
        "A" => "Current",
        "W" => "Power",
        "J" => "Energy",
        "rpm" => "Fan",
        "Hz" => "Frequency",
        _ => "Level",
    }
}

fn group(
    table: &'static str,
    key: &'static str,
    rows: &str,
    columns: &[(&str, &'static str, &str)],
) -> Group {
    let columns = columns.iter().map(|(c, kind, name)| (c.to_string(), *kind, name.to_string()));
    Group { table, key, rows: rows.into(), columns: columns.collect() }
}

fn gpu() -> Group {
    let columns = [
        ("util_pct", "Load", "GPU Core"),
        ("encoder_pct", "Load", "GPU Video Encode"),
        ("power_w", "Power", "GPU Power"),
        ("temp_c", "Temperature", "GPU Core"),
        ("hotspot_c", "Temperature", "GPU Hot Spot"),
        ("mem_temp_c", "Temperature", "GPU Memory Junction"),
        ("core_mhz", "Clock", "GPU Core"),
        ("mem_mhz", "Clock", "GPU Memory"),
        ("fan_pct", "Control", "GPU Fan"),
        ("fan_rpm", "Fan", "GPU Fan"),
    ];
    group("gpu", "coalesce(uuid, CAST(gpu AS VARCHAR))", "true", &columns)
}

fn cpu() -> Group {
    let columns = [("busy_pct", "Load", "CPU Total"), ("freq_mhz", "Clock", "CPU Clock")];
    group("cpu", "cpu", "cpu = 'all'", &columns)
}

fn rapl() -> Group {
    group("rapl", "domain", "true", &[("power_w", "Power", "RAPL")])
}

fn hwmon() -> Group {
    let key =
        "concat(split_part(chip, '@', 1), ' ', coalesce(nullif(label, ''), sensor), '|', unit)";
    group("hwmon", key, "chip IS DISTINCT FROM 'capframex'", &[("value", "", "HWMON")])
}

/// Sensors of an imported record.
fn imported() -> Group {
    let key = "concat(sensor, '|', coalesce(label, ''))";
    group("hwmon", key, "chip = 'capframex'", &[("value", IMPORTED, IMPORTED)])
}

/// The board's rails, sums, temperatures and fans, as its table has them; single wires and raw inputs stay in the
/// store.
fn benchlab(board: &Board) -> Group {
    let columns = bl_schemas::table("benchlab").into_iter().flat_map(|table| &table.columns);
    let columns = columns.filter_map(|column| {
        let kind = match column.unit.as_deref()? {
            "W" => "Power",
            "V" => "Voltage",
            "A" => "Current",
            "degC" => "Temperature",
            "rpm" => "Fan",
            "%RH" => "Level",
            _ => return None,
        };
        let (stem, _) = column.name.rsplit_once('_')?;
        let is_inner =
            stem.contains("wire") || stem.starts_with("vin") || ["vdd", "vref"].contains(&stem);
        let name = match stem {
            _ if is_inner => return None,
            "sys" => "BENCHLAB System".into(),
            "cpu" => "BENCHLAB CPU Rails".into(),
            "gpu" => "BENCHLAB Card Rails".into(),
            "mb" => "BENCHLAB Board Rails".into(),
            _ => format!("BENCHLAB {}", stem.to_uppercase().replace('_', " ")),
        };
        Some((column.name.clone(), kind, name))
    });
    let columns = columns.collect();
    Group { table: "benchlab", key: "coalesce(device_uid, '')", rows: board.condition(), columns }
}
