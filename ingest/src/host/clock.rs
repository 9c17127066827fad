//! Table `clock`: the host's clocks.

use bl_store::clock::ClockReading;

use crate::source::{Context, Source, SourceError, SourceState, Ticker, rows_of};

const NAME: &str = "host.clock";

/// Reads all clocks of the host every ten seconds, and at the start and the end of a recording, so that drift and
/// steps of the wall clock, and time suspended, can be seen afterwards.
#[derive(Debug, Default)]
pub struct ClockSource(());

impl ClockSource {
    /// Reads the clocks of the machine it runs on.
    pub fn new() -> Self {
        Self(())
    }
}

impl Source for ClockSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut rows = rows_of("clock");
        let columns = ["monotonic_ns", "monotonic_raw_ns", "realtime_ns", "boottime_ns", "err_ns"]
            .map(|name| rows.column(name));
        let mut log = || {
            let clocks = tightest();
            let values = [
                clocks.monotonic_ns,
                clocks.monotonic_raw_ns,
                clocks.realtime_ns,
                clocks.boottime_ns,
                clocks.err_ns,
            ];
            rows.begin(context.anchor().ts(clocks.monotonic_ns), NAME);
            for (column, value) in columns.iter().zip(values) {
                rows.i64(*column, value);
            }
            context.flush(&mut rows);
        };
        context.status().set_state(SourceState::Up, "every 10 s");
        log();
        let mut ticker = Ticker::new(0.1);
        while ticker.wait(context.stop()).is_some() {
            log();
        }
        log();
        Ok(())
    }
}

/// The best of a few readings: one that was interrupted has a wide bound.
fn tightest() -> ClockReading {
    let mut best = ClockReading::take();
    for _ in 0..15 {
        let next = ClockReading::take();
        if next.err_ns <= best.err_ns {
            best = next;
        }
    }
    best
}
