//! The senders' own counters: what is missing in them, the sender has dropped.

/// Behind by more than this, a counter has been restarted and its number is not a late one.
const LATE: i64 = 4096;

/// More pipelines of one sender than anyone has; the counters of further ones are not followed.
const MAX_PIPELINES: usize = 1024;

/// The counters of one connection, one a pipeline.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    counters: Vec<Counter>,
    last: usize,
}

#[derive(Debug)]
struct Counter {
    pipeline: String,
    next: i64,
    missing: i64,
}

impl Sequences {
    /// Takes the number of an event; returns whether numbers are missing now.
    ///
    /// The first number of a counter may be any. Numbers that come late (several threads of a sender) are taken
    /// off again, as long as the gap has not been [taken](Self::take_missing).
    pub fn note(&mut self, pipeline: &str, seq: i64) -> bool {
        let Some(counter) = self.counter(pipeline, seq) else { return false };
        let next = seq.saturating_add(1);
        if seq >= counter.next {
            counter.missing = counter.missing.saturating_add(seq.saturating_sub(counter.next));
            counter.next = next;
        } else if counter.missing > 0 && counter.next.saturating_sub(seq) <= LATE {
            counter.missing -= 1;
        } else {
            counter.next = next;
        }
        counter.missing > 0
    }

    /// Pipelines of which numbers are missing, and how many; they count as taken.
    pub fn take_missing(&mut self) -> Vec<(String, u64)> {
        self.counters
            .iter_mut()
            .filter(|c| c.missing > 0)
            .map(|c| (c.pipeline.clone(), std::mem::take(&mut c.missing).unsigned_abs()))
            .collect()
    }

    fn counter(&mut self, pipeline: &str, seq: i64) -> Option<&mut Counter> {
        if self.counters.get(self.last).is_none_or(|c| c.pipeline != pipeline) {
            self.last = match self.counters.iter().position(|c| c.pipeline == pipeline) {
                Some(at) => at,
                None if self.counters.len() == MAX_PIPELINES => return None,
                None => {
                    let pipeline = pipeline.to_string();
                    self.counters.push(Counter { pipeline, next: seq, missing: 0 });
                    self.counters.len() - 1
                }
            };
        }
        self.counters.get_mut(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(numbers: &[i64]) -> u64 {
        let mut sequences = Sequences::default();
        for n in numbers {
            sequences.note("a", *n);
        }
        sequences.take_missing().iter().map(|(_, n)| n).sum()
    }

    #[test]
    fn gaps_are_drops() {
        assert_eq!(missing(&[5, 6, 7]), 0);
        assert_eq!(missing(&[0, 1, 4, 5, 9]), 5);
        assert_eq!(missing(&[0, 2, 1, 3]), 0, "late, not lost");
        assert_eq!(missing(&[100_000, 100_001, 0, 1, 2]), 0, "restarted");
        assert_eq!(missing(&[i64::MIN, i64::MAX, i64::MAX]), i64::MAX as u64);
    }

    #[test]
    fn pipelines_count_apart() {
        let mut sequences = Sequences::default();
        for (pipeline, seq) in [("a", 0), ("b", 70), ("a", 1), ("b", 73), ("a", 2), ("", 3)] {
            sequences.note(pipeline, seq);
        }
        assert_eq!(sequences.take_missing(), [("b".to_string(), 2)]);
        assert_eq!(sequences.take_missing(), []);
    }
}
