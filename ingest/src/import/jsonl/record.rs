//! One line of a recording, and where its readings go.

use serde_json::{Map, Value};

use super::benchlab;
use crate::draft::Draft;

/// A line's contents.
#[derive(Debug)]
pub(super) struct Record {
    pub ts_ns: i64,
    pub source: String,
    kv: Map<String, Value>,
    /// What is beside `ts_ns`, `source` and `kv`.
    beside: Map<String, Value>,
}

/// Where the keys of one source go that are called otherwise here: key, table, column.
type Renamed = &'static [(&'static str, &'static str, &'static str)];

const GPU: Renamed = &[
    ("gpu_util", "gpu", "util_pct"),
    ("mem_util", "gpu", "mem_util_pct"),
    ("gpu_mem_used", "gpu", "mem_used_bytes"),
    ("gpu_mem_total", "gpu", "mem_total_bytes"),
];

const CPU: Renamed = &[
    ("cpu_util", "cpu", "busy_pct"),
    ("mem_percent", "memory", "used_pct"),
    ("mem_total", "memory", "total_bytes"),
    ("mem_available", "memory", "available_bytes"),
    ("mem_free", "memory", "free_bytes"),
    ("swap_total", "memory", "swap_total_bytes"),
    ("swap_free", "memory", "swap_free_bytes"),
];

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut all: Map<String, Value> =
            serde_json::from_slice(text).map_err(|e| format!("not a JSON object: {e}"))?;
        let ts_ns = all.remove("ts_ns").ok_or("ts_ns is missing")?;
        let ts_ns = match ts_ns.as_i64() {
            Some(ts_ns) if ts_ns >= 0 => ts_ns,
            _ => return Err(format!("ts_ns is not a count of nanoseconds: {ts_ns}")),
        };
        let source = match all.remove("source") {
            Some(Value::String(source)) => source,
            Some(other) => return Err(format!("source is not a string: {other}")),
            None => return Err("source is missing".into()),
        };
        let kv = match all.remove("kv") {
            Some(Value::Object(kv)) => kv,
            Some(_) => return Err("kv is not an object".into()),
            None => return Err("kv is missing".into()),
        };
        Ok(Self { ts_ns, source, kv, beside: all })
    }

    /// `source` of the rows. The older tool puts made-up readings in place of those that it cannot get;
    /// where it says so, they are marked.
    pub fn row_source(&self) -> String {
        match self.beside.get("device_info").and_then(|d| d["uid"].as_str()) {
            Some("simulated") => format!("sim.{}", self.source),
            _ => self.source.clone(),
        }
    }

    /// Takes the readings into a draft.
    ///
    /// # Errors
    /// When one of them makes no sense, or the source is none that is known.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), String> {
        match self.source.as_str() {
            "benchlab.usb" => benchlab::fill(&self.kv, draft)?,
            "gpu.nvml" => {
                self.flat(draft, "gpu", GPU)?;
                constant(draft, "gpu", "vendor", "nvidia")?;
            }
            "cpu.psutil" => {
                self.flat(draft, "cpu", CPU)?;
                constant(draft, "cpu", "cpu", "all")?;
            }
            "pipeline" => self.stage(draft)?,
            other => {
                return Err(format!(
                    "source '{other}' is none of benchlab.usb, gpu.nvml, cpu.psutil, pipeline"
                ));
            }
        }
        self.beside(draft)
    }

    /// Readings that each have a column: a renamed one, else the one of the same name.
    fn flat(&self, draft: &mut Draft, table: &str, renamed: Renamed) -> Result<(), String> {
        for (key, value) in &self.kv {
            let (table, column) = match renamed.iter().find(|(k, _, _)| k == key) {
                Some((_, table, column)) => (*table, *column),
                None => (table, key.as_str()),
            };
            draft.set(table, column, key, value)?;
        }
        Ok(())
    }

    /// A stage event; keys without a column go into its `attrs`.
    fn stage(&self, draft: &mut Draft) -> Result<(), String> {
        match self.kv.get("stage") {
            Some(Value::String(stage)) if !stage.is_empty() => {}
            Some(other) => return Err(format!("stage is not a name: {other}")),
            None => return Err("stage is missing".into()),
        }
        let mut attrs = match self.kv.get("attrs") {
            Some(Value::Object(attrs)) => attrs.clone(),
            Some(Value::Null) | None => Map::new(),
            Some(_) => return Err("attrs is not an object".into()),
        };
        for (key, value) in self.kv.iter().filter(|(key, _)| *key != "attrs") {
            if draft.knows("pipeline", key) {
                draft.set("pipeline", key, key, value)?;
            } else {
                attrs.insert(key.clone(), value.clone());
            }
        }
        if attrs.is_empty() {
            return Ok(());
        }
        draft.set("pipeline", "attrs", "attrs", &Value::String(Value::Object(attrs).to_string()))
    }

    /// What a line has beside `kv`: the board's identity, and what has no column.
    fn beside(&self, draft: &mut Draft) -> Result<(), String> {
        for (key, value) in &self.beside {
            match value.as_object() {
                Some(device) if key == "device_info" => self.device(device, draft)?,
                _ => draft.unknown.push(key.clone()),
            }
        }
        Ok(())
    }

    fn device(&self, device: &Map<String, Value>, draft: &mut Draft) -> Result<(), String> {
        for (key, value) in device {
            match (key.as_str(), value.as_str()) {
                ("uid", Some("unknown" | "simulated")) => {}
                ("uid", Some(_)) if draft.is_empty_in("benchlab") => {}
                ("uid", Some(_)) => {
                    draft.set("benchlab", "device_uid", "device_info.uid", value)?
                }
                _ => draft.unknown.push(format!("device_info.{key}")),
            }
        }
        Ok(())
    }
}

/// Sets what is the same in every row of a source, if the line has a reading for the table.
fn constant(draft: &mut Draft, table: &str, column: &str, value: &str) -> Result<(), String> {
    if draft.is_empty_in(table) { Ok(()) } else { draft.set(table, column, column, &value.into()) }
}
