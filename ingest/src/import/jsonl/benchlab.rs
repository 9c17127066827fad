//! The readings of a board, in the short form (`p_sys`) and in the long one (`voltages`, `power`, `fans`, `temps`).

use serde_json::{Map, Value};

use crate::draft::{Draft, add_sums};
use crate::serial::protocol::RAILS;

const TABLE: &str = "benchlab";

/// Keys that are called otherwise here. The last six come from a daemon's stream that was recorded as it came.
const RENAMED: [(&str, &str); 11] = [
    ("p_sys", "sys_w"),
    ("power_w", "sys_w"),
    ("humidity", "humidity_pct"),
    ("vdd", "vdd_v"),
    ("vref", "vref_v"),
    ("chipTemp", "chip_c"),
    ("ambientTemp", "ambient_c"),
    ("extTemp1", "ts1_c"),
    ("extTemp2", "ts2_c"),
    ("extTemp3", "ts3_c"),
    ("extTemp4", "ts4_c"),
];

const TEMPERATURES: [(&str, &str); 6] = [
    ("chip", "chip_c"),
    ("ambient", "ambient_c"),
    ("ext1", "ts1_c"),
    ("ext2", "ts2_c"),
    ("ext3", "ts3_c"),
    ("ext4", "ts4_c"),
];

/// Takes the readings of a board into a draft.
///
/// # Errors
/// When one of them is not what its key says.
pub(super) fn fill(kv: &Map<String, Value>, draft: &mut Draft) -> Result<(), String> {
    for (key, value) in kv {
        match key.as_str() {
            "voltages" => voltages(value, draft)?,
            "power" => each(value, "power", |i, rail| power(i, rail, draft))?,
            "fans" => each(value, "fans", |i, fan| fan_readings(i, fan, draft))?,
            "temps" => temperatures(value, draft)?,
            _ => {
                let column = renamed(&RENAMED, key).unwrap_or(key);
                draft.set(TABLE, column, key, value)?;
            }
        }
    }
    add_sums(draft);
    Ok(())
}

fn renamed(names: &[(&'static str, &'static str)], key: &str) -> Option<&'static str> {
    names.iter().find(|(name, _)| *name == key).map(|(_, column)| *column)
}

/// Goes through a list of objects.
fn each(
    list: &Value,
    key: &str,
    mut take: impl FnMut(usize, &Map<String, Value>) -> Result<(), String>,
) -> Result<(), String> {
    let list = list.as_array().ok_or_else(|| format!("{key} is not a list"))?;
    for (i, entry) in list.iter().enumerate() {
        let entry = entry.as_object().ok_or_else(|| format!("{key}[{i}] is not an object"))?;
        take(i, entry)?;
    }
    Ok(())
}

/// The channel that an entry is of: the one that it names, else its place in the list.
fn channel(entry: &Map<String, Value>, names: &[&str], place: usize) -> Result<usize, String> {
    match names.iter().find_map(|name| entry.get(*name)) {
        None => Ok(place),
        Some(n) => {
            n.as_u64().map(|n| n as usize).ok_or_else(|| format!("no channel has the number {n}"))
        }
    }
}

/// A list of 13 inputs: volts, or integers of millivolts, or objects with `volts`.
fn voltages(list: &Value, draft: &mut Draft) -> Result<(), String> {
    let list = list.as_array().ok_or("voltages is not a list")?;
    for (place, entry) in list.iter().enumerate() {
        let key = format!("voltages[{place}]");
        let (channel, volts) = match entry {
            Value::Object(object) => (
                channel(object, &["channel"], place)?,
                object.get("volts").cloned().unwrap_or(Value::Null),
            ),
            // The older tool writes volts, always with a point; a daemon's stream has integers of millivolts.
            Value::Number(n) if n.is_i64() => {
                (place, Value::from(n.as_i64().unwrap_or_default() as f64 / 1000.0))
            }
            other => (place, other.clone()),
        };
        draft.set(TABLE, &format!("vin{channel}_v"), &key, &volts)?;
    }
    Ok(())
}

fn power(place: usize, entry: &Map<String, Value>, draft: &mut Draft) -> Result<(), String> {
    let numbering = ["rail", "channel"];
    let channel = channel(entry, &numbering, place)?;
    // The older tools know the eleven rails only, not the pins of a connector.
    let Some(rail) = RAILS[..11].get(channel) else {
        draft.unknown.push(format!("power[{channel}]"));
        return Ok(());
    };
    for (key, value) in entry.iter().filter(|(key, _)| !numbering.contains(&key.as_str())) {
        let unit = match key.as_str() {
            "voltage" | "v" => "v",
            "current" | "a" => "a",
            "power" | "w" => "w",
            _ => {
                draft.unknown.push(format!("power[].{key}"));
                continue;
            }
        };
        draft.set(TABLE, &format!("{rail}_{unit}"), &format!("power[{channel}].{key}"), value)?;
    }
    Ok(())
}

fn fan_readings(place: usize, entry: &Map<String, Value>, draft: &mut Draft) -> Result<(), String> {
    let numbering = ["fan", "channel"];
    let fan = channel(entry, &numbering, place)?.saturating_add(1);
    for (key, value) in entry.iter().filter(|(key, _)| !numbering.contains(&key.as_str())) {
        let name = format!("fans[].{key}");
        match (key.as_str(), value.as_f64()) {
            // The older tool's duty is the board's byte.
            ("duty", Some(byte)) => {
                let percent = Value::from(byte * 100.0 / 255.0);
                draft.set(TABLE, &format!("fan{fan}_duty_pct"), &name, &percent)?;
            }
            ("duty", None) => draft.set(TABLE, &format!("fan{fan}_duty_pct"), &name, value)?,
            ("rpm" | "enabled", _) => {
                draft.set(TABLE, &format!("fan{fan}_{key}"), &name, value)?;
            }
            _ => draft.unknown.push(name),
        }
    }
    Ok(())
}

fn temperatures(all: &Value, draft: &mut Draft) -> Result<(), String> {
    for (key, value) in all.as_object().ok_or("temps is not an object")? {
        let name = format!("temps.{key}");
        match renamed(&TEMPERATURES, key) {
            Some(column) => draft.set(TABLE, column, &name, value)?,
            None => draft.unknown.push(name),
        }
    }
    Ok(())
}
