//! Frame logs of MangoHud.
//!
//! A log has a header and one line of values about the system, then a header and one line a frame; with
//! `log_versioning` there are a version and rulers in between. Columns differ by version and are found by name.
//! `elapsed` is nanoseconds since logging began; what `frametime` counts and what the time in the file's name is of depends
//! on the version, see [`Generation`].

mod generation;
mod name;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Map;

use super::csv::Header;
use super::frames::{LogContents, Stream};
use super::lines::Lines;
use super::{Frame, ImportError, ImportReport};

use generation::{Generation, Unit, unit};
use name::LogName;

/// The longest time that a log may tell of: what is beyond it, nobody logged.
const LONGEST_NS: f64 = 30.0 * 86_400.0 * 1e9;

/// Whether a line is the header of the frames.
pub(super) fn is_header(text: &str) -> bool {
    let header = Header::parse(text);
    header.find(&["fps"]).is_some() && header.find(&["frametime"]).is_some()
}

/// Reads all frames of a log.
pub(super) fn read(file: &Path, report: &mut ImportReport) -> Result<LogContents, ImportError> {
    let mut lines = Lines::open(file)?;
    let mut log = Log::new(file);
    let mut rows = Vec::new();
    loop {
        match lines.next() {
            Ok(Some((number, text))) => rows.extend(log.line(text, number, report)?),
            Ok(None) => break,
            Err(e) => return Err(ImportError::io(file, e)),
        }
    }
    log.end(report.lines)?;
    let elapsed_ns = |row: Option<&Row>| row.and_then(|row| row.elapsed_ns);
    let ends_ns = elapsed_ns(rows.first()).zip(elapsed_ns(rows.last()));
    let generation = log.generation();
    let frames = log.frames(rows)?;
    let began = log.name.as_ref().and_then(|name| name.began(file, generation, &frames, ends_ns));
    Ok(LogContents { frames, began, info: log.info, readings: Vec::new() })
}

/// A log that is being read, line by line.
#[derive(Debug)]
pub(super) struct Log {
    file: PathBuf,
    name: Option<LogName>,
    stream: Stream,
    columns: Option<Columns>,
    /// What the header before told, with the values that followed.
    info: Map<String, serde_json::Value>,
    system: Option<Header>,
    /// Unit of `frametime`, once known.
    unit: Option<Unit>,
    first_elapsed_ns: Option<f64>,
    last_elapsed_ns: f64,
    /// Sum of the frame times, where there is no `elapsed`.
    summed_ms: f64,
    frames: u64,
}

#[derive(Debug)]
struct Columns {
    header: Header,
    generation: Generation,
    fps: Option<usize>,
    frametime: Option<usize>,
    elapsed: Option<usize>,
}

/// A frame before the unit of its time is known.
#[derive(Debug)]
pub(super) struct Row {
    fps: Option<f64>,
    frametime: Option<f64>,
    elapsed_ns: Option<f64>,
    attrs: Option<String>,
}

impl Log {
    pub fn new(file: &Path) -> Self {
        let name = LogName::of(file);
        let application = name.as_ref().map(|name| Arc::from(name.application.as_str()));
        Self {
            file: file.to_path_buf(),
            name,
            stream: Stream { application, ..Stream::default() },
            columns: None,
            info: Map::new(),
            system: None,
            unit: None,
            first_elapsed_ns: None,
            last_elapsed_ns: 0.0,
            summed_ms: 0.0,
            frames: 0,
        }
    }

    /// Takes the next line; gives the row that it is.
    pub fn line(
        &mut self,
        text: &[u8],
        number: u64,
        report: &mut ImportReport,
    ) -> Result<Option<Row>, ImportError> {
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
        match self.row(text) {
            Ok(row) => Ok(Some(row)),
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
            let generation = Generation::of(&header);
            self.columns = Some(Columns { header, generation, fps, frametime, elapsed });
            return Ok(());
        }
        let header = Header::parse(text);
        let what = match () {
            _ if text.starts_with("0.1% Min FPS") => {
                "this is the summary of a MangoHud log; import the log beside it (without _summary)"
            }
            _ if header.find(&["fps"]).is_some() && header.find(&["elapsed"]).is_some() => {
                "this log of 2020 has no frame times, only samples of fps: there is no frame in it to import"
            }
            _ if number > 20 => return self.end(number),
            _ => {
                self.add_system(header, text);
                return Ok(());
            }
        };
        Err(ImportError::format(&self.file, number, what))
    }

    /// Takes `os,cpu,...` and the line of values below.
    fn add_system(&mut self, header: Header, text: &str) {
        match self.system.take() {
            None if header.find(&["os"]).is_some() => self.system = Some(header),
            Some(system) => {
                // Without that line a log is one all the same.
                if let Ok(values) = system.line(text) {
                    self.info.extend(system.texts(&values));
                }
            }
            None => {}
        }
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

    fn generation(&self) -> Generation {
        self.columns.as_ref().map_or(Generation::Unknown, |columns| columns.generation)
    }

    fn row(&mut self, text: &str) -> Result<Row, String> {
        let columns = self.columns.as_ref().ok_or("a frame before the header")?;
        let line = columns.header.line(text)?;
        let frametime = line.number(columns.frametime)?;
        let elapsed_ns = line.number(columns.elapsed)?;
        let fps = line.number(columns.fps)?;
        if columns.elapsed.is_some() {
            let elapsed_ns = elapsed_ns.ok_or("elapsed is missing")?;
            if !(0.0..=LONGEST_NS).contains(&elapsed_ns) {
                return Err(format!("elapsed is {elapsed_ns:e} ns: no log lasts that long"));
            }
            if elapsed_ns < self.last_elapsed_ns {
                return Err("elapsed goes back".into());
            }
            self.last_elapsed_ns = elapsed_ns;
        }
        let attrs = columns.header.others(&line, &[columns.frametime, columns.elapsed]);
        Ok(Row { fps, frametime, elapsed_ns, attrs })
    }

    /// Makes frames of rows. What `frametime` counts is decided by the first ones that come.
    ///
    /// # Errors
    /// When the rows contradict each other about it.
    pub fn frames(&mut self, rows: Vec<Row>) -> Result<Vec<Frame>, ImportError> {
        if self.unit.is_none() && !rows.is_empty() {
            let unit = unit(self.generation(), &rows);
            self.unit = Some(unit.map_err(|what| ImportError::format(&self.file, 1, what))?);
        }
        let ms_per_unit = self.unit.map_or(1.0, Unit::ms);
        Ok(rows.into_iter().map(|row| self.frame(row, ms_per_unit)).collect())
    }

    fn frame(&mut self, row: Row, ms_per_unit: f64) -> Frame {
        let frametime_ms = row.frametime.map(|frametime| frametime * ms_per_unit);
        if self.frames > 0 {
            self.summed_ms += frametime_ms.unwrap_or_default();
        }
        let at_ns = match row.elapsed_ns {
            Some(ns) => ns - *self.first_elapsed_ns.get_or_insert(ns),
            None => self.summed_ms * 1e6,
        };
        self.frames += 1;
        Frame {
            at_ns: at_ns as i64,
            stream: self.stream.clone(),
            frametime_ms,
            attrs: row.attrs,
            ..Frame::default()
        }
    }
}
