//! A JSON record as CapFrameX 1.8.4 takes it, refusing also what throws later in its views.

use serde_json::Value;

/// Arrays of `CaptureData`.
const FLOATS: [&str; 11] = [
    "TimeInSeconds",
    "MsBetweenPresents",
    "MsInPresentAPI",
    "MsBetweenDisplayChange",
    "MsUntilRenderComplete",
    "MsUntilDisplayed",
    "QPCTime",
    "PcLatency",
    "AnimationError",
    "GpuActive",
    "CpuActive",
];
const INTEGERS: [&str; 3] = ["PresentMode", "AllowsTearing", "SyncInterval"];

/// The only run of a record.
#[derive(Debug)]
pub struct Loaded {
    pub record: Value,
    pub time_s: Vec<f64>,
    pub frame_ms: Vec<f64>,
    pub dropped: Vec<bool>,
    /// GPU, CPU, system; empty where they are not there.
    pub power_w: [Vec<f64>; 3],
    pub sample_ms: u64,
}

pub fn load(bytes: &[u8]) -> Result<Loaded, String> {
    let record: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let text = |value: &Value, what: &str| match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_string()),
        _ => Err(format!("{what} is {value}")),
    };
    text(&record["Hash"], "Hash")?;
    let info = &record["Info"];
    let version = text(&info["AppVersion"], "AppVersion")?;
    if version.split('.').count() < 2 || version.split('.').any(|part| part.parse::<u32>().is_err())
    {
        return Err(format!("AppVersion is {version}"));
    }
    let id = text(&info["Id"], "Id")?;
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    if lengths != [8, 4, 4, 4, 12] || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Err(format!("Id is {id}"));
    }
    if !text(&info["CreationDate"], "CreationDate")?.ends_with('Z') {
        return Err("CreationDate is not in UTC".into());
    }
    text(&info["ProcessName"], "ProcessName")?;
    let [run] = record["Runs"].as_array().ok_or("no Runs")?.as_slice() else {
        return Err("not one run".into());
    };
    let data = &run["CaptureData"];
    let mut columns = Vec::new();
    for name in FLOATS {
        columns.push(floats(&data[name]).ok_or(format!("{name} is no array of numbers"))?);
    }
    let (time_s, frame_ms) = (columns[0].clone(), columns[1].clone());
    let count = time_s.len();
    if count == 0 || columns.iter().any(|column| column.len() != count) {
        return Err("arrays differ in length, or are empty".into());
    }
    if frame_ms.iter().chain(&columns[3]).any(|ms| *ms <= 0.0) || !time_s.is_sorted() {
        return Err("frames of 0 ms, or times that go back".into());
    }
    for name in INTEGERS {
        let array = data[name].as_array().ok_or(format!("no {name}"))?;
        if array.len() != count || !array.iter().all(Value::is_i64) {
            return Err(format!("{name} is not as long, or holds no integers"));
        }
    }
    let dropped: Option<Vec<bool>> =
        data["Dropped"].as_array().and_then(|array| array.iter().map(Value::as_bool).collect());
    let dropped = dropped.filter(|dropped| dropped.len() == count).ok_or("Dropped is wrong")?;
    let sample_ms = run["SampleTime"].as_u64().ok_or("SampleTime is no whole number")?;
    let expected = (time_s[count - 1] * 1e3 / sample_ms as f64) as usize + 1;
    let mut power_w = [Vec::new(), Vec::new(), Vec::new()];
    for (watts, name) in power_w.iter_mut().zip(["PmdGpuPower", "PmdCpuPower", "PmdSystemPower"]) {
        if !run[name].is_null() {
            *watts = floats(&run[name]).ok_or(format!("{name} is no array of numbers"))?;
            if watts.len() != expected {
                return Err(format!("{name} has {} values, not {expected}", watts.len()));
            }
        }
    }
    sensors(&run["SensorData2"])?;
    Ok(Loaded { time_s, frame_ms, dropped, power_w, sample_ms, record: record.clone() })
}

fn sensors(sensors: &Value) -> Result<(), String> {
    let all = sensors.as_object().ok_or("no SensorData2")?;
    let instants = floats(&sensors["MeasureTime"]["Values"]).ok_or("no MeasureTime")?;
    for (id, sensor) in all {
        let values = floats(&sensor["Values"]).ok_or(format!("{id} has no values"))?;
        if values.len() != instants.len() {
            return Err(format!("{id} has {} values, not {}", values.len(), instants.len()));
        }
        let is_time = ["MeasureTime", "BetweenMeasureTime"].contains(&id.as_str());
        if is_time != (sensor["Type"] == "Time") || !sensor["StableIdentifier"].is_string() {
            return Err(format!("{id} is {}", sensor["Type"]));
        }
        let name = sensor["Name"].as_str().ok_or(format!("{id} has no name"))?;
        let is_software = ["CPU Package", "GPU Power", "GPU Total", "GPU TBP"];
        if id.starts_with("/benchlab/") && is_software.iter().any(|word| name.contains(word)) {
            return Err(format!("{id} is called {name}, which is a software sensor's name"));
        }
    }
    if !all.contains_key("BetweenMeasureTime") || !instants.is_sorted() {
        return Err("no BetweenMeasureTime, or times that go back".into());
    }
    Ok(())
}

/// All values, where each is a number.
fn floats(array: &Value) -> Option<Vec<f64>> {
    array.as_array()?.iter().map(Value::as_f64).collect()
}
