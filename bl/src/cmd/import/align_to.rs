//! When the first frame of a log was.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use bl_ingest::import::{Began, FrameLog};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_store::clock::realtime_ns;
use bl_store::{FirstFrame, SessionId, Store};

use crate::cmd::usage;

/// What the first frame is aligned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlignTo {
    /// The present.
    Now,
    /// The file's age: the last frame is as old.
    File,
    /// An instant, nanoseconds UTC.
    Instant(i64),
    /// A mark of the session: the latest one of that name, or the only one.
    Mark(Option<String>),
}

impl FromStr for AlignTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => return Ok(AlignTo::Now),
            "file" => return Ok(AlignTo::File),
            "mark" => return Ok(AlignTo::Mark(None)),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("mark:").filter(|name| !name.is_empty()) {
            return Ok(AlignTo::Mark(Some(name.into())));
        }
        let form = "write now, file, mark, mark:NAME or an instant like 2026-01-31T12:00:00Z";
        let time: jiff::Timestamp = text.parse().map_err(|e| format!("{form} ({e})"))?;
        let ns = time.as_nanosecond().try_into().map_err(|_| "too far away".to_string())?;
        Ok(AlignTo::Instant(ns))
    }
}

impl AlignTo {
    /// When the first frame of a log was; marks are those of session `id`.
    pub fn first_frame(
        &self,
        store: &Store,
        id: &SessionId,
        log: &FrameLog,
        file: &Path,
    ) -> anyhow::Result<FirstFrame> {
        let (ts_ns, from) = match self {
            AlignTo::File => return by_age(log, file),
            AlignTo::Now => (realtime_ns(), "now"),
            AlignTo::Instant(ns) => (*ns, "the time given"),
            AlignTo::Mark(_) => (self.ts_ns(store, id)?, "the mark"),
        };
        Ok(FirstFrame { ts_ns, err_ns: None, from: format!("{from} (--align-to)") })
    }

    /// The instant that it is, nanoseconds UTC.
    pub fn ts_ns(&self, store: &Store, id: &SessionId) -> anyhow::Result<i64> {
        match self {
            AlignTo::Now => Ok(realtime_ns()),
            AlignTo::Instant(ns) => Ok(*ns),
            AlignTo::File => Err(usage("a log that is followed has no age: --align-to file")),
            AlignTo::Mark(name) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                mark(&runtime.block_on(marks(store, id))?, name.as_deref(), id)
            }
        }
    }
}

/// When the first frame of a log was if nothing else is said: as the log tells it, else by the file's age.
pub fn first_frame(log: &FrameLog, file: &Path) -> anyhow::Result<FirstFrame> {
    match log.began {
        Some(Began { ns, err_ns, from }) => {
            Ok(FirstFrame { ts_ns: ns, err_ns: Some(err_ns), from: from.into() })
        }
        None => by_age(log, file),
    }
}

fn by_age(log: &FrameLog, file: &Path) -> anyhow::Result<FirstFrame> {
    let modified = std::fs::metadata(file)?.modified()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Ok(FirstFrame {
        ts_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX).saturating_sub(log.length_ns),
        err_ns: None,
        from: "the file's age: its last frame is taken to be as old".into(),
    })
}

/// Names and instants of a session's marks, without the ends of steps, in order of time.
async fn marks(store: &Store, id: &SessionId) -> anyhow::Result<Vec<(String, i64)>> {
    const MARKS: &str = "SELECT name, CAST(CAST(ts AS BIGINT) AS VARCHAR) AS ns FROM marks \
                         WHERE (kind IS NULL OR kind <> 'end') AND name IS NOT NULL ORDER BY ts";
    let query = Query::new(&Settings::default())?;
    query.register_store(store.clone(), SessionFilter::Named(vec![id.clone()]))?;
    let Some(statement) = query.statements(MARKS)?.pop() else { return Ok(Vec::new()) };
    let mut batches = query.answer(statement).await?.stream().await?;
    let mut marks = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let text = |column: usize, row: usize| {
            arrow::util::display::array_value_to_string(batch.column(column), row)
        };
        for row in 0..batch.num_rows() {
            marks.push((text(0, row)?, text(1, row)?.parse()?));
        }
    }
    Ok(marks)
}

fn mark(marks: &[(String, i64)], name: Option<&str>, id: &SessionId) -> anyhow::Result<i64> {
    let mut names: Vec<&str> = marks.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let Some(name) = name else {
        return match marks {
            [] => bail!("session {id} has no mark: `bl mark NAME` makes one while it is recorded"),
            [(_, ts)] => Ok(*ts),
            _ => Err(usage(format!(
                "session {id} has {} marks; write --align-to mark:NAME, of {}",
                marks.len(),
                names.join(", ")
            ))),
        };
    };
    let last = marks.iter().rev().find(|(mark, _)| mark == name);
    last.map(|(_, ts)| *ts).with_context(|| match names.is_empty() {
        true => format!("session {id} has no mark '{name}', nor any other"),
        false => format!("session {id} has no mark '{name}', but {}", names.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_aligned_to_is_read() {
        let read = |text: &str| text.parse::<AlignTo>();
        assert_eq!(read("now"), Ok(AlignTo::Now));
        assert_eq!(read("file"), Ok(AlignTo::File));
        assert_eq!(read("mark"), Ok(AlignTo::Mark(None)));
        assert_eq!(read("mark:a run"), Ok(AlignTo::Mark(Some("a run".into()))));
        assert_eq!(read("1970-01-01T00:00:01.5Z"), Ok(AlignTo::Instant(1_500_000_000)));
        for wrong in ["mark:", "tomorrow", ""] {
            assert!(read(wrong).unwrap_err().starts_with("write now, file, mark"), "{wrong}");
        }
    }

    #[test]
    fn a_mark_is_the_only_one_or_the_latest_of_its_name() {
        let id: SessionId = "s".parse().unwrap();
        let marks = [("a".to_string(), 1), ("b".to_string(), 2), ("a".to_string(), 3)];
        assert_eq!(mark(&marks[1..2], None, &id).unwrap(), 2);
        assert_eq!(mark(&marks, Some("a"), &id).unwrap(), 3);
        let several = mark(&marks, None, &id).unwrap_err().to_string();
        assert!(several.ends_with("has 3 marks; write --align-to mark:NAME, of a, b"), "{several}");
        assert!(mark(&marks, Some("c"), &id).unwrap_err().to_string().ends_with("but a, b"));
        assert!(mark(&[], None, &id).unwrap_err().to_string().contains("no mark"));
    }
}
