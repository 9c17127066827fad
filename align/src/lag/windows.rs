//! Two series on a common grid, freed of what is slow, a window of the grid at a time: the memory is that of one window,
//! whatever time the series span, and windows in which nothing is known are passed over.

use std::ops::Range;

use super::Sample;
use crate::resample::{Grid, resample};

/// Instants that a window has of its own.
const OWN: usize = 1 << 14;

/// Both series, each in order of time.
#[derive(Clone, Copy)]
pub(super) struct Windows<'a> {
    pub load: &'a [Sample],
    pub power: &'a [Sample],
    pub grid: Grid,
    /// Neighbouring samples further apart than this leave a gap.
    pub tolerance_ns: u64,
    /// Around each instant the mean over this many is taken out.
    pub slow: usize,
    /// How many instants beyond its own a window knows on either side.
    pub reach: usize,
}

impl<'a> Windows<'a> {
    /// The windows in which something is known, in order.
    pub fn iter(self) -> impl Iterator<Item = Window> + 'a {
        let mut numbers = self.numbers(self.load);
        numbers.extend(self.numbers(self.power));
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(move |number| {
            let own = number * OWN..((number + 1) * OWN).min(self.grid.count);
            let load = Part::new(self, self.load, &own);
            Window { load, power: Part::new(self, self.power, &own), count: self.grid.count }
        })
    }

    /// The numbers of the windows in which a series may be known.
    fn numbers(&self, samples: &[Sample]) -> Vec<usize> {
        let step_ns = self.grid.step_ns.get();
        let mut numbers = Vec::new();
        let mut before_ns = None;
        for ts_ns in samples.iter().filter(|sample| is_known(sample)).map(|sample| sample.0) {
            let near_ns = before_ns.filter(|before| ts_ns.abs_diff(*before) <= self.tolerance_ns);
            before_ns = Some(ts_ns);
            let is_instant = ts_ns.abs_diff(self.grid.start_ns) % step_ns == 0;
            if near_ns.is_none() && !is_instant {
                continue;
            }
            let first = self.number(near_ns.unwrap_or(ts_ns));
            for number in first..=self.number(ts_ns) {
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        numbers
    }

    /// The window of an instant; the first or the last where it is beyond the grid.
    fn number(&self, ts_ns: i64) -> usize {
        let from_start_ns =
            if ts_ns < self.grid.start_ns { 0 } else { ts_ns.abs_diff(self.grid.start_ns) };
        let at = usize::try_from(from_start_ns / self.grid.step_ns).unwrap_or(usize::MAX);
        at.min(self.grid.count.saturating_sub(1)) / OWN
    }
}

fn is_known(sample: &Sample) -> bool {
    sample.1.is_some_and(f64::is_finite)
}

/// Both series around a stretch of the grid.
pub(super) struct Window {
    pub load: Part,
    pub power: Part,
    /// Instants of the whole grid.
    count: usize,
}

impl Window {
    /// Load at the window's own instants, and the power `lag` instants later: each with its number among all such pairs
    /// of the grid. Where either is unknown the sum of the two is NaN.
    pub fn lagged(&self, lag: i64) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        self.lagged_over(lag, self.load.own.clone())
    }

    /// The same for the window's own instants and the one after them.
    pub fn lagged_and_next(&self, lag: i64) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        let own = &self.load.own;
        self.lagged_over(lag, own.start..(own.end + 1).min(self.count))
    }

    fn lagged_over(
        &self,
        lag: i64,
        instants: Range<usize>,
    ) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        let distance = lag.unsigned_abs() as usize;
        let (before, after) = if lag < 0 { (distance, 0) } else { (0, distance) };
        let from = instants.start.max(before);
        let to = instants.end.min(self.count.saturating_sub(after));
        let (load, power) = match from < to {
            true => (
                self.load.between(from, to),
                self.power.between(from - before + after, to - before + after),
            ),
            false => Default::default(),
        };
        load.iter().zip(power).enumerate().map(move |(at, (x, y))| (from - before + at, *x, *y))
    }
}

/// One series in a window: what it knows of its own instants and of those around them.
pub(super) struct Part {
    /// Place of the first value on the grid.
    first: usize,
    /// NaN where the series is unknown.
    values: Vec<f64>,
    own: Range<usize>,
    /// The greatest of its own values before what is slow was taken out.
    pub greatest: f64,
}

impl Part {
    fn new(all: Windows<'_>, samples: &[Sample], own: &Range<usize>) -> Self {
        let around =
            |more: usize| own.start.saturating_sub(more)..(own.end + more).min(all.grid.count);
        let (known, wanted) = (around(all.reach + all.slow / 2 + 1), around(all.reach));
        let start_ns = all.grid.instant_ns(known.start);
        let grid = Grid { start_ns, count: known.len(), ..all.grid };
        let after = samples.partition_point(|sample| sample.0 <= start_ns);
        let before = samples[..after].iter().rposition(is_known).unwrap_or(0);
        let values = resample(samples[before..].iter().copied(), grid, all.tolerance_ns);
        let wanted_here = wanted.start - known.start..wanted.end - known.start;
        let own_here = own.start - known.start..own.end - known.start;
        let greatest =
            values[own_here].iter().flatten().fold(0.0, |most: f64, v| most.max(v.abs()));
        let values = without_slow(&values, all.slow)[wanted_here].to_vec();
        // Only what is known needs a look.
        let is_known = |at: &usize| !values[at - wanted.start].is_nan();
        let start = own.clone().find(is_known).unwrap_or(own.end);
        let end = own.clone().rfind(is_known).map_or(start, |last| last + 1);
        Part { first: wanted.start, values, own: start..end, greatest }
    }

    /// The values from one place of the grid to another.
    fn between(&self, from: usize, to: usize) -> &[f64] {
        &self.values[from - self.first..to - self.first]
    }

    /// Its own values and, for each, the one that many instants later: NaN where that is beyond the grid.
    pub fn later(&self, lag: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
        let own = self.between(self.own.start, self.own.end);
        let later = self.values.get(self.own.start - self.first + lag..).unwrap_or_default();
        own.iter().copied().zip(later.iter().copied().chain(std::iter::repeat(f64::NAN)))
    }
}

/// Takes the mean over `window` instants around each out of it. Unknown instants are NaN.
fn without_slow(values: &[Option<f64>], window: usize) -> Vec<f64> {
    let mean = values.iter().flatten().sum::<f64>() / values.iter().flatten().count().max(1) as f64;
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push((0.0, 0_usize));
    for value in values {
        let (sum, count) = sums[sums.len() - 1];
        sums.push(value.map_or((sum, count), |value| (sum + (value - mean), count + 1)));
    }
    let centred = |(at, value): (usize, &Option<f64>)| {
        let (low, high) = (at.saturating_sub(window / 2), (at + window / 2 + 1).min(values.len()));
        let count = (sums[high].1 - sums[low].1) as f64;
        value.map_or(f64::NAN, |value| value - mean - (sums[high].0 - sums[low].0) / count)
    };
    values.iter().enumerate().map(centred).collect()
}
