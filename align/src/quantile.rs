//! Exact percentiles and histograms of a column, by selection rather than sorting.
//!
//! A percentile interpolates linearly between the two nearest ranks: of `n` values, share `p` lies at
//! rank `p * (n - 1)`, counted from 0 (type 7 of Hyndman and Fan 1996: numpy's and Polars' default,
//! SQL's `percentile_cont`). Values that are not finite are left out. What CapFrameX tells of frame times
//! goes by another rule and is in [`super::frametime`].

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

/// Where a share lies among `n` sorted values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Type 7 of Hyndman and Fan.
    Linear,
    /// Type 8.
    MedianUnbiased,
}

impl Rank {
    /// Counted from 0, and within the column; `count` is above 0.
    fn of(self, share: f64, count: usize) -> f64 {
        let last = (count - 1) as f64;
        match self {
            Self::Linear => share * last,
            Self::MedianUnbiased => {
                let from_one = (count as f64 + 1.0 / 3.0) * share + 1.0 / 3.0;
                (from_one - 1.0).clamp(0.0, last)
            }
        }
    }
}

impl Values {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The values, in no order.
    pub fn into_vec(self) -> Vec<f64> {
        self.0
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Each value by a rule; also those that are not finite then are kept.
    pub(crate) fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|value| of(*value)).collect())
    }

    /// So many of the greatest values, the greatest first.
    pub(crate) fn greatest(&mut self, count: usize) -> &[f64] {
        let descending = |left: &f64, right: &f64| right.total_cmp(left);
        let count = count.min(self.0.len());
        if count < self.0.len() {
            self.0.select_nth_unstable_by(count, descending);
        }
        self.0[..count].sort_unstable_by(descending);
        &self.0[..count]
    }

    /// The value at share `p` (0 to 1) of the sorted column; `None` when it is empty or `p` is no
    /// share.
    pub fn percentile(&mut self, p: f64) -> Option<f64> {
        self.quantiles(&[p], Rank::Linear)[0]
    }

    /// Several percentiles, in the order asked. Each is searched only beside those found before.
    pub fn percentiles(&mut self, shares: &[f64]) -> Vec<Option<f64>> {
        self.quantiles(shares, Rank::Linear)
    }

    pub(crate) fn quantiles(&mut self, shares: &[f64], rank: Rank) -> Vec<Option<f64>> {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|&left, &right| shares[left].total_cmp(&shares[right]));
        let mut found = vec![None; shares.len()];
        let mut sorted = 0;
        for at in order {
            if self.0.is_empty() || !(0.0..=1.0).contains(&shares[at]) {
                continue;
            }
            // Everything before rank `sorted` is in place: search the rest.
            let rank = rank.of(shares[at], self.0.len());
            found[at] = Some(select_rank(&mut self.0[sorted..], rank - sorted as f64));
            sorted = rank as usize;
        }
        found
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
        let mut one: Values = [7.0].into_iter().collect();
        assert_eq!(one.percentiles(&[1.0, 0.0, 0.5]), [Some(7.0); 3]);
        assert_eq!(one.percentiles(&[f64::NAN, 1.5]), [None, None]);
        assert_eq!(one.histogram(&[0.0, 7.0]), Ok(vec![1]), "the last bin is closed");
        assert_eq!(one.histogram(&[8.0, 7.0]), Err(EdgesError { edges: 2 }));
    }
}
