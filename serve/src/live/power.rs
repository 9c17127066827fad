//! Power of a board: its last 15 minutes, and its energy since the session's start.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::cells::Cells;
use super::time::{json_number, ms};
use bl_align::DEFAULT_TOLERANCE_NS;
use bl_align::energy::joules_between;

/// The columns of table `benchlab` that are the shape **power**: sums and rails, without single wires.
pub const POWER_COLUMNS: [&str; 15] = [
    "sys_w",
    "cpu_w",
    "gpu_w",
    "mb_w",
    "eps1_w",
    "eps2_w",
    "atx3v_w",
    "atx5v_w",
    "atx5vsb_w",
    "atx12v_w",
    "pcie1_w",
    "pcie2_w",
    "pcie3_w",
    "hpwr1_w",
    "hpwr2_w",
];

/// Round trips that the 99th percentile is taken over.
const ROUND_TRIPS: usize = 1024;

const NULL: i32 = i32::MIN;

/// One sample: milliwatts, as the board sent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerRow {
    /// When, nanoseconds UTC.
    pub ts_ns: i64,
    milliwatts: [i32; POWER_COLUMNS.len()],
}

impl PowerRow {
    /// Reads a row of table `benchlab`.
    pub fn read(cells: &Cells<'_>, row: usize) -> Self {
        let milliwatts = POWER_COLUMNS.map(|name| cells.unscaled(name, row).unwrap_or(NULL));
        Self { ts_ns: cells.ts()[row], milliwatts }
    }

    /// A sample from watts, one a column of [`POWER_COLUMNS`]; NaN is null.
    pub fn from_watts(ts_ns: i64, watts: [f64; POWER_COLUMNS.len()]) -> Self {
        let milliwatts = watts.map(|w| if w.is_finite() { (w * 1e3).round() as i32 } else { NULL });
        Self { ts_ns, milliwatts }
    }

    /// Watts of a column of [`POWER_COLUMNS`]; NaN where it is null.
    pub fn watts(&self, column: usize) -> f64 {
        match self.milliwatts[column] {
            NULL => f64::NAN,
            milliwatts => f64::from(milliwatts) / 1e3,
        }
    }
}

/// Gaps in a board's samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Silences {
    /// How many.
    pub count: u64,
    /// Samples that are missing, by the usual distance.
    pub lost: u64,
    /// The longest, nanoseconds.
    pub longest_ns: i64,
    /// When the last one ended.
    pub last_ns: Option<i64>,
}

/// One board.
#[derive(Debug, Clone)]
pub struct Board {
    /// Its identity.
    pub uid: String,
    /// What its rows carry in `source`.
    pub source: String,
    /// The last 15 minutes.
    pub rows: VecDeque<PowerRow>,
    /// Samples so far.
    pub samples: u64,
    /// Joules of each column since the first sample. Nothing is added across a gap.
    pub joules: [f64; POWER_COLUMNS.len()],
    /// Time of the first sample.
    pub since_ns: i64,
    /// The highest system power, and when.
    pub peak: Option<(f64, i64)>,
    /// The last round trips, nanoseconds.
    pub round_trips: VecDeque<i64>,
    /// Bound of the last stamp's error.
    pub ts_err_ns: Option<i64>,
    /// Gaps.
    pub silences: Silences,
    /// Usual distance of samples, nanoseconds.
    pub period_ns: Option<f64>,
}

impl Board {
    /// A board whose first sample comes next.
    pub fn new(uid: &str, source: &str) -> Self {
        Self {
            uid: uid.into(),
            source: source.into(),
            rows: VecDeque::new(),
            samples: 0,
            joules: [0.0; POWER_COLUMNS.len()],
            since_ns: 0,
            peak: None,
            round_trips: VecDeque::new(),
            ts_err_ns: None,
            silences: Silences::default(),
            period_ns: None,
        }
    }

    /// Takes one row of table `benchlab`; one that is not newer than the last is left out.
    pub fn push(&mut self, cells: &Cells<'_>, row: usize) -> Option<PowerRow> {
        let sample = self.take(PowerRow::read(cells, row))?;
        if let Some(rtt_ns) = cells.int("rtt_ns", row) {
            self.round_trips.push_back(rtt_ns);
            if self.round_trips.len() > ROUND_TRIPS {
                self.round_trips.pop_front();
            }
        }
        self.ts_err_ns = cells.int("ts_err_ns", row);
        Some(sample)
    }

    /// Takes one sample; one that is not newer than the last is left out.
    pub fn take(&mut self, sample: PowerRow) -> Option<PowerRow> {
        match self.rows.back().copied() {
            None => self.since_ns = sample.ts_ns,
            Some(last) if sample.ts_ns <= last.ts_ns => return None,
            Some(last) => self.integrate(&last, &sample),
        }
        self.samples += 1;
        let sys_w = sample.watts(0);
        if sys_w.is_finite() && self.peak.is_none_or(|(most, _)| sys_w > most) {
            self.peak = Some((sys_w, sample.ts_ns));
        }
        self.rows.push_back(sample);
        Some(sample)
    }

    fn integrate(&mut self, last: &PowerRow, sample: &PowerRow) {
        let step_ns = sample.ts_ns - last.ts_ns;
        if step_ns > DEFAULT_TOLERANCE_NS
            || self.period_ns.is_some_and(|p| step_ns as f64 > 2.5 * p)
        {
            self.note_silence(step_ns, sample.ts_ns);
        } else {
            let period = self.period_ns.unwrap_or(step_ns as f64);
            self.period_ns = Some(period + 0.02 * (step_ns as f64 - period));
        }
        for (column, joules) in self.joules.iter_mut().enumerate() {
            let at = |row: &PowerRow| (row.ts_ns, row.watts(column));
            *joules += joules_between(at(last), at(sample), DEFAULT_TOLERANCE_NS).unwrap_or(0.0);
        }
    }

    fn note_silence(&mut self, step_ns: i64, at_ns: i64) {
        let silences = &mut self.silences;
        silences.count += 1;
        silences.longest_ns = silences.longest_ns.max(step_ns);
        silences.last_ns = Some(at_ns);
        if let Some(period) = self.period_ns.filter(|period| *period > 0.0) {
            silences.lost += (step_ns as f64 / period).round().max(1.0) as u64 - 1;
        }
    }

    /// Forgets what is older than `ts_ns`.
    pub fn trim_before(&mut self, ts_ns: i64) {
        while self.rows.front().is_some_and(|row| row.ts_ns < ts_ns) && self.rows.len() > 1 {
            self.rows.pop_front();
        }
    }
}

/// The shape **power** of `web/API.md`; columns that are null throughout are left out, but for `sys_w`.
pub fn power_json<'a>(
    device: &str,
    rows: impl Iterator<Item = &'a PowerRow> + Clone,
    wanted: impl Fn(&str) -> bool,
) -> Map<String, Value> {
    let mut cols = Map::new();
    for (column, name) in POWER_COLUMNS.iter().enumerate() {
        let there = column == 0 || rows.clone().any(|row| row.milliwatts[column] != NULL);
        if there && wanted(name) {
            let values = rows.clone().map(|row| json_number(row.watts(column)));
            cols.insert((*name).into(), values.collect());
        }
    }
    let mut out = Map::new();
    out.insert("device".into(), json!(device));
    out.insert("t".into(), rows.map(|row| json!(ms(row.ts_ns))).collect());
    out.insert("cols".into(), Value::Object(cols));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_columns_are_those_of_the_table() {
        let table = bl_schemas::table("benchlab").unwrap();
        let watts = table.columns.iter().filter(|c| c.unit.as_deref() == Some("W"));
        let names: Vec<_> =
            watts.map(|c| c.name.as_str()).filter(|n| !n.contains("_wire")).collect();
        assert_eq!(names, POWER_COLUMNS);
    }
}
