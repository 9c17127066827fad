//! The thread that seals segments.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bl_schemas::Table;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Shared;
use super::home::Home;
use crate::clock::Anchor;
use crate::layout::SessionDir;
use crate::manifest::State;
use crate::memory::give_back_memory;
use crate::recover::{damage_row, write_health};
use crate::rest::Origin;
use crate::seal::seal;
use crate::segment::{Damage, Extent};

/// What the sealer is given.
pub(super) enum Work {
    Seal(Job),
    /// A part to be ended, after its segments.
    End(Box<Home>),
}

/// A segment to be sealed.
pub(super) struct Job {
    pub dir: SessionDir,
    pub origin: Origin,
    pub anchor: Anchor,
    pub table: &'static Table,
    pub seq: u64,
    /// What was appended to it and synced.
    pub extent: Extent,
}

pub(super) struct Sealer {
    anchor: Anchor,
    shared: Arc<Shared>,
    jobs: Receiver<Work>,
    /// Those that failed, to be tried again: the disk may have room later.
    failed: Vec<Job>,
    /// Parts of which segments are left, or whose end could not be written.
    ending: Vec<Home>,
}

impl Sealer {
    pub fn new(anchor: Anchor, shared: Arc<Shared>) -> (Self, Sender<Work>) {
        let (sender, jobs) = crossbeam_channel::bounded(1024);
        (Self { anchor, shared, jobs, failed: Vec::new(), ending: Vec::new() }, sender)
    }

    pub fn run(mut self) {
        loop {
            match self.jobs.recv_timeout(Duration::from_secs(10)) {
                Ok(Work::Seal(job)) => {
                    self.seal(job);
                    give_back_memory();
                }
                Ok(Work::End(home)) => {
                    self.ending.push(*home);
                    self.end_parts();
                }
                Err(RecvTimeoutError::Timeout) => self.retry(),
                Err(RecvTimeoutError::Disconnected) => break self.retry(),
            }
        }
    }

    fn retry(&mut self) {
        for job in std::mem::take(&mut self.failed) {
            self.seal(job);
        }
        self.end_parts();
        if self.failed.is_empty() && self.ending.is_empty() {
            let mut trouble = self.shared.trouble();
            if trouble.as_deref().is_some_and(|t| t.starts_with(SEALING)) {
                *trouble = None;
            }
        }
    }

    /// Ends the parts all of whose segments are sealed. Their locks go with them.
    fn end_parts(&mut self) {
        for mut home in std::mem::take(&mut self.ending) {
            if self.failed.iter().any(|job| job.dir.path() == home.dir.path()) {
                self.ending.push(home);
                continue;
            }
            if home.manifest.state == State::Recording {
                home.manifest.rows = self.shared.take_sealed_rows(home.dir.path());
                home.manifest.state = State::Ended;
            }
            if let Err(e) = home.manifest.write(&home.dir)
                && !home.is_gone()
            {
                *self.shared.trouble() = Some(format!("{SEALING}s of {}: {e}", home.manifest.id));
                self.ending.push(home);
            }
        }
    }

    fn seal(&mut self, job: Job) {
        if !job.dir.manifest().exists() {
            // Somebody has deleted the session, which the appender tells.
            return;
        }
        match seal(&job.dir, job.table, &job.origin, job.seq, Some(job.extent)) {
            Ok(sealed) => {
                self.count(&job, sealed.rows);
                if sealed.damage.is_serious() {
                    self.tell(&job, &sealed.damage);
                }
            }
            Err(e) => {
                // The rows are safe in their segment meanwhile, and readers see them there.
                *self.shared.trouble() =
                    Some(format!("{SEALING} {} {}: {e}", job.table.name, job.seq));
                self.failed.push(job);
            }
        }
    }

    fn count(&self, job: &Job, sealed_rows: u64) {
        let mut rows = self.shared.sealed_rows.lock().unwrap_or_else(PoisonError::into_inner);
        let of_session = rows.entry(job.dir.path().to_owned()).or_default();
        *of_session.entry(job.table.name.clone()).or_default() += sealed_rows;
    }

    /// Writes damage that was found into the session's `health`.
    fn tell(&self, job: &Job, damage: &Damage) {
        let segment = job.dir.segment(&job.table.name, job.seq);
        let told = match damage_row(self.anchor.now(), &segment, damage) {
            // Full at the session's end, when nothing is taken any more: then without the detour.
            Some((table, row)) if self.shared.pending.push(table, row.clone()).is_err() => {
                let row = damage_row(job.anchor.now(), &segment, damage).map(|(_, row)| row);
                write_health(&job.dir, &job.origin, row.as_slice())
            }
            _ => Ok(()),
        };
        if let Err(e) = told {
            *self.shared.trouble() = Some(e.to_string());
        }
    }
}

const SEALING: &str = "sealing segment";
