//! Frame logs of PresentMon 1.x and 2.x, and of tools that write its columns (CapFrameX, OCAT, FrameView).
//!
//! | | 1.x | 2.x | 2.4 and later |
//! |---|---|---|---|
//! | when | see [`clock`] | | |
//! | frame time | `msBetweenPresents` | `FrameTime` | `MsBetweenPresents` |
//! | displayed for | `msBetweenDisplayChange` | `DisplayedTime` | `MsBetweenDisplayChange` |
//! | from present to display | `msUntilDisplayed` | | `MsUntilDisplayed` |
//! | from the processor's start to display | | `DisplayLatency` | |
//! | never shown | `Dropped` | `DisplayedTime` is `NA` | `MsUntilDisplayed` is `NA` |
//!
//! Source: the columns' descriptions in PresentMon's `README.md` (1.9.2) and `README-ConsoleApplication.md` (2.x), and
//! what `PresentMon/CsvOutput.cpp` writes.

mod clock;
mod columns;

use std::path::Path;

use serde_json::{Map, Value};

use super::csv::Header;
use super::frames::LogContents;
use super::lines::Lines;
use super::{Frame, ImportError, ImportReport, ReadOptions};

use clock::Time;
use columns::{Columns, Names};

const FRAMETIME: [&str; 2] = ["msbetweenpresents", "frametime"];

/// Whether a line is the header of such a log.
pub(super) fn is_header(text: &str) -> bool {
    let header = Header::parse(text);
    let names = ["application", "msbetweenpresents", "swapchainaddress"];
    header.find(&FRAMETIME).is_some() && header.find(&names).is_some()
}

/// A frame, its time as the log counts it, and what its time should advance by until the next frame or since the one
/// before, as the clock is of starts or of presents.
struct Parsed {
    time: Option<Time>,
    step_ms: Option<f64>,
    frame: Frame,
}

/// Reads all frames of a log.
pub(super) fn read(
    file: &Path,
    options: &ReadOptions,
    report: &mut ImportReport,
) -> Result<LogContents, ImportError> {
    let mut lines = Lines::open(file)?;
    let mut columns = None;
    let mut parsed = Vec::new();
    let mut names = Names::default();
    let mut info = Map::new();
    while let Some((number, text)) = lines.next().map_err(|e| ImportError::io(file, e))? {
        let text = String::from_utf8_lossy(text);
        if text.trim().is_empty() {
            continue;
        }
        if let Some(line) = text.strip_prefix("//") {
            add_info(line, &mut info);
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
        match columns.frame(&text, &mut names, &mut info) {
            Ok(frame) => parsed.push(frame),
            Err(why) => report.bad_line(file, number, why),
        }
    }
    let columns = columns.ok_or_else(|| ImportError::format(file, 1, "the log is empty"))?;
    if !columns.has_application() {
        name_after(&info, &mut parsed);
    }
    let began = clock::place(&mut parsed, columns.clock(), options.qpc_hz)
        .map_err(|what| ImportError::format(file, 1, what))?;
    let frames = parsed.into_iter().map(|parsed| parsed.frame).collect();
    Ok(LogContents { frames, began, info, readings: Vec::new() })
}

/// Takes a line such as `//GameName=A game`, without its slashes: CapFrameX writes some before the header.
fn add_info(line: &str, info: &mut Map<String, Value>) {
    if let Some((key, value)) = line.split_once('=')
        && !value.trim().is_empty()
    {
        info.insert(key.trim().into(), value.trim().into());
    }
}

/// Names frames of a log without the column `Application` after what the lines before its header say.
fn name_after(info: &Map<String, Value>, parsed: &mut [Parsed]) {
    let said = ["ProcessName", "GameName"].into_iter().find_map(|key| info.get(key)?.as_str());
    if let Some(name) = said.map(std::sync::Arc::from) {
        for parsed in parsed {
            parsed.frame.stream.application = Some(std::sync::Arc::clone(&name));
        }
    }
}
