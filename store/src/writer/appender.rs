//! The thread that appends rows to segments, syncs them, and hands full ones to the sealer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bl_schemas::Table;
use crossbeam_channel::Sender;

use super::open_table::OpenTable;
use super::pending::Batches;
use super::sealer::Job;
use super::{Shared, WriteOptions};
use crate::clock::Anchor;
use crate::health::{Reason, health_row};
use crate::layout::SessionDir;

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
            let unsynced = self.tables.values().map(OpenTable::unsynced_bytes).sum();
            if now >= sync_at || last || self.shared.pending.is_much(unsynced) {
                refusal = refusal.or(self.sync());
                sync_at = now + self.options.sync_every;
            }
            if last {
                return self.finish(refusal);
            }
            let refusal = refusal.or(self.rotate_due());
            self.note(refusal);
        }
    }

    /// Hands every segment to the sealer. What the disk still refuses after a while is lost, and is told.
    fn finish(&mut self, mut refusal: Option<String>) {
        let patience = Instant::now() + LAST_PATIENCE;
        while refusal.is_some() && Instant::now() < patience {
            std::thread::sleep(self.options.flush_every.min(Duration::from_millis(50)));
            refusal = self.append(Vec::new()).or(self.sync());
        }
        self.note(refusal);
        let refusal = self.append(Vec::new()).or(self.sync()).or_else(|| self.rotate(|_| true));
        self.note(refusal);
        let count = |rows: fn(&OpenTable) -> u64| self.tables.values().map(rows).sum();
        self.shared.lost_rows.store(count(OpenTable::waiting_rows), Ordering::Release);
        self.shared.unsynced_rows.store(count(OpenTable::unsynced_rows), Ordering::Release);
    }

    /// Appends what waits, table by table; returns why the disk refuses, if it does: what it refuses waits on and
    /// is tried again.
    fn append(&mut self, batches: Vec<Batches>) -> Option<String> {
        batches.into_iter().for_each(|b| self.open(b.table).add(b.batches));
        let mut refusal = None;
        for t in self.tables.values_mut() {
            let (rows, result) = t.append(&self.dir, self.anchor);
            self.shared.pending.written(rows);
            if let Err(e) = result {
                refusal = Some(e.to_string());
            }
        }
        refusal
    }

    fn open(&mut self, table: &'static Table) -> &mut OpenTable {
        self.tables.entry(table.name.as_str()).or_insert_with(|| OpenTable::new(table))
    }

    /// Syncs what was appended. What cannot be synced is taken back, to be appended to a new segment.
    fn sync(&mut self) -> Option<String> {
        let mut refusal = None;
        let mut told = Vec::new();
        for t in self.tables.values_mut() {
            match t.sync() {
                Ok(bytes) => self.shared.pending.settled(bytes),
                Err(e) => {
                    refusal = Some(e.to_string());
                    // Where this fails, too, it is tried again with the next sync.
                    let Ok((job, rows)) = t.retreat() else { continue };
                    self.shared.pending.taken_back(rows);
                    told.push((rows, format!("table {}, segment {}: {e}", t.name(), job.seq)));
                    // The sealer lives as long as this thread; were it gone, the next start seals the segment.
                    let _ = self.sealer.send(job);
                }
            }
        }
        for (rows, what) in told {
            let detail = format!("a sync failed, and its rows are written again: {what}");
            self.tell(Reason::Rewritten, rows, &detail);
        }
        refusal
    }

    /// Adds a row to `health`, whatever waits already.
    fn tell(&mut self, reason: Reason, count: u64, detail: &str) {
        let Some(table) = bl_schemas::table("health") else { return };
        let row = health_row(table, self.anchor.now(), "store", reason, count, detail);
        self.shared.pending.own(&row);
        self.open(table).add(vec![row]);
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
                let seconds = since.elapsed().as_secs_f64();
                let detail = format!("the disk refused rows for {seconds:.1} s: {text}");
                self.tell(Reason::Disk, 0, &detail);
            }
            (None, None) => {}
        }
    }

    fn rotate_due(&mut self) -> Option<String> {
        let (options, anchor) = (self.options, self.anchor);
        self.rotate(|t| t.is_due(&options, anchor))
    }

    /// Hands the segments of these tables to the sealer; returns why the disk refuses, if it does.
    fn rotate(&mut self, which: impl Fn(&OpenTable) -> bool) -> Option<String> {
        let mut refusal = None;
        for t in self.tables.values_mut().filter(|t| which(t)) {
            match t.sync() {
                Ok(bytes) => {
                    self.shared.pending.settled(bytes);
                    if let Some(job) = t.close() {
                        let _ = self.sealer.send(job);
                    }
                }
                Err(e) => refusal = Some(e.to_string()),
            }
        }
        refusal
    }
}
