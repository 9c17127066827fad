//! Which files overlap in time, and which follow each other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Shares spans (first and last `ts`, both within) out among as few chains as there can be, in each of which every span
/// begins where the one before it has ended, or later: read one after the other, the rows of a chain are in order. Numbers
/// of spans; O(n log n).
///
/// ```
/// let spans = [(0, 10), (5, 15), (10, 20)];
/// assert_eq!(bl_store::chains(&spans), [vec![0, 2], vec![1]]);
/// ```
pub fn chains(spans: &[(i64, i64)]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|i| spans[*i]);
    let mut chains: Vec<Vec<usize>> = Vec::new();
    // The chains by where they end. Of those that have ended the earliest may go on.
    let mut ends: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    for i in order {
        let (first, last) = spans[i];
        let chain = match ends.peek() {
            Some(Reverse((end, chain))) if *end <= first => {
                let chain = *chain;
                ends.pop();
                chain
            }
            _ => {
                chains.push(Vec::new());
                chains.len() - 1
            }
        };
        chains[chain].push(i);
        ends.push(Reverse((last, chain)));
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle: no two of a chain overlap, and there are as many chains as spans share one instant, at most.
        #[test]
        fn each_span_is_in_one_of_the_fewest_chains(
            spans in prop::collection::vec((0..50_i64, 0..20_i64), 0..40),
        ) {
            let spans: Vec<(i64, i64)> = spans.iter().map(|(a, n)| (*a, a + n)).collect();
            let chains = chains(&spans);
            let mut all: Vec<usize> = chains.concat();
            all.sort();
            prop_assert_eq!(all, (0..spans.len()).collect::<Vec<_>>());
            for chain in &chains {
                prop_assert!(chain.windows(2).all(|w| spans[w[0]].1 <= spans[w[1]].0));
            }
            // Spans of no length take no part in it where another one begins or ends.
            let at = |t: i64| spans.iter().filter(|s| s.0 <= t && t < s.1).count();
            let points = spans.iter().filter(|s| s.0 == s.1).count();
            let most = (0..80).map(at).max().unwrap_or(0);
            prop_assert!(chains.len() <= most + points);
            prop_assert!(chains.len() >= most);
        }
    }
}
