//! When the frames of a PresentMon log were: its time columns, of all versions.
//!
//! | column | counts | of |
//! |---|---|---|
//! | `TimeInSeconds` | seconds; milliseconds under `--qpc_time_ms`; in 1.x a date under `-date_time` | present |
//! | `TimeInMs` | milliseconds | present |
//! | `TimeInQPC`, in 1.x `QPCTime` | ticks of the performance counter | present |
//! | `TimeInDateTime` | local date and time | present |
//! | `CPUStartTimeInSeconds` | seconds | start |
//! | `CPUStartTimeInMs`, `CPUStartQPCTimeInMs`, `CPUStartQPCTime` | milliseconds | start |
//! | `CPUStartTime` | milliseconds, or seconds | start |
//! | `CPUStartQPC` | ticks | start |
//! | `CPUStartDateTime` | local date and time | start |
//!
//! A start is that of the processor's work on the frame; `CPUBusy` later, the frame is presented. Where a name leaves the
//! unit open, the frame times tell it: within a stream, the time of one frame and the next differ by a frame time.
//!
//! Source: `PresentMon/CsvOutput.cpp`, `WriteCsvHeader` and `WriteCsvRow`.

use std::collections::HashMap;

use jiff::civil;
use jiff::tz::TimeZone;

use super::Parsed;
use crate::import::csv::{Header, Line};
use crate::import::frames::Stream;
use crate::import::{Began, local_time};

/// The rate of the performance counter since Windows 10 1903 (Microsoft, "Acquiring high-resolution time stamps").
const QPC_HZ: f64 = 10e6;

/// Dates are counted from one reading of the wall clock, which may be as old as a tick of Windows (1/64 s).
const DATE_ERR_NS: i64 = 15_625_000;

/// A rate that the frame times tell is taken for [`QPC_HZ`] if it is as near.
const SAME_RATE: f64 = 1e-3;

/// Steps of frames that are this near to each other, relatively, tell the same rate.
const SAME_STEP: f64 = 0.01;

/// What a time is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The present.
    Present,
    /// The start of the processor's work.
    CpuStart,
}

/// What a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    /// Either; if nothing tells which, the one that is given in milliseconds.
    Open {
        usual_ms: u16,
    },
    Ticks,
}

const CLOCKS: [(&str, Of, Unit); 12] = [
    ("timeinseconds", Of::Present, Unit::Open { usual_ms: 1000 }),
    ("timeinms", Of::Present, Unit::Milliseconds),
    ("timeinqpc", Of::Present, Unit::Ticks),
    ("timeindatetime", Of::Present, Unit::Seconds),
    ("qpctime", Of::Present, Unit::Ticks),
    ("cpustarttimeinseconds", Of::CpuStart, Unit::Seconds),
    ("cpustarttimeinms", Of::CpuStart, Unit::Milliseconds),
    ("cpustartqpctimeinms", Of::CpuStart, Unit::Milliseconds),
    ("cpustartqpctime", Of::CpuStart, Unit::Milliseconds),
    ("cpustarttime", Of::CpuStart, Unit::Open { usual_ms: 1 }),
    ("cpustartqpc", Of::CpuStart, Unit::Ticks),
    ("cpustartdatetime", Of::CpuStart, Unit::Seconds),
];

/// The time column of a log.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// Its name in small letters.
    name: &'static str,
    /// Its place.
    pub column: usize,
    /// What its times are of.
    pub of: Of,
    unit: Unit,
}

/// A time as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// A count of the clock's unit.
    Count(f64),
    /// A date and time, as nanoseconds from 1970 on if it were UTC.
    Local(i64),
}

impl Clock {
    /// The best time column of a log: presents before starts.
    pub fn find(header: &Header) -> Option<Self> {
        let found = CLOCKS.iter().find_map(|clock| Some((clock, header.find(&[clock.0])?)));
        found.map(|(&(name, of, unit), column)| Self { name, column, of, unit })
    }

    /// The time of a row.
    pub fn time(&self, line: &Line) -> Result<Time, String> {
        let text = line.text(Some(self.column)).ok_or("the frame has no time")?;
        match text.parse::<f64>() {
            Ok(count) if count.is_finite() => Ok(Time::Count(count)),
            _ => local_ns(text).map(Time::Local).ok_or_else(|| format!("'{text}' is no time")),
        }
    }
}

/// `2026-1-31 7:02:03.123456789`.
fn local_ns(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut date = date.splitn(3, '-').map(str::parse::<i16>);
    let mut next = || date.next()?.ok();
    let (year, month, day) = (next()?, next()?, next()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':').map(str::parse::<i8>);
    let mut next = || time.next()?.ok();
    let (hour, minute, second) = (next()?, next()?, next()?);
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ns = format!("{fraction:0<9}").parse().ok()?;
    let (month, day) = (month.try_into().ok()?, day.try_into().ok()?);
    let local = civil::DateTime::new(year, month, day, hour, minute, second, ns).ok()?;
    let as_utc = TimeZone::UTC.to_timestamp(local).ok()?;
    i64::try_from(as_utc.as_nanosecond()).ok()
}

/// Gives each frame its time since the log's earliest present; tells when that was where the log does.
///
/// # Errors
/// Why the times cannot be told.
pub(super) fn place(
    parsed: &mut [Parsed],
    clock: Option<&Clock>,
    qpc_hz: Option<f64>,
) -> Result<Option<Began>, String> {
    let Some(clock) = clock else { return sum_up(parsed).map(|()| None) };
    let Some(origin) = parsed.first().and_then(|first| first.time) else { return Ok(None) };
    let ns_per_unit = match origin {
        Time::Count(_) => ns_per_unit(parsed, clock, qpc_hz)?,
        Time::Local(_) => 1.0,
    };
    for Parsed { time, frame, .. } in parsed.iter_mut() {
        let since_origin_ns = match (time, origin) {
            (Some(Time::Count(time)), Time::Count(origin)) => (*time - origin) * ns_per_unit,
            (Some(Time::Local(time)), Time::Local(origin)) => time.saturating_sub(origin) as f64,
            _ => return Err("some frames have a date for a time, others a count".into()),
        };
        let busy_ms = frame.cpu_busy_ms.filter(|_| clock.of == Of::CpuStart);
        frame.at_ns = (since_origin_ns + busy_ms.unwrap_or_default() * 1e6).round() as i64;
    }
    let earliest_ns = parsed.iter().map(|parsed| parsed.frame.at_ns).min().unwrap_or_default();
    for Parsed { frame, .. } in parsed.iter_mut() {
        frame.at_ns = frame.at_ns.saturating_sub(earliest_ns);
    }
    match origin {
        Time::Count(_) => Ok(None),
        Time::Local(origin) => Ok(began(origin.saturating_add(earliest_ns))),
    }
}

/// When a log began that writes local time: this machine's, as nothing tells another one.
fn began(local_ns: i64) -> Option<Began> {
    let local = jiff::Timestamp::from_nanosecond(local_ns.into()).ok()?;
    let ns = local_time::utc_ns(TimeZone::UTC.to_datetime(local))?;
    Some(Began { ns, err_ns: DATE_ERR_NS, from: "its dates, in this machine's time zone" })
}

/// Nanoseconds of one unit of the clock.
fn ns_per_unit(parsed: &[Parsed], clock: &Clock, qpc_hz: Option<f64>) -> Result<f64, String> {
    match clock.unit {
        Unit::Seconds => Ok(1e9),
        Unit::Milliseconds => Ok(1e6),
        Unit::Open { usual_ms } => {
            let mut units_per_ms =
                Vec::from_iter(steps(parsed, clock).map(|(units, ms)| units / ms));
            let is_ms = match median(&mut units_per_ms) {
                // Half way between 1 and 1000, as ratios go.
                Some(units_per_ms) => units_per_ms > 0.0316,
                None => usual_ms == 1,
            };
            Ok(if is_ms { 1e6 } else { 1e9 })
        }
        Unit::Ticks => ticks_hz(parsed, clock, qpc_hz).map(|hz| 1e9 / hz),
    }
}

/// The rate of the performance counter: the one that was told, else the one that the frame times tell.
fn ticks_hz(parsed: &[Parsed], clock: &Clock, told_hz: Option<f64>) -> Result<f64, String> {
    let steps: Vec<(f64, f64)> = steps(parsed, clock).collect();
    let mut rates: Vec<f64> = steps.iter().map(|(ticks, ms)| ticks / ms).collect();
    let found = median(&mut rates).and_then(|middle| {
        let is_near = |(ticks, ms): &&(f64, f64)| (ticks / ms / middle - 1.0).abs() < SAME_STEP;
        let (mut ticks, mut ms, mut near) = (0.0, 0.0, 0);
        for (more_ticks, more_ms) in steps.iter().filter(is_near) {
            (ticks, ms, near) = (ticks + more_ticks, ms + more_ms, near + 1);
        }
        (near >= 2 && near * 2 > steps.len()).then_some(ticks / ms * 1e3)
    });
    let name = clock.name;
    match (told_hz, found) {
        (Some(told), Some(found)) if (found / told - 1.0).abs() > SAME_STEP => Err(format!(
            "{told} ticks of {name} a second were told, but by the frame times it has {found:.0}"
        )),
        (Some(told), _) => Ok(told),
        (None, Some(found)) if (found / QPC_HZ - 1.0).abs() < SAME_RATE => Ok(QPC_HZ),
        (None, Some(found)) => Ok(found),
        (None, None) => Err(format!(
            "{name} counts ticks of a counter whose rate the log does not tell, and its frame times do not confirm any: \
             tell it with --qpc-hz (10000000 on Windows 10 and later)"
        )),
    }
}

/// Pairs of neighbours in a stream: by how many units their times differ, and by how many milliseconds they should.
fn steps<'a>(parsed: &'a [Parsed], clock: &Clock) -> impl Iterator<Item = (f64, f64)> + use<'a> {
    let mut before: HashMap<&Stream, (f64, Option<f64>)> = HashMap::new();
    let of = clock.of;
    parsed.iter().filter_map(move |parsed| {
        let Some(Time::Count(time)) = parsed.time else { return None };
        let last = before.insert(&parsed.frame.stream, (time, parsed.step_ms));
        let (before, step_ms) = last?;
        let ms = if of == Of::Present { parsed.step_ms } else { step_ms };
        ms.map(|ms| (time - before, ms)).filter(|(units, ms)| *units > 0.0 && *ms > 0.0)
    })
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Where a log has no time: the frame before is one frame time earlier.
fn sum_up(parsed: &mut [Parsed]) -> Result<(), String> {
    let mut at_ms = 0.0;
    let first = parsed.first().map(|parsed| parsed.frame.stream.clone());
    for (i, Parsed { frame, .. }) in parsed.iter_mut().enumerate() {
        if first.as_ref() != Some(&frame.stream) {
            return Err(format!(
                "the log has no time column and several streams of frames ({} and {}): nothing tells where they lie \
                 beside each other",
                first.unwrap_or_default(),
                frame.stream
            ));
        }
        if i > 0 {
            at_ms += frame.frametime_ms.unwrap_or_default();
        }
        frame.at_ns = (at_ms * 1e6f64).round() as i64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        // The seconds of that instant by `date -u -d '2026-01-31 07:02:03' +%s`.
        let expected = Some(1_769_842_923_000_000_042);
        assert_eq!(local_ns("2026-1-31 7:02:03.000000042"), expected);
        assert_eq!(local_ns("2026-01-31T07:02:03.000000042"), expected);
        for wrong in ["", "2026-1-31", "2026-13-1 0:0:0", "2026-1-31 7:02", "2026-1-31 7:02:03.x"] {
            assert_eq!(local_ns(wrong), None, "{wrong}");
        }
    }
}
