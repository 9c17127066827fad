//! The timeline of a session.
//!
//! Everything is stamped with `CLOCK_MONOTONIC`, which never steps. A session has one fixed [`Anchor`],
//! UTC minus monotonic as it was at the session's start, so that stamps read as wall time and stay
//! comparable to the nanosecond whatever the wall clock does afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `CLOCK_MONOTONIC` now, in nanoseconds.
pub fn monotonic_ns() -> i64 {
    read(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME` now, in nanoseconds since 1970.
pub fn realtime_ns() -> i64 {
    read(libc::CLOCK_REALTIME)
}

/// Through libc, so that a preloaded library can stand in for the machine's clocks, which no test may set.
fn read(clock: libc::clockid_t) -> i64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes one timespec; these clocks are on every Linux, so that it cannot fail.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// What ties a session's monotonic stamps to UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// UTC minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub utc_minus_monotonic_ns: i64,
    /// Bound of its error, in nanoseconds: half of the shortest time that reading both clocks took.
    pub err_ns: i64,
}

impl Anchor {
    /// Measures the anchor: the tightest of many readings counts.
    pub fn measure() -> Self {
        let best = ClockReading::take_best(200);
        Self { utc_minus_monotonic_ns: best.realtime_ns - best.monotonic_ns, err_ns: best.err_ns }
    }

    /// The stamp (`ts`, nanoseconds UTC) of a monotonic instant.
    pub fn ts(&self, monotonic_ns: i64) -> i64 {
        monotonic_ns + self.utc_minus_monotonic_ns
    }

    /// The monotonic instant of a stamp.
    pub fn monotonic(&self, ts: i64) -> i64 {
        ts - self.utc_minus_monotonic_ns
    }

    /// Whether stamps by it lie further from those by `now` than `step`.
    pub(crate) fn is_off(&self, now: Anchor, step: Duration) -> bool {
        let off_ns = self.utc_minus_monotonic_ns.abs_diff(now.utc_minus_monotonic_ns);
        u128::from(off_ns) > step.as_nanos()
    }

    /// The stamp of now.
    pub fn now(&self) -> i64 {
        self.ts(monotonic_ns())
    }
}

/// One reading of the host's clocks, a row of table `clock`.
#[derive(Debug, Clone, Copy)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC`, midway between the reads before and after the others.
    pub monotonic_ns: i64,
    /// `CLOCK_MONOTONIC_RAW`.
    pub monotonic_raw_ns: i64,
    /// `CLOCK_REALTIME`.
    pub realtime_ns: i64,
    /// `CLOCK_BOOTTIME`.
    pub boottime_ns: i64,
    /// Half the time between the two reads of `CLOCK_MONOTONIC`.
    pub err_ns: i64,
}

impl ClockReading {
    /// The best of so many readings: one that was interrupted has a wide bound.
    pub fn take_best(of: usize) -> Self {
        let mut best = Self::take();
        for _ in 1..of {
            let next = Self::take();
            if next.err_ns < best.err_ns {
                best = next;
            }
        }
        best
    }

    /// Reads all clocks between two reads of the monotonic one.
    pub fn take() -> Self {
        let before = read(libc::CLOCK_MONOTONIC);
        let realtime_ns = read(libc::CLOCK_REALTIME);
        let monotonic_raw_ns = read(libc::CLOCK_MONOTONIC_RAW);
        let boottime_ns = read(libc::CLOCK_BOOTTIME);
        let width = read(libc::CLOCK_MONOTONIC) - before;
        Self {
            monotonic_ns: before + width / 2,
            monotonic_raw_ns,
            realtime_ns,
            boottime_ns,
            err_ns: width / 2 + width % 2,
        }
    }
}

/// What NTP, or whatever else disciplines the wall clock, told the kernel of it (`adjtimex(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtpState {
    /// Whether the clock is synchronised: somebody disciplines it, and not too long ago.
    pub synchronised: bool,
    /// How far off it is, as that program estimates.
    pub est_error_ns: i64,
    /// How far off it can be at most. It grows by 500 ppm while nobody disciplines the clock, up to 16 s.
    pub max_error_ns: i64,
}

impl NtpState {
    /// Asks the kernel; none where it does not tell.
    pub fn read() -> Option<Self> {
        // SAFETY: all zeros is a value of it, and asks for nothing to be changed.
        let mut t: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: it writes one timex.
        let state = unsafe { libc::adjtimex(&mut t) };
        (state >= 0).then(|| Self {
            synchronised: t.status & libc::STA_UNSYNC == 0,
            // Both are microseconds, whatever the unit of the other fields.
            est_error_ns: t.esterror.saturating_mul(1_000),
            max_error_ns: t.maxerror.saturating_mul(1_000),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_of_now_is_the_wall_clock() {
        let anchor = Anchor::measure();
        assert!((anchor.now() - realtime_ns()).abs() < 50_000_000);
        assert!(anchor.err_ns < 1_000_000, "{anchor:?}");
        assert_eq!(anchor.monotonic(anchor.ts(42)), 42);
    }
}
