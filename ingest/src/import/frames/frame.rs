//! A frame as a log tells it, and the streams that frames belong to.

use std::fmt;
use std::sync::Arc;

/// One frame of a log. What the log does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// Its present, since the earliest one of the log.
    pub at_ns: i64,
    /// What it belongs to.
    pub stream: Stream,
    /// Its time as the log tells it: since the present before, or from the start of the processor's work to that of
    /// the next frame (PresentMon 2.x).
    pub frametime_ms: Option<f64>,
    /// Time between display changes.
    pub display_ms: Option<f64>,
    /// Time the processor worked on it before it was presented.
    pub cpu_busy_ms: Option<f64>,
    /// Time the graphics card worked on it.
    pub gpu_busy_ms: Option<f64>,
    /// Time from its present to its display.
    pub latency_ms: Option<f64>,
    /// Time from the start of the processor's work to its display.
    pub display_latency_ms: Option<f64>,
    /// Step of what is shown less the step of its display.
    pub animation_error_ms: Option<f64>,
    /// Time from the earliest click that had a part in it to its display.
    pub click_to_photon_ms: Option<f64>,
    /// Whether it was never shown.
    pub dropped: Option<bool>,
    /// The log's other columns, the text of a JSON object.
    pub attrs: Option<String>,
}

/// Who presented frames, and to what: frame times count within a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The program's name.
    pub application: Option<Arc<str>>,
    /// Its process.
    pub pid: Option<i64>,
    /// The swap chain's address, `0x` and hex digits without leading zeros.
    pub swapchain: Option<Arc<str>>,
}

impl fmt::Display for Stream {
    /// Such as `game.exe 1268 0x224B280A1C0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.application.as_deref().unwrap_or("unknown"))?;
        self.pid.map_or(Ok(()), |pid| write!(f, " {pid}"))?;
        self.swapchain.as_deref().map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// The streams of some frames and how many frames each has, the one with the most first: that is the one which
/// CapFrameX shows. Of equal ones the one that comes first in the log.
pub(super) fn streams(frames: &[Frame]) -> Vec<(Stream, usize)> {
    let mut streams: Vec<(Stream, usize)> = Vec::new();
    for frame in frames {
        match streams.iter_mut().find(|(stream, _)| *stream == frame.stream) {
            Some((_, count)) => *count += 1,
            None => streams.push((frame.stream.clone(), 1)),
        }
    }
    // Keeps the order of equal ones.
    streams.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    streams
}

/// A choice among the processes of a log: its number, or the program's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessChoice(String);

impl ProcessChoice {
    /// Chooses by number or by name, whose case and `.exe` do not matter.
    pub fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// Whether frames of that stream are chosen.
    pub fn takes(&self, stream: &Stream) -> bool {
        let name = stream.application.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_pid = stream.pid.is_some_and(|pid| pid.to_string() == self.0);
        is_pid
            || (!name.is_empty() && (name == self.0 || name.strip_suffix(".exe") == Some(&self.0)))
    }
}

impl fmt::Display for ProcessChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(application: &str, pid: i64, swapchain: &str) -> Stream {
        let text = |text: &str| Some(Arc::from(text));
        Stream { application: text(application), pid: Some(pid), swapchain: text(swapchain) }
    }

    #[test]
    fn the_stream_with_the_most_frames_comes_first() {
        let frame = |pid| Frame { stream: stream("a.exe", pid, "0x0"), ..Frame::default() };
        let found = streams(&[frame(3), frame(1), frame(2), frame(2), frame(1)]);
        let found: Vec<_> = found.iter().map(|(s, n)| (s.pid.unwrap(), *n)).collect();
        assert_eq!(found, [(1, 2), (2, 2), (3, 1)]);
        assert_eq!(stream("a.exe", 7, "0xAB").to_string(), "a.exe 7 0xAB");
        assert_eq!(Stream::default().to_string(), "unknown");
    }

    #[test]
    fn a_process_is_chosen_by_number_or_name() {
        let game = stream("Game.exe", 12, "0x0");
        for takes in ["12", "game", "GAME.EXE"] {
            assert!(ProcessChoice::new(takes).takes(&game), "{takes}");
        }
        for other in ["1", "gam", "game.exe.exe", ".exe", ""] {
            assert!(!ProcessChoice::new(other).takes(&game), "{other}");
        }
    }
}
