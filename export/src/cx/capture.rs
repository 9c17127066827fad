//! What a JSON record is made of: a run of frames, and the board's power over it.

use std::num::NonZeroU64;

use arrow::array::Float64Array;
use bl_align::resample::{Grid, resample};
use bl_query::Query;

use super::frame::Frames;
use super::power::{Board, tolerance_ns};
use super::{CxError, Frame, Report, rows};

/// Spacing of the power samples in a record, a whole number of milliseconds.
pub(super) const SAMPLE_MS: u64 = 25;

const NS_PER_MS: u64 = 1_000_000;

/// Where power is unknown at the ends, at most this share of the frames is given up for it.
const GIVEN_UP: f64 = 0.1;

/// The columns of the board that a record has a place for, and the names of those places.
const CHANNELS: [(&str, &str); 3] =
    [("gpu_w", "PmdGpuPower"), ("cpu_w", "PmdCpuPower"), ("sys_w", "PmdSystemPower")];

/// Frames in order of time, at least one, with power over all of them where it is known.
pub(super) struct Capture {
    pub frames: Vec<Frame>,
    /// By name: watts every [`SAMPLE_MS`] from the first frame on.
    pub power: Vec<(&'static str, Vec<f64>)>,
}

impl Capture {
    /// Reads all frames, and cuts them to where power is known if that costs few of them.
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
        let mut capture = Self { frames, power: Vec::new() };
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

    /// When its last frame began.
    pub fn end_ns(&self) -> i64 {
        self.frames.last().map_or(0, |frame| frame.ts_ns)
    }

    /// From the first frame to the last.
    pub fn span_ns(&self) -> u64 {
        let ends = self.frames.first().zip(self.frames.last());
        ends.map_or(0, |(first, last)| last.ts_ns.abs_diff(first.ts_ns))
    }

    fn add_power(&mut self, channels: &Channels, report: &mut Report) {
        let all = self.frames.len();
        let inside = |&(from_ns, to_ns): &(i64, i64)| {
            let from = self.frames.partition_point(|frame| frame.ts_ns < from_ns);
            // Samples count from the first frame: frames up to the first one that is not known can stay.
            let until_ns = match self.frames.get(from).map(|first| first.ts_ns) {
                Some(first_ns) if first_ns <= to_ns => {
                    let step_ns = (SAMPLE_MS * NS_PER_MS) as i64;
                    first_ns + ((to_ns - first_ns) / step_ns + 1) * step_ns
                }
                _ => from_ns,
            };
            from..self.frames.partition_point(|frame| frame.ts_ns < until_ns).max(from)
        };
        let longest = channels.stretches().iter().map(inside).max_by_key(ExactSizeIterator::len);
        let kept = longest.unwrap_or(0..0);
        if kept.is_empty() || ((all - kept.len()) as f64) > all as f64 * GIVEN_UP {
            report.notes.push(format!(
                "power is known without a gap over {} of {all} frames only: there are no PMD arrays in the file",
                kept.len()
            ));
            return;
        }
        if kept.len() < all {
            report.notes.push(format!(
                "power is not known at {} of {all} frames, before or after the others: they were left out",
                all - kept.len()
            ));
        }
        self.frames.truncate(kept.end);
        self.frames.drain(..kept.start);
        let step_ns = NonZeroU64::MIN.saturating_add(SAMPLE_MS * NS_PER_MS - 1);
        let grid = Grid::covering(self.start_ns(), self.span_ns(), step_ns);
        for (channel, (_, name)) in CHANNELS.into_iter().enumerate() {
            let watts = channels.on(grid, channel);
            // All or nothing: an array has no place for what is unknown.
            if let Some(watts) = watts.into_iter().collect::<Option<Vec<f64>>>() {
                self.power.push((name, watts));
            }
        }
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

    fn on(&self, grid: Grid, channel: usize) -> Vec<Option<f64>> {
        let samples = self.ts_ns.iter().copied().zip(self.watts[channel].iter().copied());
        resample(samples, grid, self.tolerance_ns.unsigned_abs())
    }
}
