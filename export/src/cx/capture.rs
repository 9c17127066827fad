//! What a JSON record is made of: a run of frames, and the board's power over it.

use std::num::NonZeroU64;
use std::ops::Range;

use arrow::array::Float64Array;
use bl_align::resample::{Grid, resample};
use bl_query::Query;

use super::frame::Frames;
use super::power::{Board, tolerance_ns};
use super::{CxError, Frame, Report, rows};

/// Spacing of the power samples in a record, a whole number of milliseconds.
pub(super) const SAMPLE_MS: u64 = 25;

const SAMPLE_NS: NonZeroU64 = NonZeroU64::new(SAMPLE_MS * 1_000_000).unwrap();

/// At most this share of the frames is given up where power is unknown; else power is.
const GIVEN_UP: f64 = 0.5;

/// The columns of the board that a record has a place for, and the names of those places.
const CHANNELS: [(&str, &str); 3] =
    [("gpu_w", "PmdGpuPower"), ("cpu_w", "PmdCpuPower"), ("sys_w", "PmdSystemPower")];

/// Frames in order of time, at least one, with power over all of them where it is known.
pub(super) struct Capture {
    /// On the time of the file, which does not pass while power is unknown.
    pub frames: Vec<Frame>,
    /// By name: watts every [`SAMPLE_MS`] from the first frame on.
    pub power: Vec<(&'static str, Vec<f64>)>,
    stretches: Vec<Stretch>,
}

/// A time of which all frames are in the file.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// When its first frame began.
    start_ns: i64,
    /// From its first frame to its last.
    span_ns: u64,
    /// Where it stands in the file, from the first frame of all.
    offset_ns: u64,
}

/// Instants of a uniform series in the file that lie in one stretch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The first of them, from the first frame of all.
    pub offset_ns: u64,
    /// When they were.
    pub grid: Grid,
}

impl Capture {
    /// Reads all frames, and cuts out those at which power is unknown if that leaves most of them.
    pub async fn read(
        query: &Query,
        mut from: Frames,
        board: Option<&Board>,
        report: &mut Report,
    ) -> Result<Self, CxError> {
        let (mut frames, mut block) = (Vec::new(), Vec::new());
        while from.next(query, &mut block).await? {
            frames.append(&mut block);
        }
        report.frames = frames.len() as u64;
        from.finish(query, report).await?;
        let stretches = Stretch::of(&frames, 0).into_iter().collect();
        let mut capture = Self { frames, power: Vec::new(), stretches };
        if let Some(board) = board {
            capture.add_power(&Channels::read(query, board).await?, report);
        }
        report.frames = capture.frames.len() as u64;
        report.dropped = capture.frames.iter().filter(|frame| frame.dropped).count() as u64;
        Ok(capture)
    }

    /// When its first frame began.
    pub fn start_ns(&self) -> i64 {
        self.frames.first().map_or(0, |frame| frame.ts_ns)
    }

    /// The instants of a series in the file that are `step_ns` apart, from the first frame on.
    pub fn every(&self, step_ns: NonZeroU64) -> Vec<Part> {
        let part = |stretch: &Stretch| {
            let offset_ns = stretch.offset_ns.next_multiple_of(step_ns.get());
            let into_ns = offset_ns - stretch.offset_ns;
            let span_ns = stretch.span_ns.checked_sub(into_ns)?;
            let start_ns = stretch.start_ns.saturating_add_unsigned(into_ns);
            Some(Part { offset_ns, grid: Grid::covering(start_ns, span_ns, step_ns) })
        };
        self.stretches.iter().filter_map(part).collect()
    }

    /// When its last frame began.
    pub fn end_ns(&self) -> i64 {
        self.frames.last().map_or(0, |frame| frame.ts_ns)
    }

    fn add_power(&mut self, channels: &Channels, report: &mut Report) {
        let all = self.frames.len();
        let is_one = channels.stretches().len() == 1;
        let inside = |&(from_ns, to_ns): &(i64, i64)| {
            let from = self.frames.partition_point(|frame| frame.ts_ns < from_ns);
            // Samples count from the first frame. Where power is known but once, frames up to the first sample that is
            // not known can stay.
            let until_ns = match self.frames.get(from).map(|first| first.ts_ns) {
                Some(first_ns) if first_ns <= to_ns && is_one => {
                    let step_ns = SAMPLE_NS.get() as i64;
                    first_ns + ((to_ns - first_ns) / step_ns + 1) * step_ns
                }
                _ => to_ns.saturating_add(1),
            };
            from..self.frames.partition_point(|frame| frame.ts_ns < until_ns).max(from)
        };
        let known: Vec<Range<usize>> =
            channels.stretches().iter().map(inside).filter(|frames| !frames.is_empty()).collect();
        let kept: usize = known.iter().map(ExactSizeIterator::len).sum();
        if kept == 0 || (all - kept) as f64 > all as f64 * GIVEN_UP {
            report.notes.push(format!(
                "power is known at {kept} of {all} frames only: there are no PMD arrays in the file"
            ));
            return;
        }
        let lost = all - kept;
        match known.len() - 1 {
            0 if lost == 0 => {}
            0 => report.notes.push(format!(
                "power is not known at {lost} of {all} frames, before or after the others: they were left out"
            )),
            gaps => report.notes.push(format!(
                "power has {gaps} gap{}: the time of gaps was left out, and {lost} of {all} frames at which power is \
                 not known",
                if gaps == 1 { "" } else { "s" }
            )),
        }
        if lost > 0 || known.len() > 1 {
            self.cut(&known);
        }
        let parts = self.every(SAMPLE_NS);
        for (channel, (_, name)) in CHANNELS.into_iter().enumerate() {
            let Channels { ts_ns, watts, tolerance_ns } = channels;
            let of_part =
                |part: &Part| part.resample(ts_ns, |row| watts[channel][row], *tolerance_ns);
            let watts = parts.iter().flat_map(of_part);
            // All or nothing: an array has no place for what is unknown.
            if let Some(watts) = watts.collect::<Option<Vec<f64>>>() {
                self.power.push((name, watts));
            }
        }
    }

    /// Keeps these frames. CapFrameX puts power samples at equal distances, whatever happened between them: so each
    /// stretch of frames begins where the next sample is due.
    fn cut(&mut self, kept: &[Range<usize>]) {
        let all = std::mem::take(&mut self.frames);
        self.stretches.clear();
        let (mut offset_ns, step_ns) = (0, SAMPLE_NS.get());
        for range in kept {
            let Some(stretch) = Stretch::of(&all[range.clone()], offset_ns) else { continue };
            let first_ns = self.stretches.first().unwrap_or(&stretch).start_ns;
            let moved_ns = stretch.start_ns - first_ns.saturating_add_unsigned(offset_ns);
            let move_up = |frame: &Frame| Frame { ts_ns: frame.ts_ns - moved_ns, ..*frame };
            self.frames.extend(all[range.clone()].iter().map(move_up));
            self.stretches.push(stretch);
            offset_ns += (stretch.span_ns / step_ns + 1) * step_ns;
        }
    }
}

impl Part {
    /// The values of a series in order of time at its instants, on the line between neighbours that are no further
    /// apart than the tolerance.
    pub fn resample(
        &self,
        ts_ns: &[i64],
        value: impl Fn(usize) -> Option<f64>,
        tolerance_ns: i64,
    ) -> Vec<Option<f64>> {
        let last_ns = self.grid.instant_ns(self.grid.count.saturating_sub(1));
        let from_ns = self.grid.start_ns.saturating_sub(tolerance_ns);
        let from = ts_ns.partition_point(|ts_ns| *ts_ns < from_ns);
        let to = ts_ns.partition_point(|ts_ns| *ts_ns <= last_ns.saturating_add(tolerance_ns));
        let samples = (from..to).map(|row| (ts_ns[row], value(row)));
        resample(samples, self.grid, tolerance_ns.unsigned_abs())
    }

    /// The instants, from the first frame of all.
    pub fn offsets_ns(&self) -> impl Iterator<Item = i64> {
        let Self { offset_ns, grid } = *self;
        let since_ns = move |at| grid.instant_ns(at) - grid.start_ns;
        (0..grid.count).map(move |at| since_ns(at).saturating_add_unsigned(offset_ns))
    }
}

impl Stretch {
    /// That of frames in order of time; none of no frames.
    fn of(frames: &[Frame], offset_ns: u64) -> Option<Self> {
        let (first, last) = frames.first().zip(frames.last())?;
        let span_ns = last.ts_ns.abs_diff(first.ts_ns);
        Some(Self { start_ns: first.ts_ns, span_ns, offset_ns })
    }
}

/// Power of the board's three sums, sample by sample.
struct Channels {
    ts_ns: Vec<i64>,
    watts: [Vec<Option<f64>>; 3],
    tolerance_ns: i64,
}

impl Channels {
    async fn read(query: &Query, board: &Board) -> Result<Self, CxError> {
        let columns = CHANNELS.map(|(column, _)| column).join(", ");
        let of = board.condition();
        let sql = format!("SELECT ts, {columns} FROM benchlab WHERE {of} ORDER BY ts");
        let mut batches = rows::ask(query, &sql).await?;
        let mut channels = Self { ts_ns: Vec::new(), watts: Default::default(), tolerance_ns: 0 };
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            channels.ts_ns.extend_from_slice(rows::instants(&batch, 0)?);
            for (channel, watts) in channels.watts.iter_mut().enumerate() {
                let column: Float64Array = rows::floats(&batch, channel + 1)?;
                watts.extend(column.iter());
            }
        }
        channels.tolerance_ns = tolerance_ns(&channels.ts_ns);
        Ok(channels)
    }

    /// From when to when all channels that the board has are known without a gap.
    fn stretches(&self) -> Vec<(i64, i64)> {
        let had: Vec<&Vec<Option<f64>>> =
            self.watts.iter().filter(|watts| watts.iter().any(Option::is_some)).collect();
        let mut stretches: Vec<(i64, i64)> = Vec::new();
        if had.is_empty() {
            return stretches;
        }
        for (row, &ts_ns) in self.ts_ns.iter().enumerate() {
            if !had.iter().all(|watts| watts[row].is_some()) {
                continue;
            }
            match stretches.last_mut() {
                Some((_, to_ns)) if ts_ns - *to_ns <= self.tolerance_ns => *to_ns = ts_ns,
                _ => stretches.push((ts_ns, ts_ns)),
            }
        }
        stretches
    }
}
