//! Records of CapFrameX: one JSON document with runs, whose `CaptureData` holds one array a column.
//!
//! Names as CapFrameX 1.8 writes them. Times of a second run continue those of the first.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Frame, ImportError, ImportReport};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    #[serde(default)]
    info: Info,
    #[serde(default)]
    runs: Vec<Run>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Info {
    process_name: Option<String>,
    game_name: Option<String>,
    creation_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    capture_data: Map<String, Value>,
}

/// Reads all frames of a record, and when it was made (ns, UTC).
pub(super) fn read(
    file: &Path,
    report: &mut ImportReport,
) -> Result<(Vec<Frame>, Option<i64>), ImportError> {
    let text = std::fs::read(file).map_err(|e| ImportError::io(file, e))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let session: Session = serde_json::from_slice(text).map_err(|e| {
        ImportError::format(file, e.line() as u64, format!("not a record of CapFrameX: {e}"))
    })?;
    let info = &session.info;
    let named = [&info.process_name, &info.game_name].into_iter().flatten();
    let application = named.into_iter().find(|n| !n.is_empty()).map(|n| Arc::from(n.as_str()));
    let created = info.creation_date.as_deref().and_then(|date| date.parse::<Timestamp>().ok());

    let mut frames = Vec::new();
    let mut first_s = None;
    for (number, run) in session.runs.iter().enumerate() {
        let run = Columns::new(number, &run.capture_data)
            .map_err(|what| ImportError::format(file, 1, what))?;
        for i in 0..run.count {
            report.lines += 1;
            match run.frame(i, application.clone(), &mut first_s) {
                Ok(frame) => frames.push(frame),
                Err(why) => report.bad_line(file, 1, why),
            }
        }
    }
    let created_ns = created.and_then(|c| i64::try_from(c.as_nanosecond()).ok());
    Ok((frames, created_ns))
}

/// The arrays of a run, all of one length.
struct Columns<'a> {
    number: usize,
    arrays: Vec<(&'a str, &'a [Value])>,
    count: usize,
}

/// Arrays that have a column of their own; the others go into `attrs`.
const OWN: [&str; 7] = [
    "TimeInSeconds",
    "MsBetweenPresents",
    "MsBetweenDisplayChange",
    "MsUntilDisplayed",
    "CpuActive",
    "GpuActive",
    "Dropped",
];

impl<'a> Columns<'a> {
    fn new(number: usize, data: &'a Map<String, Value>) -> Result<Self, String> {
        let arrays: Vec<(&str, &[Value])> = data
            .iter()
            .filter_map(|(name, values)| Some((name.as_str(), values.as_array()?.as_slice())))
            .filter(|(_, values)| !values.is_empty())
            .collect();
        let count = arrays.iter().find(|(name, _)| *name == "TimeInSeconds").map(|a| a.1.len());
        let count =
            count.ok_or_else(|| format!("Runs[{number}].CaptureData has no TimeInSeconds"))?;
        if let Some((name, values)) = arrays.iter().find(|(_, values)| values.len() != count) {
            let found = values.len();
            return Err(format!(
                "Runs[{number}].CaptureData.{name} has {found} values where TimeInSeconds has {count}"
            ));
        }
        Ok(Self { number, arrays, count })
    }

    fn value(&self, name: &str, i: usize) -> Option<&'a Value> {
        let (_, values) = self.arrays.iter().find(|(n, _)| *n == name)?;
        values.get(i).filter(|v| !v.is_null())
    }

    fn number(&self, name: &str, i: usize) -> Result<Option<f64>, String> {
        let Some(value) = self.value(name, i) else { return Ok(None) };
        match (value.as_f64(), value.as_str()) {
            (Some(number), _) => Ok(Some(number)),
            // How Newtonsoft.Json writes what is not a number.
            (_, Some("NaN")) => Ok(None),
            _ => Err(format!("Runs[{}], frame {i}: {name} is {value}", self.number)),
        }
    }

    fn frame(
        &self,
        i: usize,
        application: Option<Arc<str>>,
        first_s: &mut Option<f64>,
    ) -> Result<Frame, String> {
        let time_s = self
            .number("TimeInSeconds", i)?
            .ok_or_else(|| format!("Runs[{}], frame {i}: no TimeInSeconds", self.number))?;
        let at_s = time_s - *first_s.get_or_insert(time_s);
        let dropped = self.value("Dropped", i).and_then(Value::as_bool);
        let if_shown = |value: Option<f64>| value.filter(|_| dropped != Some(true));
        Ok(Frame {
            at_ns: (at_s * 1e9).round() as i64,
            application,
            frametime_ms: self.number("MsBetweenPresents", i)?,
            display_ms: if_shown(self.number("MsBetweenDisplayChange", i)?),
            cpu_busy_ms: self.number("CpuActive", i)?,
            gpu_busy_ms: self.number("GpuActive", i)?,
            latency_ms: if_shown(self.number("MsUntilDisplayed", i)?),
            dropped,
            attrs: self.attrs(i),
        })
    }

    fn attrs(&self, i: usize) -> Option<String> {
        let others = self.arrays.iter().filter(|(name, _)| !OWN.contains(name));
        let mut attrs: Map<String, Value> =
            others.map(|(name, values)| (name.to_string(), values[i].clone())).collect();
        if self.number > 0 {
            attrs.insert("Run".into(), self.number.into());
        }
        (!attrs.is_empty()).then(|| Value::Object(attrs).to_string())
    }
}
