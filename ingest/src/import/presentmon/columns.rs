//! The columns of a PresentMon log.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::clock::{Clock, Of};
use super::{FRAMETIME, Parsed};
use crate::import::csv::{Header, Line};
use crate::import::{Frame, frames::Stream};

/// What OCAT tells about the system, in the first row only (OCAT, `PresentMon`'s `PresentMon.cpp`).
const SYSTEM: [&str; 11] = [
    "motherboard",
    "os",
    "processor",
    "system ram",
    "base driver version",
    "driver package",
    "gpu #",
    "gpu",
    "gpu core clock (mhz)",
    "gpu memory clock (mhz)",
    "gpu memory (mb)",
];

/// Where the columns are.
pub(super) struct Columns {
    clock: Option<Clock>,
    application: Option<usize>,
    pid: Option<usize>,
    swapchain: Option<usize>,
    frametime: Option<usize>,
    /// From one start of the processor's work to the next.
    between_starts: Option<usize>,
    display: Option<usize>,
    cpu_busy: Option<usize>,
    gpu_busy: Option<usize>,
    latency: Option<usize>,
    display_latency: Option<usize>,
    animation_error: Option<usize>,
    click_to_photon: Option<usize>,
    dropped: Option<usize>,
    /// `NA` there says that a frame was not shown.
    shown: Option<usize>,
    /// Has no meaning.
    void: Option<usize>,
    header: Header,
}

/// Names, each kept once.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        match self.0.get(name) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = name.into();
                self.0.insert(Arc::clone(&new));
                new
            }
        }
    }
}

impl Columns {
    pub fn new(mut header: Header) -> Self {
        header.allow_missing_tail(&[&SYSTEM[..], &["comment"]].concat());
        let clock = Clock::find(&header);
        let displayed = header.find(&["displayedtime"]);
        let application = header.find(&["application"]);
        let until_displayed = header.find(&["msuntildisplayed"]);
        // CapFrameX's layer for Linux has no such stamps: it repeats the frame time there (capframex-linux,
        // `data_export.c`; its README calls the column reserved).
        let is_linux_layer = application.is_none() && clock.is_none();
        let (latency, void) = match is_linux_layer {
            true => (None, until_displayed),
            false => (until_displayed, None),
        };
        let display_latency = header.find(&["displaylatency"]);
        Self {
            clock,
            application,
            pid: header.find(&["processid"]),
            swapchain: header.find(&["swapchainaddress"]),
            frametime: header.find(&FRAMETIME),
            between_starts: header.find(&["frametime", "msbetweenappstart"]),
            display: header.find(&["msbetweendisplaychange"]).or(displayed),
            cpu_busy: header.find(&["mscpubusy", "cpubusy", "mscpuactive"]),
            gpu_busy: header.find(&["msgpubusy", "gpubusy", "msgpuactive"]),
            latency,
            display_latency,
            animation_error: header.find(&["msanimationerror", "animationerror"]),
            click_to_photon: header.find(&["msclicktophotonlatency", "clicktophotonlatency"]),
            dropped: header.find(&["dropped"]),
            shown: displayed.or(latency).or(display_latency),
            void,
            header,
        }
    }

    /// The time column.
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Whether rows name their program.
    pub fn has_application(&self) -> bool {
        self.application.is_some()
    }

    /// Reads a row; what it says about the system goes into `info`.
    pub fn frame(
        &self,
        text: &str,
        names: &mut Names,
        info: &mut Map<String, Value>,
    ) -> Result<Parsed, String> {
        let line = self.header.line(text)?;
        let number = |place| line.number(place);
        let dropped = self.dropped(&line)?;
        // 1.x writes 0 for a frame that was never shown.
        let if_shown = |value: Option<f64>| value.filter(|_| dropped != Some(true));
        let frametime_ms = number(self.frametime)?;
        let frame = Frame {
            at_ns: 0,
            stream: self.stream(&line, names)?,
            frametime_ms,
            display_ms: if_shown(number(self.display)?),
            cpu_busy_ms: number(self.cpu_busy)?,
            gpu_busy_ms: number(self.gpu_busy)?,
            latency_ms: if_shown(number(self.latency)?),
            display_latency_ms: if_shown(number(self.display_latency)?),
            animation_error_ms: number(self.animation_error)?,
            click_to_photon_ms: if_shown(number(self.click_to_photon)?),
            dropped,
            attrs: self.header.others(&line, &self.taken()),
        };
        let time = self.clock.as_ref().map(|clock| clock.time(&line)).transpose()?;
        let step_ms = match &self.clock {
            Some(clock) if clock.of == Of::CpuStart => {
                if self.cpu_busy.is_some() && frame.cpu_busy_ms.is_none() {
                    return Err(
                        "the frame has a start but no CPUBusy: its present is unknown".into()
                    );
                }
                number(self.between_starts)?.or(frametime_ms)
            }
            _ => frametime_ms,
        };
        for (place, name) in self.header.tail() {
            if let Some(text) = line.text(Some(place)).filter(|text| *text != "-") {
                info.insert(name.into(), text.into());
            }
        }
        Ok(Parsed { time, step_ms, frame })
    }

    fn stream(&self, line: &Line, names: &mut Names) -> Result<Stream, String> {
        let pid = line.text(self.pid).map(|pid| {
            pid.parse().map_err(|_| format!("ProcessID is '{pid}', which is no number"))
        });
        let swapchain = line.text(self.swapchain).map(address);
        Ok(Stream {
            application: line.text(self.application).map(|name| names.shared(name)),
            pid: pid.transpose()?,
            swapchain: swapchain.map(|address| names.shared(&address)),
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

    fn taken(&self) -> [Option<usize>; 14] {
        [
            self.clock.as_ref().map(|clock| clock.column),
            self.application,
            self.pid,
            self.swapchain,
            self.frametime,
            self.display,
            self.cpu_busy,
            self.gpu_busy,
            self.latency,
            self.display_latency,
            self.animation_error,
            self.click_to_photon,
            self.dropped,
            self.void,
        ]
    }
}

/// An address as newer versions write it: 1.x has leading zeros.
fn address(text: &str) -> String {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    match digits.map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(address)) => format!("0x{address:X}"),
        _ => text.into(),
    }
}
