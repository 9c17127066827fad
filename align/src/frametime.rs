//! Statistics of frame times, each exactly as CapFrameX tells it.
//!
//! Sources: `FrametimeStatisticProvider.cs` of CapFrameX 1.8.4 for the definitions, and `ArrayStatistics.cs` of
//! Math.NET Numerics for the quantile that they rest on: type 8 of Hyndman and Fan 1996, whose rank, counted from
//! 1, is `(n + 1/3) * share + 1/3`. Both are followed down to the arithmetic of doubles, as a tie is decided by it.

use super::quantile::{Rank, Values};

impl Values {
    /// Quantiles of *frames per second* of a column of frame times in milliseconds, in the order asked: CapFrameX's
    /// P1 is that of share 0.01, P0.2 that of 0.002. `None` where a frame of 0 ms leaves no number.
    pub fn fps_percentiles(&self, shares: &[f64]) -> Vec<Option<f64>> {
        let mut fps = self.map(|ms| 1000.0 / ms);
        let found = fps.quantiles(shares, Rank::MedianUnbiased);
        found.into_iter().map(|fps| fps.filter(|fps| fps.is_finite())).collect()
    }

    /// Mean of the longest `share` of frame times, CapFrameX's "x % low average", in the column's unit: it shows
    /// `1000 / mean` of milliseconds. All frames that are not below the quantile of `1 - share` take part, so with
    /// ties these may be many more than that share.
    pub fn low_average(&mut self, share: f64) -> Option<f64> {
        let border = self.quantiles(&[1.0 - share], Rank::MedianUnbiased)[0]?;
        let longest = self.as_slice().iter().filter(|value| **value >= border);
        let (sum, count) =
            longest.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
        Some(sum / count as f64)
    }

    /// The frame time down to which the longest frames fill `share` of the total time: CapFrameX's "x % low
    /// integral", which is MSI Afterburner's low, in the column's unit.
    pub fn low_integral(&mut self, share: f64) -> Option<f64> {
        let total = self.as_slice().iter().sum::<f64>();
        if self.is_empty() || !(0.0..=1.0).contains(&share) {
            return None;
        }
        // CapFrameX takes the share from 1 twice, which for 0.01 leaves 0.010000000000000009: a tie falls as there.
        let limit = total * (1.0 - (1.0 - share));
        // The longest frames are no shorter in the mean than all are, so that so many of them are enough.
        let enough = (share * self.len() as f64) as usize + 2;
        let mut sum = 0.0;
        let longest = self.greatest(enough);
        let reached = longest.iter().find(|value| {
            sum += **value;
            sum >= limit
        });
        reached.or(longest.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A fraction with a positive denominator.
    type Fraction = (i128, i128);

    fn number((up, down): Fraction) -> f64 {
        up as f64 / down as f64
    }

    /// The definition of type 8 over fractions; `sorted` rises, the share is in thousandths.
    fn median_unbiased(sorted: &[Fraction], thousandths: i128) -> Fraction {
        let n = sorted.len() as i128;
        // (n + 1/3) p + 1/3, in 3000ths.
        let rank = (3 * n + 1) * thousandths + 1000;
        let (below, rest) = (rank / 3000, rank % 3000);
        if below < 1 {
            return sorted[0];
        }
        if below >= n {
            return sorted[sorted.len() - 1];
        }
        let [(a, b), (c, d)] = [sorted[below as usize - 1], sorted[below as usize]];
        (a * d * 3000 + rest * (c * b - a * d), b * d * 3000)
    }

    fn values(ms: &[u32]) -> Values {
        ms.iter().copied().map(f64::from).collect()
    }

    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found}, not {expected}");
    }

    #[test]
    fn of_one_to_n_the_quantile_is_its_own_rank() {
        // 1000 / (1000 / k) is k: frame times that have these frames per second.
        let fps = |n: u32| (1..=n).map(|k| 1000.0 / f64::from(k)).collect::<Values>();
        assert_near(fps(10).fps_percentiles(&[0.5])[0], 5.5);
        assert_near(fps(100).fps_percentiles(&[0.99])[0], 29_899.0 / 300.0);
        assert_near(fps(100).fps_percentiles(&[0.01])[0], 401.0 / 300.0);
        // (501 + 1/3) * 0.002 + 1/3
        assert_near(fps(501).fps_percentiles(&[0.002])[0], 1.336);
        // Beyond the ends there is nothing to find: the rank is 0.534.
        assert_near(fps(100).fps_percentiles(&[0.002])[0], 1.0);
        assert_eq!(fps(3).fps_percentiles(&[1.0, 0.0, 0.5, 2.0])[3], None);
    }

    #[test]
    fn a_hundred_frames_by_hand() {
        // 99 frames of 10 ms and one of 50 ms. The rank of 0.99 is 99.6633, so that the border is
        // 10 + 0.6633 * 40 = 36.53 ms; that of frames per second at 0.01 is 1.3367, between 20 and 100.
        let mut frames = values(&[&[10; 99][..], &[50]].concat());
        assert_eq!(frames.low_average(0.01), Some(50.0));
        // That of 0.98 is 98.6567, among the frames of 10 ms, which all take part then.
        assert_eq!(frames.low_average(0.02), Some(10.4));
        assert_eq!(frames.low_integral(0.01), Some(50.0));
        assert_near(frames.fps_percentiles(&[0.01])[0], 20.0 + 101.0 / 300.0 * 80.0);
    }

    #[test]
    fn ties_at_the_border_all_join_the_average_but_not_the_integral() {
        let mut frames = values(&[&[10; 90][..], &[20; 9], &[200]].concat());
        // The rank of 0.98 is 98.6567: between two frames of 20 ms.
        assert_near(frames.low_average(0.02), (9.0 * 20.0 + 200.0) / 10.0);
        // Of 1280 ms, 2 % are 25.6 ms: within the longest frame.
        assert_eq!(frames.low_integral(0.02), Some(200.0));
    }

    #[test]
    fn a_sum_that_just_reaches_the_share_falls_short_as_in_capframex() {
        // Of 5000 ms, 1 % is the one frame of 50 ms; but 1 - (1 - 0.01) is 0.010000000000000009.
        let mut frames = values(&[&[25; 198][..], &[50]].concat());
        assert_eq!(frames.low_integral(0.01), Some(25.0));
    }

    #[test]
    fn edges_have_answers() {
        let mut none = Values::default();
        assert_eq!(none.fps_percentiles(&[0.01]), [None]);
        assert_eq!((none.low_average(0.01), none.low_integral(0.01)), (None, None));
        let mut one = values(&[8]);
        assert_eq!(one.fps_percentiles(&[0.0, 0.01, 1.0]), [Some(125.0); 3]);
        for share in [0.0, 0.001, 1.0] {
            assert_eq!((one.low_average(share), one.low_integral(share)), (Some(8.0), Some(8.0)));
        }
        assert_eq!((one.low_average(1.5), one.low_integral(f64::NAN)), (None, None));
        assert_eq!(values(&[0, 0]).fps_percentiles(&[0.5]), [None], "no frames per second");
    }

    /// Few different lengths as well as many, so that there are ties at the borders.
    fn frame_times() -> impl Strategy<Value = Vec<u32>> {
        let ms = prop_oneof![8 => 1..200_u32, 4 => Just(16_u32), 1 => 1..100_000_u32];
        proptest::collection::vec(ms, 1..1200)
    }

    proptest! {
        #[test]
        fn frames_per_second_are_those_of_the_definition(ms in frame_times(), thousandths in 0..=1000_i128) {
            let mut fps: Vec<Fraction> = ms.iter().map(|ms| (1000, i128::from(*ms))).collect();
            fps.sort_by_key(|(_, ms)| std::cmp::Reverse(*ms));
            let expected = number(median_unbiased(&fps, thousandths));
            let found = values(&ms).fps_percentiles(&[thousandths as f64 / 1000.0])[0].unwrap();
            prop_assert!((found - expected).abs() <= 1e-9 * expected, "{found}, not {expected}");
        }

        // Thousandths whose rank is never whole, whatever n: 2997 n + 1999 and 2970 n + 1990 are no multiples of
        // 3000. So that a border never falls on a frame by rounding.
        #[test]
        fn low_averages_are_those_of_the_definition(ms in frame_times(), thousandths in prop_oneof![Just(1), Just(10)]) {
            let mut sorted = ms.clone();
            sorted.sort_unstable();
            let sorted: Vec<Fraction> = sorted.iter().map(|ms| (i128::from(*ms), 1)).collect();
            let (up, down) = median_unbiased(&sorted, 1000 - thousandths);
            let longest: Vec<i128> = sorted.iter().map(|(ms, _)| *ms).filter(|ms| ms * down >= up).collect();
            let expected = number((longest.iter().sum(), longest.len() as i128));
            let found = values(&ms).low_average(thousandths as f64 / 1000.0).unwrap();
            prop_assert!((found - expected).abs() <= 1e-12 * expected, "{found}, not {expected}");
        }

        #[test]
        fn low_integrals_are_those_of_the_definition(
            ms in frame_times(),
            thousandths in prop_oneof![Just(1), Just(2), Just(10)],
        ) {
            let mut sorted: Vec<i128> = ms.iter().map(|ms| i128::from(*ms)).collect();
            sorted.sort_unstable_by_key(|ms| std::cmp::Reverse(*ms));
            let total: i128 = sorted.iter().sum();
            let mut sum = 0;
            // More than the share, not just as much: see the test above.
            let is_enough = |ms: &i128| {
                sum += ms;
                sum * 1000 > total * thousandths
            };
            let expected = sorted.iter().copied().find(is_enough).unwrap();
            let found = values(&ms).low_integral(thousandths as f64 / 1000.0);
            prop_assert_eq!(found, Some(expected as f64));
        }
    }
}
