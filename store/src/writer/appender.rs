//! The thread that appends rows to segments, syncs them, and hands full ones to the sealer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use bl_schemas::Table;
use crossbeam_channel::Sender;

use super::pending::Batches;
use super::sealer::Job;
use super::{Shared, WriteOptions};
use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::health::{Reason, health_row};
use crate::layout::{SessionDir, create_dir_durably, sync_dir};
use crate::recover::next_sequence;
use crate::segment::SegmentWriter;

const HOUR_NS: i64 = 3_600_000_000_000;

/// How long the end of a session waits for a disk that refuses: who ends a recording waits for two seconds at most.
const LAST_PATIENCE: Duration = Duration::from_millis(1_200);

pub(super) struct Appender {
    dir: SessionDir,
    anchor: Anchor,
    options: WriteOptions,
    shared: Arc<Shared>,
    sealer: Sender<Job>,
    tables: BTreeMap<&'static str, OpenTable>,
    /// Since when the disk has refused, and what it said.
    refused: Option<(Instant, String)>,
}

/// A table's rows that are not in a segment yet, and its segment.
struct OpenTable {
    table: &'static Table,
    waiting: Vec<RecordBatch>,
    segment: Option<Open>,
    next_seq: u64,
}

struct Open {
    writer: SegmentWriter,
    seq: u64,
    since: Instant,
    hour: i64,
}

impl Appender {
    pub fn new(
        dir: SessionDir,
        anchor: Anchor,
        options: WriteOptions,
        shared: Arc<Shared>,
        sealer: Sender<Job>,
    ) -> Self {
        Self { dir, anchor, options, shared, sealer, tables: BTreeMap::new(), refused: None }
    }

    pub fn run(mut self) {
        let mut flush_at = Instant::now() + self.options.flush_every;
        let mut sync_at = Instant::now() + self.options.sync_every;
        loop {
            let (batches, last) = self.shared.pending.take(flush_at);
            let mut refusal = self.append(batches);
            let now = Instant::now();
            flush_at = now + self.options.flush_every;
            if now >= sync_at || last {
                refusal = refusal.or(self.each_table(|_, t| t.sync()));
                sync_at = now + self.options.sync_every;
            }
            if last {
                return self.finish(refusal);
            }
            let refusal = refusal.or(self.each_table(Self::rotate_if_due));
            self.note(refusal);
        }
    }

    /// Hands every segment to the sealer. What the disk still refuses after a while is lost, and is told.
    fn finish(&mut self, mut refusal: Option<String>) {
        let patience = Instant::now() + LAST_PATIENCE;
        while refusal.is_some() && Instant::now() < patience {
            std::thread::sleep(self.options.flush_every.min(Duration::from_millis(50)));
            refusal = self.append(Vec::new()).or(self.each_table(|_, t| t.sync()));
        }
        let refusal = refusal.or(self.each_table(Self::rotate));
        self.note(refusal);
        let rows = |t: &OpenTable| t.waiting.iter().map(RecordBatch::num_rows).sum::<usize>();
        let lost: usize = self.tables.values().map(rows).sum();
        self.shared.lost_rows.store(lost, Ordering::Release);
    }

    /// Appends what waits, table by table; returns why the disk refuses, if it does: what it refuses waits on and
    /// is tried again.
    fn append(&mut self, batches: Vec<Batches>) -> Option<String> {
        for b in batches {
            let open = self.tables.entry(b.table.name.as_str()).or_insert_with(|| OpenTable {
                table: b.table,
                waiting: Vec::new(),
                segment: None,
                next_seq: 0,
            });
            open.waiting.extend(b.batches);
        }
        let mut written = 0;
        let mut refusal = None;
        for t in self.tables.values_mut().filter(|t| !t.waiting.is_empty()) {
            match t.append(&self.dir, self.anchor) {
                Ok(bytes) => written += bytes,
                Err(e) => refusal = Some(e.to_string()),
            }
        }
        self.shared.pending.written(written);
        refusal
    }

    /// Tells whoever looks what the disk refuses; once it is over, a row of `health` tells of it.
    fn note(&mut self, refusal: Option<String>) {
        match (refusal, self.refused.take()) {
            (Some(text), before) => {
                let since = before.map_or_else(Instant::now, |(since, _)| since);
                *self.shared.trouble() = Some(text.clone());
                self.refused = Some((since, text));
            }
            (None, Some((since, text))) => {
                *self.shared.trouble() = None;
                let detail = format!(
                    "the disk refused rows for {:.1} s: {text}",
                    since.elapsed().as_secs_f64()
                );
                if let Some(table) = bl_schemas::table("health") {
                    let row =
                        health_row(table, self.anchor.now(), "store", Reason::Disk, 0, &detail);
                    // Full means that collectors are losing rows, of which they tell themselves.
                    let _ = self.shared.pending.push(table, row);
                }
            }
            (None, None) => {}
        }
    }

    /// Does something with every table; returns what the disk refuses, if it does.
    fn each_table(
        &mut self,
        mut what: impl FnMut(&Tools<'_>, &mut OpenTable) -> Result<()>,
    ) -> Option<String> {
        let tools = Tools { anchor: self.anchor, options: &self.options, sealer: &self.sealer };
        let mut refusal = None;
        for t in self.tables.values_mut() {
            if let Err(e) = what(&tools, t) {
                refusal = Some(e.to_string());
            }
        }
        refusal
    }

    fn rotate_if_due(tools: &Tools<'_>, t: &mut OpenTable) -> Result<()> {
        let due = t.segment.as_ref().is_some_and(|open| {
            open.since.elapsed() >= tools.options.seal_after
                || open.writer.bytes() >= tools.options.seal_bytes
                || (open.hour != hour(tools.anchor)
                    && open.since.elapsed() > Duration::from_secs(1))
        });
        if due { Self::rotate(tools, t) } else { Ok(()) }
    }

    fn rotate(tools: &Tools<'_>, t: &mut OpenTable) -> Result<()> {
        t.sync()?;
        if let Some(open) = t.segment.take() {
            let job = Job { table: t.table, seq: open.seq };
            // The sealer lives as long as this thread; were it gone, the next start seals the segment.
            let _ = tools.sealer.send(job);
        }
        Ok(())
    }
}

struct Tools<'a> {
    anchor: Anchor,
    options: &'a WriteOptions,
    sealer: &'a Sender<Job>,
}

fn hour(anchor: Anchor) -> i64 {
    anchor.now().div_euclid(HOUR_NS)
}

impl OpenTable {
    /// Appends what waits as one frame; returns how many bytes of memory that frees.
    fn append(&mut self, dir: &SessionDir, anchor: Anchor) -> Result<usize> {
        let rows = match &self.waiting[..] {
            [one] => one.clone(),
            several => concat_batches(&self.table.row_schema(), several)
                .map_err(|e| StoreError::arrow(format!("rows of {}", self.table.name), e))?,
        };
        if self.segment.is_none() {
            self.segment = Some(self.create(dir, anchor)?);
        }
        if let Some(open) = &mut self.segment {
            open.writer.append(&rows)?;
        }
        let bytes = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum();
        self.waiting.clear();
        Ok(bytes)
    }

    fn create(&mut self, dir: &SessionDir, anchor: Anchor) -> Result<Open> {
        let name = &self.table.name;
        create_dir_durably(&dir.open(name))?;
        if self.next_seq == 0 {
            self.next_seq = next_sequence(dir, name)?;
        }
        let seq = self.next_seq;
        let path = dir.segment(name, seq);
        let writer = SegmentWriter::create(&path, &self.table.row_schema()).inspect_err(|_| {
            // Nothing is in it; the next attempt creates it again.
            let _ = fs_err::remove_file(&path);
        })?;
        sync_dir(&dir.open(name))?;
        self.next_seq += 1;
        Ok(Open { writer, seq, since: Instant::now(), hour: hour(anchor) })
    }

    fn sync(&mut self) -> Result<()> {
        self.segment.as_mut().map_or(Ok(()), |open| open.writer.sync())
    }
}
