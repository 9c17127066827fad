//! What the tracer says in a file, one for each process in which it worked.

use std::path::Path;

use serde::Deserialize;

/// The report of one process (written by `ingest/gst`, `report.rs`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Report {
    /// Whether the process has ended in good order; if not, the figures say nothing.
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StageReport {
    /// Its name.
    pub stage: String,
    /// The pad that was asked for (`element.pad`); null where the tracer chose.
    pub pad: Option<String>,
    /// Its events.
    pub events: u64,
}

/// Reads the reports of a folder. One that is torn is of a process that was killed as it wrote: it counts as
/// one that has not ended.
pub(super) fn read_all(folder: &Path) -> Vec<Report> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .map(|json| serde_json::from_slice(&json).unwrap_or_else(|_| Report::unfinished()))
        .collect()
}

impl Report {
    fn unfinished() -> Self {
        Self { ended: false, events: 0, sent: 0, stages: Vec::new(), pads: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_torn_reports_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_all(folder.path()), []);
        let whole = r#"{"ended":true,"events":3,"sent":2,"pads":["a.src"],
                        "stages":[{"stage":"in","pad":null,"events":3}]}"#;
        std::fs::write(folder.path().join("1-0.json"), whole).unwrap();
        std::fs::write(folder.path().join("2-0.json"), &whole[..20]).unwrap();
        let reports = read_all(folder.path());
        assert_eq!((reports[0].events, reports[0].sent, reports[0].ended), (3, 2, true));
        assert_eq!(reports[1], Report::unfinished());
        assert_eq!(read_all(&folder.path().join("absent")), []);
    }
}
