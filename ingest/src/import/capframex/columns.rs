//! The frames of a run.

use serde_json::{Map, Value};

use super::number;
use crate::import::Frame;
use crate::import::frames::Stream;

/// The arrays of a run, all of one length.
pub(super) struct Columns<'a> {
    number: usize,
    arrays: Vec<(&'a str, &'a [Value])>,
    pub count: usize,
}

/// Arrays that have a column of their own; the others go into `attrs`.
const OWN: [&str; 8] = [
    "TimeInSeconds",
    "MsBetweenPresents",
    "MsBetweenDisplayChange",
    "MsUntilDisplayed",
    "CpuActive",
    "GpuActive",
    "AnimationError",
    "Dropped",
];

impl<'a> Columns<'a> {
    /// Finds the arrays that tell something: CapFrameX fills those of which it knows nothing with zeros.
    pub fn new(number: usize, data: &'a Map<String, Value>) -> Result<Self, String> {
        let mut arrays: Vec<(&str, &[Value])> = data
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
        let is_zero = |value: &Value| value.as_f64() == Some(0.0);
        arrays.retain(|(name, values)| *name == "TimeInSeconds" || !values.iter().all(is_zero));
        let mut columns = Self { number, arrays, count };
        columns.forget_repeated("MsBetweenDisplayChange");
        columns.forget_repeated("MsUntilDisplayed");
        Ok(columns)
    }

    /// An array that repeats all frame times tells nothing: that is what stands there for want of a display's times.
    fn forget_repeated(&mut self, name: &str) {
        let Some((_, frametimes)) = self.arrays.iter().find(|(n, _)| *n == "MsBetweenPresents")
        else {
            return;
        };
        let frametimes: &[Value] = frametimes;
        self.arrays.retain(|(n, values)| *n != name || *values != frametimes);
    }

    fn value(&self, name: &str, i: usize) -> Option<&'a Value> {
        let (_, values) = self.arrays.iter().find(|(n, _)| *n == name)?;
        values.get(i)
    }

    fn number(&self, name: &str, i: usize) -> Result<Option<f64>, String> {
        let Some(value) = self.value(name, i) else { return Ok(None) };
        number(value).map_err(|()| format!("Runs[{}], frame {i}: {name} is {value}", self.number))
    }

    /// A frame; times are since the record's first one.
    pub fn frame(
        &self,
        i: usize,
        stream: &Stream,
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
            stream: stream.clone(),
            frametime_ms: self.number("MsBetweenPresents", i)?,
            display_ms: if_shown(self.number("MsBetweenDisplayChange", i)?),
            cpu_busy_ms: self.number("CpuActive", i)?,
            gpu_busy_ms: self.number("GpuActive", i)?,
            latency_ms: if_shown(self.number("MsUntilDisplayed", i)?),
            animation_error_ms: self.number("AnimationError", i)?,
            dropped,
            attrs: self.attrs(i),
            ..Frame::default()
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
