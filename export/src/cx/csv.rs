//! The CSV: columns of PresentMon, in an order that CapFrameX imports.

use std::io::Write;

use arrow::array::{Array, Float64Array, Int64Array};
use bl_align::energy::EnergyIndex;
use bl_query::Query;

use super::decimal::{push_milli, push_ms, push_s};
use super::frame::Frames;
use super::{Application, CxError, Frame, Report};

/// CapFrameX takes a first line that starts with `Application` for a header, and finds columns by their names;
/// `TimeInSeconds` and `Dropped` in this very spelling.
const HEADER: &str = "Application,TimeInSeconds,MsBetweenPresents,MsBetweenDisplayChange,Dropped";

/// The column with the power at a frame's beginning. CapFrameX passes over it.
const POWER_HEADER: &str = ",Note_Power_W";

/// A file with at most this many lines shows without the application's name.
pub(super) const LINES_FOR_A_NAME: u64 = 20;

/// Bytes that are handed over at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// A line is no longer than this and the name: four numbers and the commas.
const LINE_BYTES: usize = 120;

/// Writes the header and all frames. Without power, or where it is unknown throughout, the column is not there.
pub(super) async fn write(
    query: &Query,
    frames: &mut Frames,
    application: &Application,
    power: Option<&EnergyIndex>,
    report: &mut Report,
    mut out: impl Write,
) -> Result<(), CxError> {
    let power = power.filter(|power| !power.is_empty());
    let mut lines = Lines {
        text: Vec::with_capacity(BLOCK_BYTES + LINE_BYTES + application.as_str().len()),
        start: format!("{application},"),
        power,
        first_ns: None,
    };
    lines.text.extend_from_slice(HEADER.as_bytes());
    if power.is_some() {
        lines.text.extend_from_slice(POWER_HEADER.as_bytes());
    }
    let mut block = Vec::new();
    while frames.next(query, &mut block).await? {
        report.frames += block.len() as u64;
        report.dropped += block.iter().filter(|frame| frame.dropped).count() as u64;
        lines.write(&block, &mut out)?;
    }
    out.write_all(&lines.text)?;
    out.flush()?;
    Ok(())
}

struct Lines<'a> {
    text: Vec<u8>,
    /// What every line starts with.
    start: String,
    power: Option<&'a EnergyIndex>,
    first_ns: Option<i64>,
}

impl Lines<'_> {
    fn write(&mut self, frames: &[Frame], out: &mut impl Write) -> std::io::Result<()> {
        let Some(first) = frames.first() else { return Ok(()) };
        let first_ns = *self.first_ns.get_or_insert(first.ts_ns);
        let watts = self.power.map(|power| {
            power.powers_w(&Int64Array::from_iter_values(frames.iter().map(|frame| frame.ts_ns)))
        });
        for (row, frame) in frames.iter().enumerate() {
            // Between lines only: a blank one, even the last, would be a frame of 0 ms.
            self.text.push(b'\n');
            self.push(frame, first_ns);
            if let Some(watts) = &watts {
                self.push_power(watts, row);
            }
            if self.text.len() >= BLOCK_BYTES {
                out.write_all(&self.text)?;
                self.text.clear();
            }
        }
        Ok(())
    }

    fn push(&mut self, frame: &Frame, first_ns: i64) {
        let text = &mut self.text;
        text.extend_from_slice(self.start.as_bytes());
        push_s(text, frame.ts_ns - first_ns);
        text.push(b',');
        let from = text.len();
        push_ms(text, frame.frame_ns);
        let to = text.len();
        text.push(b',');
        match frame.display_ns == frame.frame_ns {
            true => text.extend_from_within(from..to),
            false => push_ms(text, frame.display_ns),
        }
        text.extend_from_slice(if frame.dropped { b",1" } else { b",0" });
    }

    /// An unknown power leaves its field empty.
    fn push_power(&mut self, watts: &Float64Array, row: usize) {
        self.text.push(b',');
        if watts.is_valid(row) {
            push_milli(&mut self.text, watts.value(row));
        }
    }
}
