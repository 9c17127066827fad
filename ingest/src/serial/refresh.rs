//! How often a board measures anew, as its repeated snapshots tell.

/// So many snapshots that differ from the one before, and the period can be told.
const ENOUGH: u32 = 20;

/// Learns a board's refresh period from which of its snapshots repeat the one before.
///
/// A change shows in the first snapshot after it, so that it is seen up to one sampling period late. Over a stretch of
/// changes without a hole these errors cancel but for the first and the last one's. A hole that is shorter than the board
/// has been seen to stay the same hides no change, and ends no stretch. Two measurements that happen to be
/// the same in every channel look like one: then the period learned is too long, which noise on some twenty rails makes
/// rare.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    /// The snapshot before.
    before_ns: Option<i64>,
    /// Since when the snapshots have been the same, and for how long they have been at most.
    same_since_ns: i64,
    longest_same_ns: i64,
    stretch: Option<Stretch>,
    repeats: u64,
    changes: u32,
    span_ns: i64,
    err_ns: i64,
}

/// Changes without a hole between them: when the last one was seen, and how late it and the first one were at most.
#[derive(Debug)]
struct Stretch {
    last_ns: i64,
    last_late_ns: i64,
    first_late_ns: i64,
}

impl Stretch {
    /// How far the time from its first to its last change may be from the truth.
    fn err_ns(&self) -> i64 {
        self.first_late_ns.max(self.last_late_ns)
    }
}

/// A period, and how far from it the true one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub ns: i64,
    pub err_ns: i64,
}

impl Refresh {
    /// Notes a snapshot, whether it repeats the one before, and whether others are missing between the two.
    pub fn note(&mut self, at_ns: i64, repeats: bool, after_hole: bool) {
        let Some(before_ns) = self.before_ns.replace(at_ns) else {
            self.same_since_ns = at_ns;
            return;
        };
        if repeats {
            self.repeats += 1;
            // A hole may hide that it changed twice; that it looks the same after it is chance then.
            if !after_hole {
                self.longest_same_ns = self.longest_same_ns.max(at_ns - self.same_since_ns);
            }
            return;
        }
        self.same_since_ns = at_ns;
        let late_ns = at_ns - before_ns;
        if after_hole && late_ns > self.longest_same_ns {
            self.err_ns += self.stretch.take().map_or(0, |stretch| stretch.err_ns());
        } else {
            self.change(at_ns, late_ns);
        }
    }

    fn change(&mut self, at_ns: i64, late_ns: i64) {
        match &mut self.stretch {
            None => {
                let (last_late_ns, first_late_ns) = (late_ns, late_ns);
                self.stretch = Some(Stretch { last_ns: at_ns, last_late_ns, first_late_ns });
            }
            Some(stretch) => {
                self.span_ns += at_ns - stretch.last_ns;
                (stretch.last_ns, stretch.last_late_ns) = (at_ns, late_ns);
                self.changes += 1;
            }
        }
    }

    /// The period; `None` while too little is known, and of a board that measures anew as often as it is asked.
    pub fn period(&self) -> Option<Period> {
        let changes = i64::from(self.changes);
        let err_ns = self.err_ns + self.stretch.as_ref().map_or(0, Stretch::err_ns);
        (self.repeats > 0 && self.changes >= ENOUGH)
            .then(|| Period { ns: self.span_ns / changes, err_ns: err_ns / changes + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    /// Asks a board of period `refresh_ns` each `asked_ns`, and loses some replies.
    fn learn(refresh_ns: i64, asked_ns: i64, jitter: impl Fn(i64) -> i64, lost: &[i64]) -> Refresh {
        let mut refresh = Refresh::default();
        let (mut before, mut after_hole) = (None, false);
        for i in 0..400 {
            if lost.contains(&i) {
                after_hole = true;
                continue;
            }
            let at_ns = i * asked_ns + jitter(i);
            let snapshot = at_ns.div_euclid(refresh_ns);
            refresh.note(at_ns, before == Some(snapshot), std::mem::take(&mut after_hole));
            before = Some(snapshot);
        }
        refresh
    }

    #[test]
    fn nothing_is_claimed_of_a_board_that_keeps_up() {
        assert_eq!(learn(5 * MS, 10 * MS, |_| 0, &[]).period(), None);
        let mut young = Refresh::default();
        (0..20).for_each(|i| young.note(i, i % 2 == 0, false));
        assert_eq!(young.period(), None, "too few");
    }

    proptest! {
        /// The true period lies within the error, whatever the rates, the jitter and the holes.
        #[test]
        fn the_true_period_is_within_the_error(
            refresh_ms in 12i64..150, jitter_us in prop::collection::vec(0i64..1_500, 400),
            lost in prop::collection::vec(0i64..400, 0..120),
        ) {
            let jitter = |i: i64| jitter_us[i as usize] * 1_000;
            let learned = learn(refresh_ms * MS, 10 * MS, jitter, &lost).period();
            let Some(Period { ns, err_ns }) = learned else {
                // Too few changes in four seconds, or too many holes: that is not known, and no error.
                prop_assert!(refresh_ms > 120 || lost.len() > 20);
                return Ok(());
            };
            prop_assert!((ns - refresh_ms * MS).abs() <= err_ns, "{ns} +/- {err_ns}");
        }
    }
}
