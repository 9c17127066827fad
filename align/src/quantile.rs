//! Exact percentiles, lows and histograms of a column, by selection rather than sorting.
//!
//! A percentile interpolates linearly between the two nearest ranks: of `n` values, share `p` lies at
//! rank `p * (n - 1)`, counted from 0 (type 7 of Hyndman and Fan 1996: numpy's and Polars' default,
//! SQL's `percentile_cont`). Values that are not finite are left out.

/// Histogram edges that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{edges} histogram edges do not rise: give at least two, each greater than the one before")]
pub struct EdgesError {
    /// How many were given.
    pub edges: usize,
}

/// A column's finite values. Each answer moves them about, and needs no further memory.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<f64>);

impl FromIterator<f64> for Values {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().filter(|value| value.is_finite()).collect())
    }
}

impl FromIterator<Option<f64>> for Values {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        values.into_iter().flatten().collect()
    }
}

impl Extend<f64> for Values {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        self.0.extend(values.into_iter().filter(|value| value.is_finite()));
    }
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The values, in no order.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at share `p` (0 to 1) of the sorted column; `None` when it is empty or `p` is no
    /// share.
    pub fn percentile(&mut self, p: f64) -> Option<f64> {
        if self.0.is_empty() || !(0.0..=1.0).contains(&p) {
            return None;
        }
        Some(select(&mut self.0, p))
    }

    /// Several percentiles, in the order asked. Each is searched only beside those found before.
    pub fn percentiles(&mut self, shares: &[f64]) -> Vec<Option<f64>> {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|&left, &right| shares[left].total_cmp(&shares[right]));
        let last = self.0.len().saturating_sub(1) as f64;
        let mut found = vec![None; shares.len()];
        let mut sorted = 0;
        for at in order {
            if self.0.is_empty() || !(0.0..=1.0).contains(&shares[at]) {
                continue;
            }
            // Everything before rank `sorted` is in place: search the rest.
            let rank = shares[at] * last;
            found[at] = Some(select_rank(&mut self.0[sorted..], rank - sorted as f64));
            sorted = rank as usize;
        }
        found
    }

    /// Mean of the worst `share` of frame times: CapFrameX's "x % low average", in the column's unit
    /// (frames per second are `1000 / mean` of milliseconds). The worst are those not below the
    /// percentile `1 - share`, as in CapFrameX 1.8.4, `GetPercentageHighAverageSequence`. The plain percentile, [`Self::percentile`] of
    /// `1 - share`, is what CapFrameX calls P1 and P0.1. CapFrameX interpolates its percentile by
    /// another rule (type 8), so at the border its set can differ by a frame.
    pub fn low_average(&mut self, share: f64) -> Option<f64> {
        let border = self.percentile(1.0 - share)?;
        let worst = self.0.iter().filter(|value| **value >= border);
        let (sum, count) = worst.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
        Some(sum / count as f64)
    }

    /// The frame time down to which the longest frames fill `share` of the total time: CapFrameX's
    /// "x % low integral" (1.8.4, `GetPercentageHighIntegralSequence`), which is MSI Afterburner's
    /// low.
    pub fn low_integral(&mut self, share: f64) -> Option<f64> {
        if self.0.is_empty() || !(0.0..=1.0).contains(&share) {
            return None;
        }
        self.0.sort_unstable_by(|left, right| right.total_cmp(left));
        let limit = share * self.0.iter().sum::<f64>();
        let mut sum = 0.0;
        let crosses = |value: &&f64| {
            sum += **value;
            sum >= limit
        };
        self.0.iter().find(crosses).or(self.0.last()).copied()
    }

    /// How many values lie in each bin, the lower edge included, the upper one only in the last bin.
    /// Values beyond the edges are counted nowhere.
    ///
    /// # Errors
    /// When the edges are fewer than two or do not rise.
    pub fn histogram(&self, edges: &[f64]) -> Result<Vec<u64>, EdgesError> {
        if edges.len() < 2 || !edges.windows(2).all(|two| two[0] < two[1]) {
            return Err(EdgesError { edges: edges.len() });
        }
        let last = edges.len() - 1;
        let mut counts = vec![0; last];
        for value in &self.0 {
            match edges.partition_point(|edge| edge <= value) {
                0 => {}
                bin if bin <= last => counts[bin - 1] += 1,
                _ if *value == edges[last] => counts[last - 1] += 1,
                _ => {}
            }
        }
        Ok(counts)
    }
}

fn select(values: &mut [f64], p: f64) -> f64 {
    let rank = p * (values.len() - 1) as f64;
    select_rank(values, rank)
}

/// The value at a rank that may lie between two; `values` is not empty.
fn select_rank(values: &mut [f64], rank: f64) -> f64 {
    let below = (rank.max(0.0) as usize).min(values.len() - 1);
    let share = rank - below as f64;
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    if share <= 0.0 {
        return low;
    }
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(high) => low + share * (high - low),
        None => low,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// numpy's `quantile`, over a sorted copy.
    fn by_sorting(values: &[f64], p: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = p * sorted.len().checked_sub(1)? as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        Some(low + (high - low) * rank.fract())
    }

    fn close(left: Option<f64>, right: Option<f64>) -> bool {
        match (left, right) {
            (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * right.abs().max(1.0),
            (left, right) => left == right,
        }
    }

    fn columns() -> impl Strategy<Value = Vec<f64>> {
        let value = prop_oneof![8 => 0.0..50.0, 2 => Just(16.0), 1 => Just(f64::NAN)];
        proptest::collection::vec(value, 0..80)
    }

    proptest! {
        #[test]
        fn selection_finds_what_sorting_finds(
            column in columns(),
            shares in proptest::collection::vec(0.0..=1.0, 0..6),
        ) {
            let mut values: Values = column.iter().copied().collect();
            let found = values.percentiles(&shares);
            for (found, p) in found.into_iter().zip(&shares) {
                prop_assert!(close(found, by_sorting(&column, *p)));
                prop_assert!(close(values.percentile(*p), by_sorting(&column, *p)));
            }
        }

        #[test]
        fn lows_are_means_and_integrals_of_the_longest(column in columns(), share in 0.0..1.0) {
            let mut sorted: Vec<f64> = column.iter().copied().filter(|v| v.is_finite()).collect();
            sorted.sort_by(|left, right| right.total_cmp(left));
            let mut values: Values = column.iter().copied().collect();
            let border = by_sorting(&column, 1.0 - share);
            let worst: Vec<f64> = sorted.iter().copied().filter(|v| *v >= border.unwrap() - 1e-12).collect();
            let mean = (!worst.is_empty()).then(|| worst.iter().sum::<f64>() / worst.len() as f64);
            prop_assert!(close(values.low_average(share), mean));

            let total: f64 = sorted.iter().sum();
            let reached = |count: &usize| sorted[..*count].iter().sum::<f64>() >= share * total - 1e-9;
            let count = (1..=sorted.len()).find(reached);
            prop_assert!(close(values.low_integral(share), count.map(|count| sorted[count - 1])));
        }

        #[test]
        fn bins_hold_what_lies_between_their_edges(column in columns()) {
            let edges = [0.0, 10.0, 16.0, 16.5, 50.0];
            let values: Values = column.iter().copied().collect();
            let counts = values.histogram(&edges).unwrap();
            for (bin, two) in edges.windows(2).enumerate() {
                let inside = column.iter().filter(|v| **v >= two[0] && **v < two[1]).count() as u64;
                prop_assert_eq!(counts[bin], inside);
            }
        }
    }

    #[test]
    fn edges_have_answers() {
        let mut none = Values::default();
        assert_eq!(none.percentiles(&[0.5]), [None]);
        assert_eq!((none.low_average(0.01), none.low_integral(0.01)), (None, None));
        let mut one: Values = [7.0].into_iter().collect();
        assert_eq!(one.percentiles(&[1.0, 0.0, 0.5]), [Some(7.0); 3]);
        assert_eq!(one.percentiles(&[f64::NAN, 1.5]), [None, None]);
        assert_eq!((one.low_average(0.001), one.low_integral(0.001)), (Some(7.0), Some(7.0)));
        assert_eq!(one.histogram(&[0.0, 7.0]), Ok(vec![1]), "the last bin is closed");
        assert_eq!(one.histogram(&[8.0, 7.0]), Err(EdgesError { edges: 2 }));
    }

    #[test]
    fn a_hundred_frames_have_the_lows_that_capframex_shows() {
        // 99 frames of 10 ms and one of 50 ms: the border, at rank 98.01, is 10.4 ms.
        let mut values: Values = (0..100).map(|at| if at == 40 { 50.0 } else { 10.0 }).collect();
        assert!((values.percentile(0.99).unwrap() - 10.4).abs() < 1e-9);
        assert_eq!(values.low_average(0.01), Some(50.0));
        assert_eq!(values.low_integral(0.01), Some(50.0));
    }
}
