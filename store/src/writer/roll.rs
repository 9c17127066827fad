//! When a session goes on in a new part.

use std::fmt;
use std::time::{Duration, Instant};

use super::WriteOptions;
use crate::clock::{Anchor, ClockReading};

/// A sleep that is shorter changes no answer.
const SLEEP_NS: i64 = 10_000_000;

/// Why a session goes on in a new part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The machine slept for so many nanoseconds.
    Slept(i64),
    /// The wall clock was set by so many nanoseconds.
    Stepped(i64),
    /// It has lasted so long.
    Lasted(Duration),
}

/// Watches the clocks of a session that is being recorded.
#[derive(Debug)]
pub(super) struct Watch {
    anchor: Anchor,
    /// `CLOCK_BOOTTIME` minus `CLOCK_MONOTONIC` when it began: the time that the machine had slept by then.
    asleep_ns: i64,
    since: Instant,
}

impl Watch {
    /// Begins with a part of that anchor.
    pub fn on(anchor: Anchor) -> Self {
        let reading = ClockReading::take_best(16);
        let asleep_ns = reading.boottime_ns - reading.monotonic_ns;
        Self { anchor, asleep_ns, since: Instant::now() }
    }

    /// Why the part should end now, if it should.
    pub fn look(&self, options: &WriteOptions) -> Option<Cause> {
        self.judge(&ClockReading::take_best(3), self.since.elapsed(), options)
    }

    fn judge(&self, now: &ClockReading, age: Duration, options: &WriteOptions) -> Option<Cause> {
        let slept_ns = now.boottime_ns - now.monotonic_ns - self.asleep_ns;
        if slept_ns > SLEEP_NS + now.err_ns {
            return Some(Cause::Slept(slept_ns));
        }
        // The monotonic clock is slewed with the wall clock, so that nothing but a step parts them.
        let off_ns = now.realtime_ns - self.anchor.ts(now.monotonic_ns);
        let limit_ns = i64::try_from(options.roll_step.as_nanos()).unwrap_or(i64::MAX);
        if off_ns.abs().saturating_sub(now.err_ns) > limit_ns {
            return Some(Cause::Stepped(off_ns));
        }
        options.roll_after.filter(|after| age >= *after).map(|_| Cause::Lasted(age))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slept(ns) => write!(f, "the machine slept for {:.3} s", *ns as f64 / 1e9),
            Self::Stepped(ns) => {
                let way = if *ns < 0 { "back" } else { "forward" };
                let seconds = ns.unsigned_abs() as f64 / 1e9;
                write!(f, "the wall clock was set {way} by {seconds:.3} s")
            }
            Self::Lasted(age) => write!(f, "it had lasted for {:.0} s", age.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_steps_and_age_end_a_part() {
        let anchor = Anchor { utc_minus_monotonic_ns: 1_000, err_ns: 0 };
        let watch = Watch { anchor, asleep_ns: 5, since: Instant::now() };
        let options = WriteOptions::default();
        let second = 1_000_000_000;
        let judge = |slept_ns: i64, off_ns: i64, age: u64| {
            let now = ClockReading {
                monotonic_ns: 100 * second,
                monotonic_raw_ns: 0,
                realtime_ns: 100 * second + 1_000 + slept_ns + off_ns,
                boottime_ns: 100 * second + 5 + slept_ns,
                err_ns: 1_000,
            };
            watch.judge(&now, Duration::from_secs(age), &options)
        };
        assert_eq!(judge(0, 0, 86_399), None);
        assert_eq!(judge(0, 9 * second, 0), None);
        assert_eq!(judge(0, -11 * second, 0), Some(Cause::Stepped(-11 * second)));
        assert_eq!(judge(3_600 * second, 0, 0), Some(Cause::Slept(3_600 * second)));
        assert_eq!(judge(0, 0, 86_400), Some(Cause::Lasted(Duration::from_secs(86_400))));
        let told = Cause::Stepped(-11 * second).to_string();
        assert_eq!(told, "the wall clock was set back by 11.000 s");
    }
}
