//! The thread that appends rows to segments, syncs them, and hands full ones to the sealer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use bl_schemas::Table;
use crossbeam_channel::Sender;

use super::home::Home;
use super::open_table::{OpenTable, Place};
use super::pending::Batches;
use super::roll::{Cause, Watch};
use super::sealer::Work;
use super::{Shared, WriteOptions};
use crate::clock::Anchor;
use crate::error::Result;
use crate::health::{Reason, health_row};

/// How long the end of a session waits for a disk that refuses: who ends a recording waits for two seconds at most.
const LAST_PATIENCE: Duration = Duration::from_millis(1_200);

pub(super) struct Appender {
    place: Place,
    options: WriteOptions,
    shared: Arc<Shared>,
    sealer: Sender<Work>,
    tables: BTreeMap<&'static str, OpenTable>,
    /// What the stamps of rows that are handed over lack to the anchor of the part that is written.
    shift_ns: i64,
    /// Looks when the part is to end; none where there are no parts.
    watch: Option<Watch>,
    /// Since when the disk has refused, and what it said.
    refused: Option<(Instant, String)>,
}

impl Appender {
    pub fn new(
        anchor: Anchor,
        options: WriteOptions,
        shared: Arc<Shared>,
        sealer: Sender<Work>,
        watch: Option<Watch>,
    ) -> Self {
        let (dir, origin) = {
            let home = shared.home();
            (home.dir.clone(), home.origin())
        };
        let place = Place { dir, origin, anchor };
        let tables = BTreeMap::new();
        Self { place, options, shared, sealer, tables, shift_ns: 0, watch, refused: None }
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
            if now >= sync_at && refusal.is_none() {
                self.tell_losses();
            }
            if now >= sync_at || last || self.shared.pending.is_much(unsynced) {
                refusal = refusal.or(self.sync());
                sync_at = now + self.options.sync_every;
            }
            if last {
                return self.finish(refusal);
            }
            let refusal = refusal.or(self.rotate_due()).or(self.roll_if_due());
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
        self.tell_losses();
        let refusal = self.append(Vec::new()).or(self.sync()).or_else(|| self.rotate(|_| true));
        self.note(refusal);
        let count = |rows: fn(&OpenTable) -> u64| self.tables.values().map(rows).sum();
        self.shared.lost_rows.store(count(OpenTable::waiting_rows), Ordering::Release);
        self.shared.unsynced_rows.store(count(OpenTable::unsynced_rows), Ordering::Release);
    }

    /// Appends what waits, table by table; returns why the disk refuses, if it does: what it refuses waits on and
    /// is tried again.
    fn append(&mut self, batches: Vec<Batches>) -> Option<String> {
        let shift_ns = self.shift_ns;
        batches.into_iter().for_each(|b| self.open(b.table).add(b.batches, shift_ns));
        if let Err(e) = self.move_if_gone() {
            return Some(e.to_string());
        }
        let mut refusal = None;
        for t in self.tables.values_mut() {
            let (rows, result) = t.append(&self.place);
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

    /// Goes on in a new session if somebody has deleted the folder of this one: what is in memory goes there.
    fn move_if_gone(&mut self) -> Result<()> {
        let mut home = self.shared.home();
        if !home.is_gone() {
            return Ok(());
        }
        let next = home.successor(&self.shared.store)?;
        let old = std::mem::replace(&mut *home, next).manifest.id;
        (self.place.dir, self.place.origin) = (home.dir.clone(), home.origin());
        drop(home);
        self.shared.take_sealed_rows(self.shared.store.dir(&old).path());
        let mut lost = 0;
        for t in self.tables.values_mut() {
            let (unsynced, gone) = t.move_out();
            self.shared.pending.taken_back(unsynced);
            lost += gone;
        }
        let detail = format!(
            "the folder of session {old} was deleted while it was recorded; recording goes on here"
        );
        self.tell(Reason::Deleted, lost, &detail);
        Ok(())
    }

    /// Goes on in a new part when the clocks or the time say so, and all rows are safe in this one.
    fn roll_if_due(&mut self) -> Option<String> {
        let cause = self.watch.as_ref()?.look(&self.options)?;
        if !self.tables.values().all(OpenTable::is_settled) {
            return None;
        }
        let (anchor, before) = (Anchor::measure(), self.shared.home().manifest.clone());
        let next = match Home::next_part(&before, &self.shared.store, anchor) {
            Ok(next) => next,
            Err(e) => return Some(e.to_string()),
        };
        if let Some(refusal) = self.rotate(|_| true) {
            next.clear_away();
            return Some(refusal);
        }
        self.go_on_in(next, cause);
        None
    }

    fn go_on_in(&mut self, next: Home, cause: Cause) {
        let (anchor, started_ns) = (next.manifest.anchor, next.manifest.started_ns);
        let (dir, origin, name) = (next.dir.clone(), next.origin(), next.manifest.id.clone());
        // `update` may have changed it since.
        let mut ended = std::mem::replace(&mut *self.shared.home(), next);
        let id = ended.manifest.id.clone();
        let ended_ns = self.place.anchor.ts(anchor.monotonic(started_ns));
        ended.manifest.ended_ns.get_or_insert(ended_ns);
        // The sealer lives as long as this thread; were it gone, the next start recovers the part.
        let _ = self.sealer.send(Work::End(Box::new(ended)));
        self.shift_ns += anchor.utc_minus_monotonic_ns - self.place.anchor.utc_minus_monotonic_ns;
        self.place = Place { dir, origin, anchor };
        self.watch = Some(Watch::on(anchor));
        self.tables.values_mut().for_each(OpenTable::go_on_elsewhere);
        self.tell(Reason::Rolled, 0, &format!("session {id} goes on as {name}: {cause}"));
    }

    /// Syncs what was appended. What cannot be synced is taken back, to be appended to a new segment.
    fn sync(&mut self) -> Option<String> {
        let mut refusal = None;
        let mut told = Vec::new();
        for t in self.tables.values_mut() {
            match t.sync() {
                Ok(0) => {}
                Ok(bytes) => self.shared.pending.settled(t.name(), bytes),
                Err(e) => {
                    refusal = Some(e.to_string());
                    // Where this fails, too, it is tried again with the next sync.
                    let Ok((job, rows)) = t.retreat() else { continue };
                    self.shared.pending.taken_back(rows);
                    told.push((rows, format!("table {}, segment {}: {e}", t.name(), job.seq)));
                    // The sealer lives as long as this thread; were it gone, the next start seals the segment.
                    let _ = self.sealer.send(Work::Seal(job));
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
        let row = health_row(table, self.place.anchor.now(), "store", reason, count, detail);
        self.add_to(table, row);
    }

    /// Adds rows of the store's own, whatever waits already.
    fn add_to(&mut self, table: &'static Table, rows: RecordBatch) {
        self.shared.pending.own(table, &rows);
        self.open(table).add(vec![rows], 0);
    }

    /// Adds to `health` what was lost since the last time.
    fn tell_losses(&mut self) {
        let Some(table) = bl_schemas::table("health") else { return };
        let rows = self.shared.losses().take(table, self.place.anchor.now());
        rows.into_iter().for_each(|row| self.add_to(table, row));
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
        let (options, anchor) = (self.options, self.place.anchor);
        self.rotate(|t| t.is_due(&options, anchor))
    }

    /// Hands the segments of these tables to the sealer; returns why the disk refuses, if it does.
    fn rotate(&mut self, which: impl Fn(&OpenTable) -> bool) -> Option<String> {
        let mut refusal = None;
        for t in self.tables.values_mut().filter(|t| which(t)) {
            match t.sync() {
                Ok(bytes) => {
                    self.shared.pending.settled(t.name(), bytes);
                    if let Some(job) = t.close() {
                        let _ = self.sealer.send(Work::Seal(job));
                    }
                }
                Err(e) => refusal = Some(e.to_string()),
            }
        }
        refusal
    }
}
