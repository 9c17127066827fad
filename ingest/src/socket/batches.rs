//! The rows of all senders, until they are handed to the store.

use bl_schemas::Table;
use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::identity::Pipelines;
use super::line::{Event, Mark};
use crate::source::{Context, SourceError};

/// Rows of `pipeline` and `marks` that are not handed over yet.
#[derive(Debug)]
pub(super) struct Batches {
    pub anchor: Anchor,
    pub events: EventRows,
    pub marks: MarkRows,
    pub pipelines: Pipelines,
}

impl Batches {
    pub fn new(anchor: Anchor) -> Result<Self, SourceError> {
        Ok(Self {
            anchor,
            events: EventRows::new(table("pipeline")?),
            marks: MarkRows::new(table("marks")?),
            pipelines: Pipelines::default(),
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.events.rows.len() + self.marks.rows.len()
    }

    /// Hands all rows to the store.
    pub fn flush(&mut self, context: &Context) {
        context.flush(&mut self.events.rows);
        context.flush(&mut self.marks.rows);
    }
}

fn table(name: &str) -> Result<&'static Table, SourceError> {
    bl_schemas::table(name).ok_or_else(|| SourceError::Fatal(format!("there is no table {name}")))
}

/// Rows of `pipeline`.
#[derive(Debug)]
pub(super) struct EventRows {
    rows: Rows,
    pipeline: ColumnIndex,
    sender: ColumnIndex,
    stage: ColumnIndex,
    frame: ColumnIndex,
    key_ns: ColumnIndex,
    pts_ns: ColumnIndex,
    attrs: ColumnIndex,
}

impl EventRows {
    fn new(table: &'static Table) -> Self {
        let rows = Rows::new(table);
        Self {
            pipeline: rows.column("pipeline"),
            sender: rows.column("sender"),
            stage: rows.column("stage"),
            frame: rows.column("frame"),
            key_ns: rows.column("key_ns"),
            pts_ns: rows.column("pts_ns"),
            attrs: rows.column("attrs"),
            rows,
        }
    }

    /// Takes an event of the pipeline that is recorded by that name.
    #[inline]
    pub fn push(
        &mut self,
        ts: i64,
        source: &str,
        sender: &str,
        pipeline: Option<&str>,
        event: &Event,
    ) {
        self.rows.begin(ts, source);
        self.rows.str(self.pipeline, pipeline);
        self.rows.str(self.sender, sender);
        self.rows.str(self.stage, event.stage.as_ref());
        self.rows.i64(self.frame, event.frame);
        self.rows.i64(self.key_ns, event.key_ns);
        self.rows.i64(self.pts_ns, event.pts_ns);
        self.rows.str(self.attrs, event.attrs.as_deref());
    }
}

/// Rows of `marks`.
#[derive(Debug)]
pub(super) struct MarkRows {
    rows: Rows,
    name: ColumnIndex,
    kind: ColumnIndex,
    attrs: ColumnIndex,
}

impl MarkRows {
    fn new(table: &'static Table) -> Self {
        let rows = Rows::new(table);
        Self {
            name: rows.column("name"),
            kind: rows.column("kind"),
            attrs: rows.column("attrs"),
            rows,
        }
    }

    pub fn push(&mut self, ts: i64, source: &str, mark: &Mark) {
        self.rows.begin(ts, source);
        self.rows.str(self.name, mark.name.as_ref());
        self.rows.str(self.kind, mark.kind.as_str());
        self.rows.str(self.attrs, mark.attrs.as_deref());
    }
}
