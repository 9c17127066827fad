//! The file as CapFrameX finds it: its form, and its name.

use std::path::Path;

use super::{Application, CxError, Metric, Request, Source};

/// A form that CapFrameX reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PresentMon's CSV: frames, no power.
    Csv,
    /// CapFrameX's own records: frames, power, sensors, hardware.
    Json,
}

impl Format {
    /// Its files' ending, as CapFrameX compares it.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// The form that a file's name tells.
    ///
    /// # Errors
    /// [`CxError::Path`] for names that CapFrameX passes over.
    pub fn of_file(path: &Path) -> Result<Self, CxError> {
        let refused = |why| Err(CxError::Path { path: path.display().to_string(), why });
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name.rsplit_once('.') {
            _ if name.contains("-stats.csv") || name == "FrameView_Summary.csv" => {
                refused("it takes files of that name for summaries; choose another")
            }
            Some((_, "csv")) => Ok(Self::Csv),
            Some((_, "json")) => Ok(Self::Json),
            _ => refused("its name must end in .csv or .json, in small letters"),
        }
    }
}

/// The name of a session's file in a folder that CapFrameX watches: the same for the same request, so that an
/// export replaces the one before.
pub fn file_name(session: &str, request: &Request, format: Format) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' })
            .collect()
    };
    let application = request.application.as_ref().map(Application::as_str);
    let mut parts = vec![plain(application.unwrap_or("bl")), plain(session)];
    match &request.source {
        Source::Log(log) => parts.extend(log.as_deref().map(plain)),
        Source::Stages(pair) => {
            parts.extend(pair.pipeline.as_deref().filter(|name| !name.is_empty()).map(plain));
            parts.push(plain(&pair.stage_a));
            match pair.metric {
                Metric::Latency => parts.push(plain(&pair.stage_b)),
                Metric::Interval => parts.push("interval".into()),
            }
        }
    }
    // The part before the ending is never "...-stats", which CapFrameX passes over.
    format!("{}.cx.{}", parts.join("-"), format.extension())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_passed_over_are_refused() {
        let format = |name: &str| Format::of_file(Path::new(name));
        assert_eq!(format("x/a.csv").unwrap(), Format::Csv);
        assert_eq!(format("a.json").unwrap(), Format::Json);
        for name in ["a.CSV", "a.txt", "a", "run-stats.csv", "FrameView_Summary.csv", "a.csv.tmp"] {
            assert!(format(name).is_err(), "{name}");
        }
    }
}
