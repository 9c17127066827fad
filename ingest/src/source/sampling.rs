//! The loop of every source that samples at a fixed rate.

use bl_store::Rows;

use super::{Context, Faults, Reason, SourceError, Ticker};

/// Calls `sample` `hz` times a second until stopping, counts the deadlines that were missed, and tells the faults
/// that `sample` notes.
///
/// # Errors
/// The first error of `sample` ends it.
pub fn sample_at(
    context: &Context,
    hz: f64,
    mut sample: impl FnMut(&mut Faults) -> Result<(), SourceError>,
) -> Result<(), SourceError> {
    let mut faults = Faults::default();
    let mut ticker = Ticker::new(hz);
    let mut outcome = Ok(());
    while let Some(missed) = ticker.wait(context.stop()) {
        if missed > 0 {
            context.lost(Reason::Late, missed, format!("samples not taken at {hz} Hz"));
        }
        outcome = sample(&mut faults);
        if outcome.is_err() {
            break;
        }
        faults.tell(context);
    }
    faults.tell_all(context);
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
