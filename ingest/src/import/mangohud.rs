//! Frame logs of MangoHud.
//!
//! A log has a header and one line of values about the system, then a header and one line a frame; with
//! `log_versioning` there are a version and rulers in between. Columns differ by version and are found by name.
//! `frametime` is whole microseconds in older versions and milliseconds in newer ones; `elapsed` is nanoseconds since
//! logging began (MangoHud, `src/logging.cpp`). The file's name has the local time, so a log has no instant of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::csv::Header;
use super::lines::Lines;
use super::{Frame, ImportError, ImportReport};

/// Whether a line is the header of the frames.
pub(super) fn is_header(text: &str) -> bool {
    let header = Header::parse(text);
    header.find(&["fps"]).is_some() && header.find(&["frametime"]).is_some()
}

/// Reads all frames of a log.
pub(super) fn read(file: &Path, report: &mut ImportReport) -> Result<Vec<Frame>, ImportError> {
    let mut lines = Lines::open(file)?;
    let mut log = Log::new(file);
    let mut frames = Vec::new();
    loop {
        match lines.next() {
            Ok(Some((number, text))) => frames.extend(log.line(text, number, report)?),
            Ok(None) => break,
            Err(e) => return Err(ImportError::io(file, e)),
        }
    }
    log.end(report.lines)?;
    Ok(frames)
}

/// A log that is being read, line by line.
#[derive(Debug)]
pub(super) struct Log {
    file: PathBuf,
    application: Option<Arc<str>>,
    columns: Option<Columns>,
    /// Milliseconds of one unit of `frametime`, once known.
    frametime_unit_ms: Option<f64>,
    first_elapsed_ns: Option<f64>,
    /// Sum of the frame times, where there is no `elapsed`.
    summed_ms: f64,
    frames: u64,
}

#[derive(Debug)]
struct Columns {
    header: Header,
    fps: Option<usize>,
    frametime: Option<usize>,
    elapsed: Option<usize>,
}

impl Log {
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            application: application(file).map(Arc::from),
            columns: None,
            frametime_unit_ms: None,
            first_elapsed_ns: None,
            summed_ms: 0.0,
            frames: 0,
        }
    }

    /// Takes the next line; gives the frame that it is.
    pub fn line(
        &mut self,
        text: &[u8],
        number: u64,
        report: &mut ImportReport,
    ) -> Result<Option<Frame>, ImportError> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        report.lines += 1;
        let Ok(text) = std::str::from_utf8(text) else {
            report.bad_line(&self.file, number, "not UTF-8");
            return Ok(None);
        };
        if self.columns.is_none() {
            self.before_header(text, number)?;
            return Ok(None);
        }
        match self.frame(text) {
            Ok(frame) => Ok(Some(frame)),
            Err(why) => {
                report.bad_line(&self.file, number, why);
                Ok(None)
            }
        }
    }

    fn before_header(&mut self, text: &str, number: u64) -> Result<(), ImportError> {
        if is_header(text) {
            let header = Header::parse(text);
            let find = |name| header.find(&[name]);
            let (fps, frametime, elapsed) = (find("fps"), find("frametime"), find("elapsed"));
            self.columns = Some(Columns { header, fps, frametime, elapsed });
            return Ok(());
        }
        if text.starts_with("0.1% Min FPS") {
            let what = "this is the summary of a MangoHud log; import the log beside it (without _summary)";
            return Err(ImportError::format(&self.file, number, what));
        }
        if number > 20 {
            return self.end(number);
        }
        Ok(())
    }

    /// At the end there must have been a header.
    fn end(&self, lines: u64) -> Result<(), ImportError> {
        match self.columns {
            Some(_) => Ok(()),
            None => {
                let what = "no line names the columns fps and frametime: not a MangoHud log";
                Err(ImportError::format(&self.file, lines, what))
            }
        }
    }

    fn frame(&mut self, text: &str) -> Result<Frame, String> {
        let columns = self.columns.as_ref().ok_or("a frame before the header")?;
        let line = columns.header.line(text)?;
        let raw = line.number(columns.frametime)?;
        let elapsed_ns = line.number(columns.elapsed)?;
        let attrs = columns.header.others(&line, &[columns.frametime, columns.elapsed]);
        if self.frametime_unit_ms.is_none() {
            self.frametime_unit_ms = frametime_unit_ms(raw, line.number(columns.fps)?);
        }
        let frametime_ms = raw.zip(self.frametime_unit_ms).map(|(raw, unit)| raw * unit);
        if self.frames > 0 {
            self.summed_ms += frametime_ms.unwrap_or_default();
        }
        let at_ns = match elapsed_ns {
            Some(ns) => ns - *self.first_elapsed_ns.get_or_insert(ns),
            None if columns.elapsed.is_some() => return Err("elapsed is missing".into()),
            None => self.summed_ms * 1e6,
        };
        self.frames += 1;
        Ok(Frame {
            at_ns: at_ns as i64,
            application: self.application.clone(),
            frametime_ms,
            attrs,
            ..Frame::default()
        })
    }
}

/// Milliseconds of one unit of `frametime`: `fps * frametime` is about 1,000 for milliseconds and about 1,000,000 for
/// microseconds. Frame generation multiplies fps by a few, which leaves them apart.
fn frametime_unit_ms(frametime: Option<f64>, fps: Option<f64>) -> Option<f64> {
    let product = frametime? * fps?;
    (product > 0.0).then_some(if product < 31_623.0 { 1.0 } else { 0.001 })
}

/// `game` of `game_2025-11-11_14-30-00.csv`.
fn application(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_string_lossy().into_owned();
    let is_time = |text: &str| {
        text.len() == 19
            && text.bytes().zip(*b"0000-00-00_00-00-00").all(|(b, form)| match form {
                b'0' => b.is_ascii_digit(),
                other => b == other,
            })
    };
    let cut = stem.len().checked_sub(20)?;
    let name = stem.get(..cut)?;
    (stem.get(cut..)?.strip_prefix('_').is_some_and(is_time) && !name.is_empty())
        .then(|| name.to_string())
}
