//! Records of CapFrameX: one JSON document with runs, whose `CaptureData` holds one array a column.
//!
//! Names as CapFrameX 1.8 writes them. Times of a second run continue those of the first.

mod columns;
mod readings;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::frames::{LogContents, Stream};
use super::{Began, ImportError, ImportReport, local_time};

use columns::Columns;

/// A record is saved when the frames that come late have been waited for, 2.5 s (300 and 500 ms in early versions), and
/// what came was worked on (CapFrameX, `CaptureManager.cs`, `PRESICE_OFFSET`; `RecordManager.cs`, `CreationDate`). So
/// the capture began up to this much earlier than the record tells.
const SAVED_LATE_NS: i64 = 3_000_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    #[serde(default)]
    info: Map<String, Value>,
    #[serde(default)]
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    capture_data: Map<String, Value>,
    sensor_data2: Option<Map<String, Value>>,
    /// What came before `SensorData2`.
    sensor_data: Option<Value>,
    pmd_gpu_power: Option<Vec<Value>>,
    pmd_cpu_power: Option<Vec<Value>>,
    pmd_system_power: Option<Vec<Value>>,
    /// Milliseconds between samples of the power.
    sample_time: Option<f64>,
}

/// Reads all frames of a record, its power and its sensors.
pub(super) fn read(file: &Path, report: &mut ImportReport) -> Result<LogContents, ImportError> {
    let text = std::fs::read(file).map_err(|e| ImportError::io(file, e))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    if !text.trim_ascii_start().starts_with(b"{") {
        let what = "not a record of CapFrameX, which is JSON; its CSV files are those of PresentMon: bl import presentmon";
        return Err(ImportError::format(file, 1, what));
    }
    let session: Session = serde_json::from_slice(text).map_err(|e| {
        ImportError::format(file, e.line() as u64, format!("not a record of CapFrameX: {e}"))
    })?;
    let stream = Stream { application: application(&session.info), ..Stream::default() };
    let (mut frames, mut readings) = (Vec::new(), Vec::new());
    let mut first_s = None;
    for (number, run) in session.runs.iter().enumerate() {
        let columns = Columns::new(number, &run.capture_data)
            .map_err(|what| ImportError::format(file, 1, what))?;
        let begin = frames.len();
        for i in 0..columns.count {
            report.lines += 1;
            match columns.frame(i, &stream, &mut first_s) {
                Ok(frame) => frames.push(frame),
                Err(why) => report.bad_line(file, 1, why),
            }
        }
        let start_ns = frames.get(begin).map_or(0, |frame| frame.at_ns);
        readings.append(&mut readings::read(file, number, run, start_ns, report));
    }
    let length_ns = frames.iter().map(|frame| frame.at_ns).max().unwrap_or_default();
    let saved_ns = session.info.get("CreationDate").and_then(Value::as_str).and_then(instant_ns);
    let began = saved_ns.map(|saved_ns| Began {
        ns: saved_ns.saturating_sub(length_ns),
        err_ns: SAVED_LATE_NS,
        from: "when the record was saved (CreationDate), less its length",
    });
    let info = texts(session.info);
    Ok(LogContents { frames, began, info, readings })
}

/// The game's program, else its name.
fn application(info: &Map<String, Value>) -> Option<Arc<str>> {
    let mut named =
        ["ProcessName", "GameName"].into_iter().filter_map(|key| info.get(key)?.as_str());
    named.find(|name| !name.is_empty()).map(Arc::from)
}

/// An instant of a record; without an offset it is a local time.
fn instant_ns(text: &str) -> Option<i64> {
    match text.parse::<Timestamp>() {
        Ok(instant) => i64::try_from(instant.as_nanosecond()).ok(),
        Err(_) => local_time::utc_ns(text.parse::<DateTime>().ok()?),
    }
}

/// What is known, as texts.
fn texts(info: Map<String, Value>) -> Map<String, Value> {
    let text = |value: Value| match value {
        Value::String(text) if !text.is_empty() => Some(Value::String(text)),
        Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
        _ => None,
    };
    info.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect()
}

/// A number of an array: none where it is null or is said not to be one.
fn number(value: &Value) -> Result<Option<f64>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        // How Newtonsoft.Json writes what is not a number.
        Value::String(text) if text == "NaN" => Ok(None),
        _ => Err(()),
    }
}
