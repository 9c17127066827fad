//! The JSON: one record of CapFrameX, with one run.

use std::io::{self, Write};

use serde_json::json;

use super::Frame;
use super::capture::{Capture, SAMPLE_MS};
use super::decimal::{push_milli, push_ms, push_s};
use super::info::Info;
use super::sensors::Sensors;

/// Bytes that are handed over at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// How one value of an array is written.
type Push = fn(&mut Vec<u8>, &Frame, i64);

/// Every array of `CaptureData`: CapFrameX's views expect all of them. The form has no place for what is not
/// known: such a value is 0, which is also what CapFrameX itself sets where a CSV has no such column.
const CAPTURE_DATA: [(&str, Push); 15] = [
    ("TimeInSeconds", |out, frame, start_ns| push_s(out, frame.ts_ns - start_ns)),
    ("MsBetweenPresents", |out, frame, _| push_ms(out, frame.frame_ns)),
    ("MsInPresentAPI", zero),
    ("MsBetweenDisplayChange", |out, frame, _| push_ms(out, frame.display_ns)),
    ("MsUntilRenderComplete", zero),
    ("MsUntilDisplayed", |out, frame, _| push_ms(out, frame.latency_ns.unwrap_or(0))),
    ("QPCTime", zero),
    ("PcLatency", zero),
    ("AnimationError", zero),
    ("GpuActive", zero),
    ("CpuActive", zero),
    ("PresentMode", zero),
    ("AllowsTearing", zero),
    ("SyncInterval", zero),
    ("Dropped", |out, frame, _| {
        out.extend_from_slice(if frame.dropped { b"true" } else { b"false" });
    }),
];

fn zero(out: &mut Vec<u8>, _: &Frame, _: i64) {
    out.push(b'0');
}

/// Writes a record.
pub(super) fn write(
    capture: &Capture,
    sensors: &Sensors,
    info: &Info,
    hash: u128,
    out: impl Write,
) -> io::Result<()> {
    let mut text = Text { buffer: Vec::with_capacity(BLOCK_BYTES + 64), out };
    text.put(&format!("{{\"Hash\":\"{hash:032x}\",\"Info\":{},", json!(info)))?;
    text.put(&format!(
        "\"Runs\":[{{\"Hash\":\"{hash:032x}-1\",\"PresentMonRuntime\":\"unknown\","
    ))?;
    text.put("\"CaptureData\":{")?;
    let start_ns = capture.start_ns();
    for (at, (name, push)) in CAPTURE_DATA.iter().enumerate() {
        text.put(if at > 0 { "," } else { "" })?;
        text.array(name, &capture.frames, |out, frame| push(out, frame, start_ns))?;
    }
    text.put("},\"SensorData2\":{")?;
    write_sensors(&mut text, sensors)?;
    text.put("},")?;
    for (name, watts) in &capture.power {
        text.array(name, watts, |out, watts| push_milli(out, *watts))?;
        text.put(",")?;
    }
    // Of a run without power, too: a whole number is expected.
    text.put(&format!("\"SampleTime\":{SAMPLE_MS}}}]}}"))?;
    text.finish()
}

fn write_sensors<W: Write>(text: &mut Text<W>, sensors: &Sensors) -> io::Result<()> {
    let head = |id: &str, name: &str, kind: &str| {
        format!(
            "{}:{{\"Name\":{},\"Type\":\"{kind}\",\"StableIdentifier\":{0},",
            json!(id),
            json!(name)
        )
    };
    let between_ns: Vec<i64> = std::iter::once(0)
        .chain(sensors.at_ns.iter().copied())
        .zip(&sensors.at_ns)
        .map(|(before_ns, at_ns)| at_ns - before_ns)
        .collect();
    text.put(&head("MeasureTime", "MeasureTime", "Time"))?;
    text.array("Values", &sensors.at_ns, |out, ns| push_s(out, *ns))?;
    text.put("},")?;
    text.put(&head("BetweenMeasureTime", "BetweenMeasureTime", "Time"))?;
    text.array("Values", &between_ns, |out, ns| push_s(out, *ns))?;
    text.put("}")?;
    for sensor in &sensors.sensors {
        text.put(",")?;
        text.put(&head(&sensor.id, &sensor.name, sensor.kind))?;
        text.array("Values", &sensor.values, |out, value| push_milli(out, *value))?;
        text.put("}")?;
    }
    Ok(())
}

/// Text on its way into a file.
struct Text<W> {
    buffer: Vec<u8>,
    out: W,
}

impl<W: Write> Text<W> {
    fn put(&mut self, text: &str) -> io::Result<()> {
        self.buffer.extend_from_slice(text.as_bytes());
        self.hand_over(BLOCK_BYTES)
    }

    /// `"name":[a,b,c]`
    fn array<T>(
        &mut self,
        name: &str,
        values: &[T],
        push: impl Fn(&mut Vec<u8>, &T),
    ) -> io::Result<()> {
        self.put(&format!("\"{name}\":["))?;
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.buffer.push(b',');
            }
            push(&mut self.buffer, value);
            self.hand_over(BLOCK_BYTES)?;
        }
        self.put("]")
    }

    fn hand_over(&mut self, at_bytes: usize) -> io::Result<()> {
        if self.buffer.len() >= at_bytes {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.hand_over(0)?;
        self.out.flush()
    }
}
