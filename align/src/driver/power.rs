//! The power of one board, in which frames are looked up.

use arrow_array::{Array, Float64Array, Int64Array};

use crate::energy::{EnergyIndex, EnergyOptions, Gaps, Method};

/// Samples of one board, in order of time, as columns of equal length. Watts; null is no reading.
#[derive(Clone, Copy, Debug)]
pub struct PowerColumns<'a> {
    /// Times.
    pub ts_ns: &'a [i64],
    /// Power of the whole system.
    pub sys_w: &'a Float64Array,
    /// Power of the processor.
    pub cpu_w: Option<&'a Float64Array>,
    /// Power of the graphics card.
    pub gpu_w: Option<&'a Float64Array>,
    /// Half the width of what the times may be.
    pub err_ns: Option<&'a Int64Array>,
}

/// One sample. Watts are NaN where there is no reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When.
    pub ts_ns: i64,
    /// Power of the whole system.
    pub sys_w: f64,
    /// Power of the processor.
    pub cpu_w: f64,
    /// Power of the graphics card.
    pub gpu_w: f64,
    /// Half the width of what the time may be.
    pub err_ns: Option<i64>,
}

/// What is known of a series at this time: all that frames may need, and whether more may come.
pub(super) struct PowerSeries {
    tolerance_ns: i64,
    /// Taken off each sample's time.
    lag_ns: i64,
    /// Every sample, also without a reading.
    samples: Vec<Reading>,
    /// Those with a reading of the whole system.
    line: EnergyIndex,
    /// Where the last search ended: frames come in order of time, more or less.
    near: usize,
    finished: bool,
}

impl PowerSeries {
    pub fn new(tolerance_ns: i64, lag_ns: i64) -> Self {
        let (method, gaps) = (Method::Trapezoid, Gaps::Null);
        let line = EnergyIndex::new(EnergyOptions { method, gaps, tolerance_ns });
        Self { tolerance_ns, lag_ns, samples: Vec::new(), line, near: 0, finished: false }
    }

    pub fn extend(&mut self, samples: &PowerColumns<'_>) {
        let watts = |column: &Float64Array, row: usize| match column.is_valid(row) {
            true => column.value(row),
            false => f64::NAN,
        };
        let other = |column: Option<&Float64Array>, row| {
            column.map_or(f64::NAN, |column| watts(column, row))
        };
        self.samples.reserve(samples.ts_ns.len());
        for (row, &stamp_ns) in samples.ts_ns.iter().enumerate() {
            let ts_ns = stamp_ns.saturating_sub(self.lag_ns);
            let sys_w = watts(samples.sys_w, row);
            if self.last_ns().is_some_and(|last_ns| ts_ns < last_ns)
                || self.line.push(ts_ns, sys_w).is_err()
            {
                continue;
            }
            let err_ns = samples.err_ns.filter(|err| err.is_valid(row)).map(|err| err.value(row));
            let (cpu_w, gpu_w) = (other(samples.cpu_w, row), other(samples.gpu_w, row));
            self.samples.push(Reading { ts_ns, sys_w, cpu_w, gpu_w, err_ns });
        }
    }

    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether no sample ever came, and some may.
    pub fn is_awaited(&self) -> bool {
        self.samples.is_empty() && !self.finished
    }

    fn last_ns(&self) -> Option<i64> {
        self.samples.last().map(|last| last.ts_ns)
    }

    /// Whether no sample to come changes the power at an instant: of one instant, the last counts.
    pub fn settles_power(&self, ts_ns: i64) -> bool {
        self.finished || self.last_ns().is_some_and(|last_ns| last_ns > ts_ns)
    }

    /// Whether no sample to come changes the energy up to an instant: one with a reading has come, or
    /// samples without one for so long that it lies in a gap.
    pub fn settles_energy(&self, to_ns: i64) -> bool {
        let Some(last_ns) = self.last_ns().filter(|_| !self.finished) else {
            return self.finished;
        };
        let is_gap = |line_ns: i64| last_ns.saturating_sub(line_ns) > self.tolerance_ns;
        match self.line.last_ts_ns() {
            Some(line_ns) => line_ns >= to_ns || last_ns >= to_ns && is_gap(line_ns),
            None => last_ns >= to_ns,
        }
    }

    /// The last sample at or before an instant, where it is no older than the tolerance.
    pub fn reading(&mut self, ts_ns: i64) -> Option<Reading> {
        let at = self.at_or_before(ts_ns)?;
        self.near = at;
        let reading = self.samples[at];
        (ts_ns.saturating_sub(reading.ts_ns) <= self.tolerance_ns).then_some(reading)
    }

    fn at_or_before(&self, ts_ns: i64) -> Option<usize> {
        let is_before = |reading: &Reading| reading.ts_ns <= ts_ns;
        let samples = &self.samples;
        if !samples.get(self.near).is_some_and(is_before) {
            return samples[..self.near.min(samples.len())]
                .partition_point(is_before)
                .checked_sub(1);
        }
        let (mut low, mut step) = (self.near, 1);
        while samples.get(low + step).is_some_and(is_before) {
            (low, step) = (low + step, step * 2);
        }
        let between = &samples[low + 1..samples.len().min(low + step)];
        Some(low + between.partition_point(is_before))
    }

    /// Joules between two instants.
    pub fn energy_j(&self, from_ns: i64, to_ns: i64) -> Option<f64> {
        self.line.energy_j(from_ns, to_ns)
    }

    /// Forgets what no instant from `ts_ns` on needs, when that frees half of the memory.
    pub fn forget_before(&mut self, ts_ns: i64) {
        self.line.trim_before(ts_ns);
        let before = self.samples.partition_point(|reading| reading.ts_ns <= ts_ns);
        let before = before.saturating_sub(1);
        if before > 0 && before >= self.samples.len() / 2 {
            self.samples.drain(..before);
            self.near = self.near.saturating_sub(before);
        }
    }

    /// Samples in memory.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.samples.len().max(self.line.len())
    }
}
