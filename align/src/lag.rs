//! How far a power series lags behind the load that causes it.
//!
//! Both series are put on a common grid and freed of what is slower than some seconds (two trends
//! correlate at every lag). Pearson's correlation is then taken at every lag of the range, over the
//! instants that both series know; for white noise its peak is the likeliest lag. A parabola through
//! the peak gives fractions of a step.
//!
//! A peak is a lag only if it stands out of what unrelated series with the same autocorrelations
//! reach (Bartlett 1946), is no edge of the range, has no rival (a periodic load), is sharp enough for
//! the noise that is left, and stays where it is when parts of the time are left out. Otherwise there
//! is no lag to tell.

use std::num::NonZeroU64;

use crate::resample::Grid;

mod windows;

use windows::{Window, Windows};

/// How to look for a lag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LagOptions {
    /// Distance of the grid's instants.
    pub step_ns: NonZeroU64,
    /// The least lag looked for. Negative: power that runs ahead of the load.
    pub min_lag_ns: i64,
    /// The greatest lag looked for.
    pub max_lag_ns: i64,
    /// Neighbouring samples further apart than this leave a gap.
    pub tolerance_ns: u64,
    /// A lag whose bound would be wider is unknown.
    pub max_err_ns: f64,
}

impl Default for LagOptions {
    /// 0 to 500 ms within 5 ms, on a grid of 10 ms, gaps from 1 s on.
    fn default() -> Self {
        Self {
            step_ns: NonZeroU64::MIN.saturating_add(9_999_999),
            min_lag_ns: 0,
            max_lag_ns: 500_000_000,
            tolerance_ns: 1_000_000_000,
            max_err_ns: 5e6,
        }
    }
}

/// A lag that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// How long power follows load.
    pub lag_ns: f64,
    /// Three standard deviations of that.
    pub err_ns: f64,
    /// Correlation of the two at that lag, above 0 to 1.
    pub correlation: f64,
    /// Above 0 to 1: how far the peak stands above its highest rival in the range, or above what
    /// chance reaches, whichever is higher.
    pub confidence: f64,
}

/// What is slower than this many ranges of lags is taken out of both series.
const SLOW_RANGES: usize = 16;
/// Instants beyond the range on either side, so that a lag at its end is a peak, too.
const MARGIN: i64 = 15;
/// The least number of instants that both series know.
const LEAST_INSTANTS: usize = 64;
/// Standard deviations that chance does not reach, at any lag of the range.
const CHANCE: f64 = 5.0;
/// A peak ends where the correlation falls below this share of it.
const PEAK_END: f64 = 0.8;
/// The parabola is laid through what is above this share of the peak.
const PEAK_TOP: f64 = 0.95;
/// Parts of the time that are left out in turn.
const BLOCKS: usize = 16;
/// How many instants the peak may move by leaving one out.
const NEAR: usize = 5;
/// A rival above this share of the peak makes it ambiguous.
const RIVAL: f64 = 0.9;

/// A sample: its time, and its value where there is one.
pub type Sample = (i64, Option<f64>);

/// The lag of `power` behind `load`, both in order of time; `None` where none can be told (flat,
/// unrelated, periodic, too short, too noisy). Costs instants that are known times lags, and no memory that grows with
/// them: a year between two samples is passed over.
pub fn find_lag(load: &[Sample], power: &[Sample], options: &LagOptions) -> Option<Lag> {
    let grid = common_grid(load, power, options)?;
    let step_ns = i64::try_from(options.step_ns.get()).ok()?;
    let least = options.min_lag_ns.div_euclid(step_ns) - MARGIN;
    let most = -(-options.max_lag_ns).div_euclid(step_ns) + MARGIN;
    let lags = usize::try_from(most - least).ok().filter(|lags| *lags < grid.count)?;
    let far = usize::try_from(least.unsigned_abs().max(most.unsigned_abs())).ok()?;
    let mut chance = Chance::new((8 * lags).min(grid.count / 2));
    let windows = Windows {
        load,
        power,
        grid,
        tolerance_ns: options.tolerance_ns,
        slow: SLOW_RANGES * lags,
        reach: chance.reach.max(far) + 1,
    };
    let mut sums = vec![Blocks::default(); lags + 1];
    for window in windows.iter() {
        for (blocks, lag) in sums.iter_mut().zip(least..=most) {
            add(blocks, &window, lag, grid.count);
        }
        chance.add(&window);
    }
    let curve = curve(&sums, None);
    let at = (0..curve.len()).max_by(|left, right| curve[*left].total_cmp(&curve[*right]))?;
    let pearson = Pearson::of(&total(&sums[at])).filter(|_| !chance.is_flat())?;
    let chance = CHANCE * chance.deviation() / (pearson.count as f64).sqrt();
    let rival = rival(&curve, at);
    if curve[at] <= chance || rival > RIVAL * curve[at] {
        return None;
    }
    let (shift, curvature) = parabola(&curve, at)?;
    let lag_ns = ((least + at as i64) as f64 + shift) * step_ns as f64;
    let independent = pearson.independent_residuals(windows, least + at as i64);
    let unexplained = (1.0 - curve[at] * curve[at]).max(f64::EPSILON);
    let by_noise = (unexplained / (independent * 2.0 * curvature * curve[at])).sqrt();
    let deviation = by_noise.max(jackknife(&sums, at)?);
    let err_ns = 3.0 * deviation * step_ns as f64;
    let in_range = lag_ns >= options.min_lag_ns as f64 - err_ns
        && lag_ns <= options.max_lag_ns as f64 + err_ns;
    (in_range && err_ns <= options.max_err_ns).then(|| Lag {
        lag_ns,
        err_ns,
        correlation: curve[at],
        confidence: 1.0 - chance.max(rival) / curve[at],
    })
}

/// The grid over the time that both series cover.
fn common_grid(load: &[Sample], power: &[Sample], options: &LagOptions) -> Option<Grid> {
    let start_ns = load.first()?.0.max(power.first()?.0);
    let end_ns = load.last()?.0.min(power.last()?.0);
    let span_ns = u64::try_from(end_ns.checked_sub(start_ns)?).ok()?;
    Some(Grid::covering(start_ns, span_ns, options.step_ns))
}

/// Sums over instants that both series know.
#[derive(Clone, Copy, Default)]
struct Sums {
    count: usize,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

/// The sums of each block of instants, at one lag.
type Blocks = [Sums; BLOCKS];

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            count: self.count + more.count,
            x: self.x + more.x,
            y: self.y + more.y,
            xx: self.xx + more.xx,
            yy: self.yy + more.yy,
            xy: self.xy + more.xy,
        }
    }
}

/// Adds load and the power `lag` instants later to the sums of their blocks, which are parts of a grid of `count`
/// instants.
fn add(blocks: &mut Blocks, window: &Window, lag: i64, count: usize) {
    let length = count.saturating_sub(lag.unsigned_abs() as usize).div_ceil(BLOCKS).max(1);
    for (at, x, y) in window.lagged(lag) {
        if (x + y).is_nan() {
            continue;
        }
        let sums = &mut blocks[at / length];
        *sums = *sums + Sums { count: 1, x, y, xx: x * x, yy: y * y, xy: x * y };
    }
}

fn total(blocks: &Blocks) -> Sums {
    blocks.iter().fold(Sums::default(), |sum, block| sum + *block)
}

/// The correlation at each lag, without one of the blocks; -1 where there is none.
fn curve(sums: &[Blocks], without: Option<usize>) -> Vec<f64> {
    let of = |blocks: &Blocks| {
        let kept = blocks.iter().enumerate().filter(|(block, _)| Some(*block) != without);
        let sums = kept.fold(Sums::default(), |sum, (_, block)| sum + *block);
        Pearson::of(&sums).map_or(-1.0, |pearson| pearson.correlation)
    };
    sums.iter().map(of).collect()
}

/// Standard deviation of the peak's place, in instants, by leaving out one block after the other (Quenouille 1956,
/// Tukey 1958): it knows what a formula does not, such as a peak that is not even on both sides.
fn jackknife(sums: &[Blocks], at: usize) -> Option<f64> {
    let mut places = Vec::with_capacity(BLOCKS);
    for block in 0..BLOCKS {
        let curve = curve(sums, Some(block));
        let low = at.saturating_sub(NEAR);
        let near = low..(at + NEAR + 1).min(curve.len());
        let peak = near.max_by(|left, right| curve[*left].total_cmp(&curve[*right]))?;
        places.push(peak as f64 + parabola(&curve, peak)?.0);
    }
    let mean = places.iter().sum::<f64>() / BLOCKS as f64;
    let squares = places.iter().map(|place| (place - mean).powi(2)).sum::<f64>();
    Some((squares * (BLOCKS - 1) as f64 / BLOCKS as f64).sqrt())
}

/// Correlation of power with the load some instants before.
#[derive(Clone, Copy)]
struct Pearson {
    count: usize,
    correlation: f64,
    slope: f64,
    mean_load: f64,
    mean_power: f64,
}

impl Pearson {
    fn of(sums: &Sums) -> Option<Self> {
        let Sums { count, x, y, xx, yy, xy } = *sums;
        if count < LEAST_INSTANTS {
            return None;
        }
        let n = count as f64;
        let (mean_load, mean_power) = (x / n, y / n);
        let (xx, yy, xy) = (xx - x * mean_load, yy - y * mean_power, xy - x * mean_power);
        (xx > 0.0 && yy > 0.0).then(|| Self {
            count,
            correlation: xy / (xx * yy).sqrt(),
            slope: xy / xx,
            mean_load,
            mean_power,
        })
    }

    /// How many independent values the residuals of the line are worth, by their first
    /// autocorrelation: samples that are further apart than the grid's instants are fewer.
    fn independent_residuals(&self, windows: Windows<'_>, lag: i64) -> f64 {
        let residual = |a: f64, b: f64| b - self.mean_power - self.slope * (a - self.mean_load);
        let mut next = Autocorrelation::default();
        for window in windows.iter() {
            let own = window.lagged(lag).count();
            let residuals = window.lagged_and_next(lag).map(|(_, a, b)| residual(a, b));
            let residuals: Vec<f64> = residuals.collect();
            for (at, this) in residuals.iter().take(own).enumerate() {
                next.add(*this, residuals.get(at + 1).copied().unwrap_or(f64::NAN));
            }
        }
        let next = next.value().clamp(0.0, 0.999);
        self.count as f64 * (1.0 - next) / (1.0 + next)
    }
}

/// Correlation of a series around 0 with itself some instants later.
#[derive(Clone, Copy, Default)]
struct Autocorrelation {
    products: f64,
    squares: f64,
}

impl Autocorrelation {
    /// Adds a value and the later one, of which either may be unknown.
    fn add(&mut self, value: f64, later: f64) {
        if !value.is_nan() {
            self.squares += value * value;
        }
        let product = value * later;
        if !product.is_nan() {
            self.products += product;
        }
    }

    fn value(&self) -> f64 {
        if self.squares > 0.0 { self.products / self.squares } else { 0.0 }
    }
}

/// What two unrelated series with the autocorrelations of load and power reach by chance: Bartlett's formula, summed over
/// some 64 lags up to `reach`.
struct Chance {
    reach: usize,
    stride: usize,
    /// Load and power at each of the lags.
    lags: Vec<[Autocorrelation; 2]>,
    /// For each series the greatest value, and the greatest that is left of it without what is slow.
    greatest: [(f64, f64); 2],
}

impl Chance {
    fn new(reach: usize) -> Self {
        let stride = (reach / 64).max(1);
        let lags = vec![Default::default(); reach / stride];
        Self { reach, stride, lags, greatest: Default::default() }
    }

    fn add(&mut self, window: &Window) {
        for (series, part) in [&window.load, &window.power].into_iter().enumerate() {
            for (at, lag) in self.lags.iter_mut().enumerate() {
                part.later((at + 1) * self.stride)
                    .for_each(|(value, later)| lag[series].add(value, later));
            }
            let left = part.later(0).map(|(value, _)| value.abs()).fold(0.0, f64::max);
            let (greatest, greatest_left) = &mut self.greatest[series];
            *greatest = greatest.max(part.greatest);
            *greatest_left = greatest_left.max(left);
        }
    }

    /// Whether one of the series is flat: what rounding leaves of it is no signal.
    fn is_flat(&self) -> bool {
        self.greatest.iter().any(|(greatest, left)| *left <= 1e-9 * greatest)
    }

    /// Standard deviation of the correlation, times the root of the series' length.
    fn deviation(&self) -> f64 {
        let product = |lag: &[Autocorrelation; 2]| lag[0].value() * lag[1].value();
        let beyond: f64 = self.lags.iter().map(product).sum();
        (1.0 + 2.0 * self.stride as f64 * beyond.max(0.0)).sqrt()
    }
}

/// The highest correlation outside of the peak at `at`; 0 where all are below.
fn rival(curve: &[f64], at: usize) -> f64 {
    let ends = |value: &&f64| **value < PEAK_END * curve[at];
    let before = curve[..at].iter().rev().skip_while(|value| !ends(value));
    let after = curve[at..].iter().skip_while(|value| !ends(value));
    before.chain(after).copied().fold(0.0, f64::max)
}

/// The parabola `top - curvature * (x - shift)^2` through the peak by least squares, in instants:
/// `(shift, curvature)`. `None` at an edge of the range.
fn parabola(curve: &[f64], at: usize) -> Option<(f64, f64)> {
    let reach = at.min(curve.len() - 1 - at);
    let top = |half: &usize| {
        curve[at - half] >= PEAK_TOP * curve[at] && curve[at + half] >= PEAK_TOP * curve[at]
    };
    let half = (1..=reach).take_while(top).last().unwrap_or(1);
    if reach < 1 {
        return None;
    }
    let (mut xx, mut xxxx, mut y, mut xy, mut xxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (offset, value) in curve[at - half..=at + half].iter().enumerate() {
        let x = offset as f64 - half as f64;
        (xx, xxxx) = (xx + x * x, xxxx + x * x * x * x);
        (y, xy, xxy) = (y + value, xy + x * value, xxy + x * x * value);
    }
    let n = (2 * half + 1) as f64;
    let square = (xxy - xx * y / n) / (xxxx - xx * xx / n);
    let shift = -(xy / xx) / (2.0 * square);
    (square < 0.0 && shift.abs() <= half as f64).then_some((shift, -square))
}

#[cfg(test)]
mod tests;
