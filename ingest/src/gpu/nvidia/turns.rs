//! Who is asked next what takes long.

/// A round of questions is asked once a second at most.
const ROUND_NS: i64 = 1_000_000_000;

/// A question that takes longer than half the time between two samples delays some of them: after it, none is asked
/// for so many times its length.
const REST_FOR_EACH_NS: i64 = 49;

/// Takes turns: one question at each sample, so that many cards do not delay one sample by all their answers.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: usize,
    round_ns: i64,
    rests_until_ns: i64,
}

impl Turns {
    /// Which of `count` questions is asked in the sample that is taken now, if one is.
    pub(super) fn take(&mut self, now_ns: i64, count: usize) -> Option<usize> {
        if self.next >= count {
            self.next = 0;
        }
        if now_ns < self.rests_until_ns || (self.next == 0 && now_ns < self.round_ns) {
            return None;
        }
        if self.next == 0 {
            self.round_ns = now_ns + ROUND_NS;
        }
        let turn = (count > 0).then_some(self.next);
        self.next += 1;
        turn
    }

    /// Notes how long the question took, of samples that are `period_ns` apart.
    pub(super) fn took(&mut self, from_ns: i64, to_ns: i64, period_ns: i64) {
        let took_ns = to_ns - from_ns;
        if 2 * took_ns > period_ns {
            self.rests_until_ns = to_ns + REST_FOR_EACH_NS * took_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// What is asked in the samples of so many seconds, at `hz`, if each answer takes 20 ms.
    fn asked(hz: i64, count: usize, seconds: i64) -> Vec<(i64, usize)> {
        let (mut turns, period) = (Turns::default(), 1_000_000_000 / hz);
        let samples = (0..seconds * hz).map(|i| i * period);
        let asked = samples.filter_map(|now| {
            let turn = turns.take(now, count)?;
            turns.took(now, now + 20 * MS, period);
            Some((now, turn))
        });
        asked.collect()
    }

    #[test]
    fn eight_cards_with_two_counters_each_are_asked_one_a_sample() {
        let asked = asked(10, 16, 16);
        assert_eq!(asked.len(), 160, "one a sample");
        assert!(asked.iter().enumerate().all(|(i, (_, turn))| *turn == i % 16));
    }

    #[test]
    fn one_card_is_asked_once_a_second() {
        let asked = asked(10, 2, 10);
        assert_eq!(asked.len(), 20);
        assert_eq!(asked[2], (1_000 * MS, 0));
    }

    /// At 100 Hz an answer of 20 ms costs two samples: less than three of a hundred are lost so.
    #[test]
    fn what_delays_a_sample_is_asked_once_a_second_in_all() {
        let asked = asked(100, 16, 16);
        assert_eq!(asked.len(), 16);
        assert_eq!(asked[1].1, 1);
    }

    #[test]
    fn none_is_asked_where_there_is_none() {
        assert_eq!(Turns::default().take(0, 0), None);
    }
}
