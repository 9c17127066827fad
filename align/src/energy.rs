//! Joules between two instants of a power series, and watts at an instant.
//!
//! The integral is kept as a running sum over the samples, so that a frame costs two searches
//! whatever its length. The sum is one of whole numbers, so that a difference is the same to the bit
//! wherever the sum began: however much of a series is read at once, a frame's joules are the same. Between samples, power is a [line or held](Method). A null (or not finite)
//! sample is no sample: its neighbours are further apart. Neighbours further apart than the
//! tolerance leave a gap, where power is unknown.

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, Float64Array, PrimitiveArray};
use arrow_buffer::NullBufferBuilder;

#[cfg(test)]
mod tests;

const SECONDS_PER_NS: f64 = 1e-9;

/// Parts that a joule is counted in, 2^60: rounding takes less from an hour at 1 kHz than a double
/// could tell of one joule, and the sum holds 10^20 J.
const PARTS_PER_JOULE: f64 = (1_u64 << 60) as f64;

/// Joules as a whole number of parts, in halves: the 16 bytes need no alignment of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    high: i64,
    low: u64,
}

impl Parts {
    /// `None` beyond 10^20 J.
    #[inline]
    fn of(joules: f64) -> Option<i128> {
        let parts = joules * PARTS_PER_JOULE;
        if parts.abs() < i64::MAX as f64 {
            return Some(i128::from(parts as i64));
        }
        (parts.abs() < i128::MAX as f64).then_some(parts as i128)
    }

    #[inline]
    fn sum(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    #[inline]
    fn plus(self, joules: f64) -> Option<Self> {
        let sum = self.sum().checked_add(Self::of(joules)?)?;
        Some(Self { high: (sum >> 64) as i64, low: sum as u64 })
    }

    /// Joules since an earlier sum.
    #[inline]
    fn since(self, earlier: Self) -> f64 {
        let parts = self.sum().wrapping_sub(earlier.sum());
        let parts = i64::try_from(parts).map_or(parts as f64, |parts| parts as f64);
        parts * PARTS_PER_JOULE.recip()
    }
}

/// Joules between two neighbouring samples in watts: the mean of both, for the time between. `None`
/// where that is longer than the tolerance, or a sample is not finite.
pub fn joules_between(
    (from_ns, from_w): (i64, f64),
    (to_ns, to_w): (i64, f64),
    tolerance_ns: i64,
) -> Option<f64> {
    let step_ns =
        to_ns.checked_sub(from_ns).filter(|step_ns| (0..=tolerance_ns).contains(step_ns))?;
    let joules = 0.5 * (from_w + to_w) * (step_ns as f64 * SECONDS_PER_NS);
    joules.is_finite().then_some(joules)
}

/// What power is between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// On the line between them, so that the integral is the trapezoid rule's: exact where power is
    /// piecewise linear between samples. Unknown after the last sample.
    Trapezoid,
    /// That of the earlier sample, for as long as the tolerance: sample and hold. Known after the
    /// last sample, too.
    Hold,
}

/// What a gap between the two instants does. An instant in a gap is unknown in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// The energy is unknown.
    Null,
    /// The line, or the held value, goes on through the gap: what a difference of cumulated sums
    /// looked up by two as-of joins comes to.
    Bridge,
}

/// How to integrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnergyOptions {
    /// Power between samples.
    pub method: Method,
    /// Gaps between the instants.
    pub gaps: Gaps,
    /// The longest time between neighbouring samples that is no gap.
    pub tolerance_ns: i64,
}

/// A sample that cannot be appended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnergyError {
    /// The series is not in order of time.
    #[error(
        "power sample at {ts_ns} ns comes after the one at {last_ns} ns: sort the series by time"
    )]
    OutOfOrder {
        /// Time of the sample.
        ts_ns: i64,
        /// Time of the last sample before.
        last_ns: i64,
    },
    /// Times and samples are not as many.
    #[error("{times} times with {samples} power samples: give one time a sample")]
    Length {
        /// How many times.
        times: usize,
        /// How many samples.
        samples: usize,
    },
}

/// A sample, and what lies before it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    ts_ns: i64,
    watts: f64,
    /// Joules from the first sample that ever was.
    joules: Parts,
    /// How many gaps there are.
    gaps: u32,
}

/// A power series in order of time, with its integral. At equal times the last sample counts. Takes
/// 40 bytes a sample.
#[derive(Clone, Debug)]
pub struct EnergyIndex {
    options: EnergyOptions,
    samples: Vec<Sample>,
    /// Mean density of the samples, more or less: a hint to the search.
    samples_per_ns: f64,
    /// Whether the sum went beyond what it holds: energy is not known then.
    is_beyond: bool,
}

impl EnergyIndex {
    /// An index without samples.
    pub fn new(options: EnergyOptions) -> Self {
        Self { options, samples: Vec::new(), samples_per_ns: 0.0, is_beyond: false }
    }

    /// Appends samples in watts; nulls are passed over.
    ///
    /// # Errors
    /// When a time is before the one before it, or the columns differ in length. The samples before
    /// the fault are in.
    pub fn extend<W>(&mut self, ts_ns: &[i64], watts: &PrimitiveArray<W>) -> Result<(), EnergyError>
    where
        W: ArrowPrimitiveType<Native: Into<f64>>,
    {
        let (times, samples) = (ts_ns.len(), watts.len());
        if times != samples {
            return Err(EnergyError::Length { times, samples });
        }
        self.samples.reserve(times);
        match watts.nulls() {
            None => ts_ns.iter().zip(watts.values()).try_for_each(|(&ts, &w)| self.push(ts, w)),
            Some(nulls) => {
                nulls.valid_indices().try_for_each(|row| self.push(ts_ns[row], watts.value(row)))
            }
        }
    }

    /// Appends one sample in watts; one that is not finite is passed over.
    ///
    /// # Errors
    /// When it is earlier than the last one.
    pub fn push(&mut self, ts_ns: i64, watts: impl Into<f64>) -> Result<(), EnergyError> {
        let watts = watts.into();
        if !watts.is_finite() {
            return Ok(());
        }
        let sample = match self.samples.last() {
            None => Sample { ts_ns, watts, joules: Parts::default(), gaps: 0 },
            Some(last) if ts_ns < last.ts_ns => {
                return Err(EnergyError::OutOfOrder { ts_ns, last_ns: last.ts_ns });
            }
            Some(&last) => self.after(last, ts_ns, watts),
        };
        self.samples.push(sample);
        if self.samples.len().is_power_of_two() {
            let span_ns = ts_ns.saturating_sub(self.samples[0].ts_ns).max(1);
            self.samples_per_ns = self.samples.len() as f64 / span_ns as f64;
        }
        Ok(())
    }

    /// Forgets samples that no instant from `ts_ns` on needs, when that frees half of the memory.
    pub fn trim_before(&mut self, ts_ns: i64) {
        let before = self.samples.partition_point(|sample| sample.ts_ns <= ts_ns).saturating_sub(1);
        if before == 0 || before < self.samples.len() / 2 {
            return;
        }
        self.samples.drain(..before);
    }

    /// How many samples are in.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether no sample is in.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Time of the last sample. What is asked about later instants can change with further samples.
    pub fn last_ts_ns(&self) -> Option<i64> {
        self.samples.last().map(|sample| sample.ts_ns)
    }

    /// Watts at an instant; `None` where power is unknown.
    pub fn power_w_at(&self, ts_ns: i64) -> Option<f64> {
        self.power_at(ts_ns, self.locate(ts_ns, 0)?)
    }

    /// Joules between two instants; `None` where power is unknown at one of them or across a
    /// [gap](Gaps), where `to_ns` is before `from_ns`, and once the series is of more than 10^20 J.
    pub fn energy_j(&self, from_ns: i64, to_ns: i64) -> Option<f64> {
        self.energy_between(from_ns, to_ns, &mut 0)
    }

    /// [`Self::power_w_at`] for every row. Fastest in order of time.
    pub fn powers_w<T>(&self, ts_ns: &PrimitiveArray<T>) -> Float64Array
    where
        T: ArrowPrimitiveType<Native = i64>,
    {
        let mut near = 0;
        let power = |ts_ns: Option<i64>| {
            near = self.locate(ts_ns?, near)?;
            self.power_at(ts_ns?, near)
        };
        nullable(ts_ns.iter().map(power))
    }

    /// [`Self::energy_j`] for every row; null where an instant is. Fastest in order of `from_ns`.
    ///
    /// # Errors
    /// When the columns differ in length.
    pub fn energies_j<F, T>(
        &self,
        from_ns: &PrimitiveArray<F>,
        to_ns: &PrimitiveArray<T>,
    ) -> Result<Float64Array, EnergyError>
    where
        F: ArrowPrimitiveType<Native = i64>,
        T: ArrowPrimitiveType<Native = i64>,
    {
        if from_ns.len() != to_ns.len() {
            return Err(EnergyError::Length { times: from_ns.len(), samples: to_ns.len() });
        }
        let mut near = 0;
        let rows = from_ns.iter().zip(to_ns.iter());
        Ok(nullable(rows.map(|(from, to)| self.energy_between(from?, to?, &mut near))))
    }

    /// The sample that follows the last one.
    fn after(&mut self, last: Sample, ts_ns: i64, watts: f64) -> Sample {
        let step_ns = ts_ns.saturating_sub(last.ts_ns);
        let added = last.joules.plus(self.line_j((last.ts_ns, last.watts), (ts_ns, watts)));
        self.is_beyond |= added.is_none();
        let joules = added.unwrap_or(last.joules);
        let gap = u32::from(step_ns > self.options.tolerance_ns);
        Sample { ts_ns, watts, joules, gaps: last.gaps.wrapping_add(gap) }
    }

    #[inline]
    fn energy_between(&self, from_ns: i64, to_ns: i64, near: &mut usize) -> Option<f64> {
        let from = self.locate(from_ns, *near)?;
        *near = from;
        if to_ns < from_ns {
            return None;
        }
        let to = self.locate(to_ns, from)?;
        let (first, last) = (self.samples[from], self.samples[to]);
        if self.is_beyond || self.options.gaps == Gaps::Null && first.gaps != last.gaps {
            return None;
        }
        let (from_w, to_w) = (self.power_at(from_ns, from)?, self.power_at(to_ns, to)?);
        if from == to {
            return Some(self.line_j((from_ns, from_w), (to_ns, to_w)));
        }
        // Three pieces that are added: no difference of long sums is left to rounding.
        let next = self.samples[from + 1];
        let whole_j = last.joules.since(next.joules);
        let first_j = self.line_j((from_ns, from_w), (next.ts_ns, next.watts));
        Some(first_j + whole_j + self.line_j((last.ts_ns, last.watts), (to_ns, to_w)))
    }

    /// Joules between two instants of one line, each with its watts.
    #[inline]
    fn line_j(&self, (from_ns, from_w): (i64, f64), (to_ns, to_w): (i64, f64)) -> f64 {
        let mean_w = match self.options.method {
            Method::Trapezoid => 0.5 * (from_w + to_w),
            Method::Hold => from_w,
        };
        mean_w * (to_ns.saturating_sub(from_ns) as f64 * SECONDS_PER_NS)
    }

    /// Watts at an instant between sample `at` and the next.
    #[inline]
    fn power_at(&self, ts_ns: i64, at: usize) -> Option<f64> {
        let sample = self.samples[at];
        let age_ns = ts_ns.saturating_sub(sample.ts_ns);
        match self.options.method {
            Method::Hold => (age_ns <= self.options.tolerance_ns).then_some(sample.watts),
            Method::Trapezoid if age_ns == 0 => Some(sample.watts),
            Method::Trapezoid => {
                let next = self.samples.get(at + 1)?;
                let step_ns = next.ts_ns.saturating_sub(sample.ts_ns);
                let slope = (next.watts - sample.watts) / step_ns as f64;
                let watts = sample.watts + slope * age_ns as f64;
                (step_ns <= self.options.tolerance_ns).then_some(watts)
            }
        }
    }

    /// The last sample at or before an instant. The search starts where a series of even steps
    /// would have it, seen from sample `near`, and gallops from there: a few steps for a meter's
    /// regular samples, logarithmic for any others.
    #[inline]
    fn locate(&self, ts_ns: i64, near: usize) -> Option<usize> {
        let last = self.samples.len().checked_sub(1)?;
        if ts_ns < self.samples[0].ts_ns {
            return None;
        }
        let steps = ts_ns.saturating_sub(self.samples[near].ts_ns) as f64 * self.samples_per_ns;
        let guess = (near as isize).saturating_add(steps as isize).clamp(0, last as isize);
        Some(gallop(&self.samples, ts_ns, guess as usize))
    }
}

/// The last sample at or before an instant, searched from `start` in steps that double. The first
/// sample is one.
fn gallop(samples: &[Sample], ts_ns: i64, start: usize) -> usize {
    let mut step = 1;
    let (mut low, mut high) = (start, start);
    if samples[start].ts_ns <= ts_ns {
        high += 1;
        while high < samples.len() && samples[high].ts_ns <= ts_ns {
            (low, high, step) = (high, high + step, step * 2);
        }
    } else {
        while samples[low].ts_ns > ts_ns {
            (low, high, step) = (low.saturating_sub(step), low, step * 2);
        }
    }
    let between = &samples[low + 1..high.min(samples.len())];
    low + between.partition_point(|sample| sample.ts_ns <= ts_ns)
}

fn nullable(values: impl ExactSizeIterator<Item = Option<f64>>) -> Float64Array {
    let mut nulls = NullBufferBuilder::new(values.len());
    let value = |value: Option<f64>| {
        nulls.append(value.is_some());
        value.unwrap_or_default()
    };
    let values: Vec<f64> = values.map(value).collect();
    Float64Array::new(values.into(), nulls.finish())
}
