//! Table `clock`: the host's clocks.

use bl_store::clock::ClockReading;

use crate::source::{Context, Reason, Source, SourceError, SourceState, Ticker, rows_of};

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
        let mut last: Option<ClockReading> = None;
        let mut log = || {
            let clocks = tightest();
            if let Some(last) = last.replace(clocks) {
                if let Some(slept_ns) = slept_ns(&last, &clocks) {
                    context.health(Reason::Suspended, 0, told_sleep(slept_ns));
                }
                if let Some(step_ns) = step_ns(&last, &clocks) {
                    context.health(Reason::ClockStep, 0, told(step_ns));
                }
            }
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

/// For how long the machine slept between two readings: `CLOCK_BOOTTIME` counts that and `CLOCK_MONOTONIC` does not
/// (`clock_gettime(2)`).
fn slept_ns(before: &ClockReading, after: &ClockReading) -> Option<i64> {
    let asleep_ns = |r: &ClockReading| r.boottime_ns - r.monotonic_ns;
    let slept_ns = asleep_ns(after) - asleep_ns(before);
    (slept_ns > before.err_ns + after.err_ns).then_some(slept_ns)
}

/// By how much the wall clock was set between two readings, beside the time that the machine slept; none where it was at
/// most slewed, which Linux does by up to 500 ppm (`adjtimex(2)`).
fn step_ns(before: &ClockReading, after: &ClockReading) -> Option<i64> {
    let offset_ns = |r: &ClockReading| r.realtime_ns - r.boottime_ns;
    let slewed_ns = (after.monotonic_ns - before.monotonic_ns) / 2_000;
    let step_ns = offset_ns(after) - offset_ns(before);
    (step_ns.abs() > before.err_ns + after.err_ns + slewed_ns).then_some(step_ns)
}

fn told_sleep(slept_ns: i64) -> String {
    let seconds = slept_ns as f64 / 1e9;
    format!("the machine slept for {seconds:.3} s; stamps lag the wall clock by that from here on")
}

fn told(step_ns: i64) -> String {
    let direction = if step_ns < 0 { "back" } else { "forward" };
    let seconds = step_ns.unsigned_abs() as f64 / 1e9;
    format!("the wall clock was set {direction} by {seconds:.3} s; stamps go on as before")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour of sleep: the wall clock goes on, was it set or not.
    #[test]
    fn sleep_is_no_step() {
        let hour_ns = 3_600_000_000_000;
        let before = reading(0, 1_000_000_000_000);
        let after = |set_ns: i64| {
            let awake = reading(10_000_000_000, 1_010_000_000_000 + hour_ns + set_ns);
            ClockReading { boottime_ns: awake.boottime_ns + hour_ns, ..awake }
        };
        assert_eq!(slept_ns(&before, &after(0)), Some(hour_ns));
        assert_eq!(step_ns(&before, &after(0)), None);
        assert_eq!(step_ns(&before, &after(-3_000_000_000)), Some(-3_000_000_000));
        assert_eq!(slept_ns(&before, &reading(10_000_000_000, 0)), None);
        let told = told_sleep(hour_ns);
        assert!(told.starts_with("the machine slept for 3600.000 s"), "{told}");
    }

    fn reading(monotonic_ns: i64, realtime_ns: i64) -> ClockReading {
        ClockReading {
            monotonic_ns,
            monotonic_raw_ns: monotonic_ns,
            realtime_ns,
            boottime_ns: monotonic_ns,
            err_ns: 100,
        }
    }

    #[test]
    fn a_step_is_more_than_slewing_can_do() {
        let before = reading(0, 1_000_000_000_000);
        let after = |offset_ns: i64| reading(10_000_000_000, 1_010_000_000_000 + offset_ns);
        assert_eq!(step_ns(&before, &after(4_000_000)), None);
        assert_eq!(step_ns(&before, &after(-6_000_000)), Some(-6_000_000));
        assert_eq!(
            told(-6_000_000),
            "the wall clock was set back by 0.006 s; stamps go on as before"
        );
    }
}
