//! Frame logs of PresentMon 1.x and 2.x, and of tools that write its columns (CapFrameX, OCAT, FrameView).
//!
//! | | 1.x | 2.x | 2.4 and later |
//! |---|---|---|---|
//! | present | `TimeInSeconds` | `CPUStartTime` + `CPUBusy` | `TimeInSeconds`, `TimeInMs` |
//! | frame time | `msBetweenPresents` | `FrameTime` | `MsBetweenPresents` |
//! | displayed for | `msBetweenDisplayChange` | `DisplayedTime` | `MsBetweenDisplayChange` |
//! | until displayed | `msUntilDisplayed` | `DisplayLatency` | `MsUntilDisplayed` |
//! | never shown | `Dropped` | `DisplayedTime` is `NA` | `MsUntilDisplayed` is `NA` |
//!
//! Source: the columns' descriptions in PresentMon's `README.md` (1.9.2) and `README-ConsoleApplication.md` (2.x).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::csv::{Header, Line};
use super::lines::Lines;
use super::{Frame, ImportError, ImportReport};

const FRAMETIME: [&str; 2] = ["msbetweenpresents", "frametime"];

/// Whether a line is the header of such a log.
pub(super) fn is_header(text: &str) -> bool {
    let header = Header::parse(text);
    let names = ["application", "msbetweenpresents", "swapchainaddress"];
    header.find(&FRAMETIME).is_some() && header.find(&names).is_some()
}

/// Reads all frames of a log.
pub(super) fn read(file: &Path, report: &mut ImportReport) -> Result<Vec<Frame>, ImportError> {
    let mut lines = Lines::open(file)?;
    let mut columns = None;
    let mut parsed = Vec::new();
    let mut names = HashMap::new();
    while let Some((number, text)) = lines.next().map_err(|e| ImportError::io(file, e))? {
        let text = String::from_utf8_lossy(text);
        // CapFrameX writes //Key=Value lines before the header.
        if text.trim().is_empty() || text.starts_with("//") {
            continue;
        }
        report.lines += 1;
        let Some(columns) = &columns else {
            if !is_header(&text) {
                let what = "the header names no column MsBetweenPresents or FrameTime: not a PresentMon log";
                return Err(ImportError::format(file, number, what));
            }
            columns = Some(Columns::new(Header::parse(&text)));
            continue;
        };
        match columns.frame(&text, &mut names) {
            Ok(frame) => parsed.push(frame),
            Err(why) => report.bad_line(file, number, why),
        }
    }
    match columns {
        None => Err(ImportError::format(file, 1, "the log is empty")),
        Some(columns) => Ok(place_in_time(parsed, columns.clock)),
    }
}

/// Where the columns are.
struct Columns {
    clock: Clock,
    application: Option<usize>,
    time: Option<usize>,
    frametime: Option<usize>,
    display: Option<usize>,
    cpu_busy: Option<usize>,
    gpu_busy: Option<usize>,
    latency: Option<usize>,
    dropped: Option<usize>,
    /// `NA` there says that a frame was not shown.
    shown: Option<usize>,
    header: Header,
}

/// What the log's time column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Seconds, of the present.
    PresentSeconds,
    /// Milliseconds, of the present.
    PresentMs,
    /// Milliseconds, of the start of the processor's work.
    CpuStartMs,
    /// The same in milliseconds or, in the first 2.x, seconds.
    CpuStart,
    /// Nothing that could be used: frame times are summed up.
    None,
}

const CLOCKS: [(&str, Clock); 6] = [
    ("timeinseconds", Clock::PresentSeconds),
    ("timeinms", Clock::PresentMs),
    ("cpustarttimeinms", Clock::CpuStartMs),
    ("cpustartqpctimeinms", Clock::CpuStartMs),
    ("cpustartqpctime", Clock::CpuStartMs),
    ("cpustarttime", Clock::CpuStart),
];

/// A frame, and its time as the log counts it.
struct Parsed {
    time: Option<f64>,
    frame: Frame,
}

impl Columns {
    fn new(header: Header) -> Self {
        let clock = CLOCKS.iter().find(|(name, _)| header.find(&[name]).is_some());
        let displayed = header.find(&["displayedtime"]);
        let latency = header.find(&["msuntildisplayed", "displaylatency"]);
        Self {
            clock: clock.map_or(Clock::None, |(_, clock)| *clock),
            application: header.find(&["application"]),
            time: clock.and_then(|(name, _)| header.find(&[name])),
            frametime: header.find(&FRAMETIME),
            display: header.find(&["msbetweendisplaychange"]).or(displayed),
            cpu_busy: header.find(&["mscpubusy", "cpubusy", "mscpuactive"]),
            gpu_busy: header.find(&["msgpubusy", "gpubusy", "msgpuactive"]),
            latency,
            dropped: header.find(&["dropped"]),
            shown: displayed.or(latency),
            header,
        }
    }

    fn frame(&self, text: &str, names: &mut HashMap<String, Arc<str>>) -> Result<Parsed, String> {
        let line = self.header.line(text)?;
        let number = |place| line.number(place);
        let dropped = self.dropped(&line)?;
        // 1.x writes 0 for a frame that was never shown.
        let if_shown = |value: Option<f64>| value.filter(|_| dropped != Some(true));
        let cpu_busy_ms = number(self.cpu_busy)?;
        let time = number(self.time)?;
        if self.time.is_some() && time.is_none() {
            return Err("the frame has no time".into());
        }
        Ok(Parsed {
            time,
            frame: Frame {
                at_ns: 0,
                application: line.text(self.application).map(|name| shared(name, names)),
                frametime_ms: number(self.frametime)?,
                display_ms: if_shown(number(self.display)?),
                cpu_busy_ms,
                gpu_busy_ms: number(self.gpu_busy)?,
                latency_ms: if_shown(number(self.latency)?),
                dropped,
                attrs: self.header.others(&line, &self.taken()),
            },
        })
    }

    fn dropped(&self, line: &Line) -> Result<Option<bool>, String> {
        match line.text(self.dropped) {
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(other) => Err(format!("Dropped is '{other}', neither 0 nor 1")),
            None => Ok(self.shown.map(|_| line.text(self.shown).is_none())),
        }
    }

    fn taken(&self) -> [Option<usize>; 8] {
        [
            self.application,
            self.time,
            self.frametime,
            self.display,
            self.cpu_busy,
            self.gpu_busy,
            self.latency,
            self.dropped,
        ]
    }
}

fn shared(name: &str, names: &mut HashMap<String, Arc<str>>) -> Arc<str> {
    match names.get(name) {
        Some(known) => Arc::clone(known),
        None => {
            let new: Arc<str> = name.into();
            names.insert(name.into(), Arc::clone(&new));
            new
        }
    }
}

/// Gives each frame its time since the first one.
fn place_in_time(parsed: Vec<Parsed>, clock: Clock) -> Vec<Frame> {
    let unit_ms = match clock {
        Clock::PresentSeconds => 1000.0,
        Clock::PresentMs | Clock::CpuStartMs => 1.0,
        Clock::CpuStart => cpu_start_unit_ms(&parsed),
        Clock::None => return sum_up(parsed),
    };
    let from_cpu_start = matches!(clock, Clock::CpuStart | Clock::CpuStartMs);
    let mut first_ms = None;
    let place = |parsed: Parsed| {
        let mut frame = parsed.frame;
        let busy_ms = frame.cpu_busy_ms.filter(|_| from_cpu_start).unwrap_or_default();
        let present_ms = parsed.time.unwrap_or_default() * unit_ms + busy_ms;
        let at_ms = present_ms - *first_ms.get_or_insert(present_ms);
        frame.at_ns = (at_ms * 1e6).round() as i64;
        frame
    };
    parsed.into_iter().map(place).collect()
}

/// Milliseconds of one unit of `CPUStartTime`: it advances by about one frame time a frame, in milliseconds or in
/// seconds.
fn cpu_start_unit_ms(parsed: &[Parsed]) -> f64 {
    let time = |at: Option<&Parsed>| at.and_then(|p| p.time).unwrap_or_default();
    let span = time(parsed.last()) - time(parsed.first());
    let frames_ms: f64 = parsed.iter().skip(1).filter_map(|p| p.frame.frametime_ms).sum();
    if span > 0.0 && frames_ms / span > 31.6 { 1000.0 } else { 1.0 }
}

/// Where a log has no time: the frame before is one frame time earlier.
fn sum_up(parsed: Vec<Parsed>) -> Vec<Frame> {
    let mut at_ms = 0.0;
    let place = |(i, parsed): (usize, Parsed)| {
        let mut frame = parsed.frame;
        if i > 0 {
            at_ms += frame.frametime_ms.unwrap_or_default();
        }
        frame.at_ns = (at_ms * 1e6f64).round() as i64;
        frame
    };
    parsed.into_iter().enumerate().map(place).collect()
}
