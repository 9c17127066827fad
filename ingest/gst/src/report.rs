//! What there is to say after a run: on stderr where something went wrong, or as a file for `bl probe`.

use std::path::Path;

use serde::Serialize;

use crate::point::Points;

/// The file: one JSON object a traced process, `<pid>-<instance>.json`. It is there, with `ended` false, as
/// soon as the tracer works.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process has ended in good order: the figures are final.
    pub ended: bool,
    /// Events, sent or not.
    pub events: u64,
    /// Events that the socket took.
    pub sent: u64,
    /// The stages.
    pub stages: Vec<StageReport>,
    /// Pads (`element.pad`) that buffers went through, the first 64 of them.
    pub pads: Vec<String>,
}

/// One stage of a [`Report`].
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// The pad that was asked for; null where the tracer chose.
    pub pad: Option<String>,
    /// Its events.
    pub events: u64,
}

impl Report {
    /// The figures of a tracer.
    pub fn of(points: &Points, sent: u64) -> Self {
        let stages: Vec<StageReport> = points
            .counts()
            .into_iter()
            .map(|(stage, pad, events)| StageReport { stage, pad, events })
            .collect();
        let events = stages.iter().map(|s| s.events).sum();
        Self { ended: true, events, sent, stages, pads: points.pads_seen() }
    }

    /// What went wrong, a line each.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let named = self.stages.iter().filter_map(|s| Some((s.pad.as_deref()?, s)));
        for (pad, stage) in named.filter(|(_, stage)| stage.events == 0) {
            let why = match self.pads.iter().any(|seen| seen == pad) {
                true => "what passed it had no time format".to_owned(),
                false => format!("pads that had some: {}", self.pads.join(", ")),
            };
            lines.push(format!("no frame passed stage {} at pad {pad}; {why}", stage.stage));
        }
        let lost = self.events.saturating_sub(self.sent);
        if lost > 0 {
            lines.push(format!("{lost} of {} stage events could not be sent", self.events));
        }
        lines
    }
}

/// Writes the file into `directory`.
pub fn write(directory: &Path, instance: usize, report: &Report) {
    let file = directory.join(format!("{}-{instance}.json", std::process::id()));
    let written = serde_json::to_vec(report)
        .map_err(std::io::Error::from)
        .and_then(|json| std::fs::write(&file, json));
    if let Err(problem) = written {
        eprintln!("bl: the tracer's report cannot be written to {}: {problem}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_stage_and_what_was_there() {
        let stage = |stage: &str, pad: &str, events| StageReport {
            stage: stage.into(),
            pad: Some(pad.into()),
            events,
        };
        let report = Report {
            ended: true,
            events: 7,
            sent: 5,
            stages: vec![
                stage("in", "src.src", 7),
                stage("out", "enc.src", 0),
                stage("file", "f.src", 0),
            ],
            pads: vec!["f.src".into(), "src.src".into(), "x264.src".into()],
        };
        assert_eq!(
            report.complaints(),
            [
                "no frame passed stage out at pad enc.src; pads that had some: f.src, src.src, x264.src",
                "no frame passed stage file at pad f.src; what passed it had no time format",
                "2 of 7 stage events could not be sent",
            ]
        );
    }
}
