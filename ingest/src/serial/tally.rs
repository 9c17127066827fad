//! What goes wrong while a board is recorded, gathered into few rows of `health`.

use super::protocol::{Field, OddReading};
use super::refresh::Period;
use crate::source::{Context, Reason};

/// How long losses are gathered.
const LOSS_NS: i64 = 1_000_000_000;

/// How long repeated snapshots are gathered: they are no loss, but tell how often the board measures anew.
const REPEAT_NS: i64 = 10_000_000_000;

/// Counts of one board.
#[derive(Debug)]
pub(super) struct Tally {
    uid: String,
    losses: [(Reason, u64, String); 3],
    losses_due_ns: i64,
    repeated: u64,
    samples: u64,
    repeated_due_ns: i64,
    /// Fields that were odd, and how often since that was told.
    odd: Vec<(Field, u64)>,
}

impl Tally {
    pub(super) fn new(uid: &str, now_ns: i64) -> Self {
        Self {
            uid: uid.to_owned(),
            odd: Vec::new(),
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

    /// Counts readings that cannot be: each field is told when that happens first, and once more with the rest of its
    /// count at the end of the connection.
    pub(super) fn odd(&mut self, context: &Context, odd: &[OddReading]) {
        for reading in odd {
            match self.odd.iter_mut().find(|(field, _)| *field == reading.field) {
                Some((_, count)) => *count += 1,
                None => {
                    let detail = format!(
                        "{}: {reading}: null in this row and wherever it comes again; the rest of the row is kept",
                        self.uid
                    );
                    context.health(Reason::OddReading, 1, detail);
                    self.odd.push((reading.field, 0));
                }
            }
        }
    }

    /// Writes what is due; tells whether a second was over.
    pub(super) fn flush(&mut self, context: &Context, now_ns: i64, period: Option<Period>) -> bool {
        if now_ns >= self.repeated_due_ns {
            self.repeated_due_ns = now_ns + REPEAT_NS;
            self.flush_repeated(context, period);
        }
        let is_due = now_ns >= self.losses_due_ns;
        if is_due {
            self.losses_due_ns = now_ns + LOSS_NS;
            self.flush_losses(context);
        }
        is_due
    }

    /// Writes everything.
    pub(super) fn finish(&mut self, context: &Context, period: Option<Period>) {
        self.flush_losses(context);
        self.flush_repeated(context, period);
        for (field, count) in self.odd.drain(..).filter(|(_, count)| *count > 0) {
            let detail = format!("{}: {field} was null in {count} more rows", self.uid);
            context.health(Reason::OddReading, count, detail);
        }
    }

    fn flush_losses(&mut self, context: &Context) {
        for (reason, count, detail) in &mut self.losses {
            if *count > 0 {
                context.lost(*reason, *count, &*detail);
                *count = 0;
            }
        }
    }

    fn flush_repeated(&mut self, context: &Context, period: Option<Period>) {
        if self.repeated > 0 {
            let often = match period {
                None => "the board measures anew less often than it is asked".to_owned(),
                Some(Period { ns, err_ns }) => format!(
                    "the board measures anew every {:.1} ms (+/- {:.1} ms)",
                    ns as f64 / 1e6,
                    err_ns as f64 / 1e6
                ),
            };
            let detail = format!(
                "{} of {} snapshots were the same as the one before: {often}",
                self.repeated, self.samples
            );
            context.health(Reason::Repeated, self.repeated, detail);
        }
        (self.repeated, self.samples) = (0, 0);
    }
}
