//! The loop of every source that samples at a fixed rate.

use std::time::Duration;

use bl_store::Rows;

use super::{Context, Faults, Reason, SourceError, Ticker};

/// How long rows wait at most to be handed over together: at high rates, handing over costs more than sampling.
const TOGETHER_S: f64 = 0.05;

/// One deadline of [`sample_at`].
#[derive(Debug)]
pub struct Tick {
    /// Where the sample notes what went wrong.
    pub faults: Faults,
    hands_over: bool,
}

impl Tick {
    /// Hands rows to the store, if it is time to.
    pub fn flush(&self, context: &Context, rows: &mut Rows) {
        if self.hands_over {
            context.flush(rows);
        }
    }
}

/// Calls `sample` `hz` times a second until stopping and once more then, counts the deadlines that were missed, and
/// tells the faults that `sample` notes. The watchdog sees a call that hangs.
///
/// # Errors
/// The first error of `sample` ends it; the rows that it has then are its own to hand over.
pub fn sample_at(
    context: &Context,
    hz: f64,
    mut sample: impl FnMut(&mut Tick) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let together = (hz * TOGETHER_S).max(1.0) as u64;
    let mut tick = Tick { faults: Faults::default(), hands_over: false };
    let mut ticker = Ticker::new(hz);
    let mut count = 0;
    let outcome = loop {
        if let Some(missed @ 1..) = ticker.wait(context.stop()) {
            context.lost(Reason::Late, missed, format!("samples not taken at {hz} Hz"));
        }
        let last = context.stopping();
        count += 1;
        tick.hands_over = last || count % together == 0;
        let outcome = context.watched(Duration::ZERO, || sample(&mut tick));
        if last || outcome.is_err() {
            break outcome;
        }
        tick.faults.tell(context);
    };
    tick.faults.tell_all(context);
    outcome
}

/// The table of that name, empty.
///
/// # Panics
/// When there is no such table: a slip in our own code, found by any test that runs it.
#[allow(clippy::panic)]
pub(crate) fn rows_of(table: &str) -> Rows {
    match bl_schemas::table(table) {
        Some(table) => Rows::new(table),
        None => panic!("no table {table}"),
    }
}
