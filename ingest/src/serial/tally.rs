//! What goes wrong while a board is recorded, gathered into few rows of `health`.

use crate::source::{Context, Reason};

/// How long losses are gathered.
const LOSS_NS: i64 = 1_000_000_000;

/// How long repeated snapshots are gathered: they are no loss, but tell how often the board measures anew.
const REPEAT_NS: i64 = 10_000_000_000;

/// Counts of one board.
#[derive(Debug)]
pub(super) struct Tally {
    losses: [(Reason, u64, String); 3],
    losses_due_ns: i64,
    repeated: u64,
    samples: u64,
    repeated_due_ns: i64,
}

impl Tally {
    pub(super) fn new(now_ns: i64) -> Self {
        Self {
            losses: [Reason::Late, Reason::Timeout, Reason::Malformed]
                .map(|reason| (reason, 0, String::new())),
            losses_due_ns: now_ns + LOSS_NS,
            repeated: 0,
            samples: 0,
            repeated_due_ns: now_ns + REPEAT_NS,
        }
    }

    /// Counts samples that are lost; the detail given last stands for all of an interval.
    pub(super) fn lost(&mut self, reason: Reason, count: u64, detail: impl ToString) {
        if let Some(loss) = self.losses.iter_mut().find(|loss| loss.0 == reason) {
            loss.1 += count;
            loss.2 = detail.to_string();
        }
    }

    /// Counts a snapshot.
    pub(super) fn sampled(&mut self, repeated: bool) {
        self.samples += 1;
        self.repeated += u64::from(repeated);
    }

    /// Writes what is due.
    pub(super) fn flush(&mut self, context: &Context, now_ns: i64) {
        if now_ns >= self.losses_due_ns {
            self.losses_due_ns = now_ns + LOSS_NS;
            self.flush_losses(context);
        }
        if now_ns >= self.repeated_due_ns {
            self.repeated_due_ns = now_ns + REPEAT_NS;
            self.flush_repeated(context);
        }
    }

    /// Writes everything.
    pub(super) fn finish(&mut self, context: &Context) {
        self.flush_losses(context);
        self.flush_repeated(context);
    }

    fn flush_losses(&mut self, context: &Context) {
        for (reason, count, detail) in &mut self.losses {
            if *count > 0 {
                context.lost(*reason, *count, &*detail);
                *count = 0;
            }
        }
    }

    fn flush_repeated(&mut self, context: &Context) {
        if self.repeated > 0 {
            let detail = format!(
                "{} of {} snapshots were the same as the one before: the board measures anew less often than it is \
                 asked",
                self.repeated, self.samples
            );
            context.health(Reason::Repeated, self.repeated, detail);
        }
        (self.repeated, self.samples) = (0, 0);
    }
}
