//! Where rows are judged on their way.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::RecordBatch;
use bl_schemas::Table;
use bl_store::clock::{Anchor, monotonic_ns};
use bl_store::{Full, Reason, health_row};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::judge::{Change, Judge, Raised};
use super::rule::Rule;
use crate::source::Sink;

/// What alerts are called in `source`.
pub(super) const SOURCE: &str = "alert";

/// So many commands may wait; beyond that they are left out, and told.
const COMMANDS: usize = 64;

/// A sink that judges the rows that pass it, once it has rules.
pub struct AlertSink {
    next: Arc<dyn Sink>,
    alerts: OnceLock<Alerts>,
}

struct Alerts {
    judge: Mutex<Judge>,
    commands: Sender<Change>,
}

impl AlertSink {
    /// Hands rows to `next`; judges none yet.
    pub fn new(next: Arc<dyn Sink>) -> Self {
        Self { next, alerts: OnceLock::new() }
    }

    /// Judges by `rules` from now on; the changes that start a command come out of what is returned. `None` when there are
    /// rules already.
    pub(super) fn set_rules(&self, rules: Vec<Rule>) -> Option<Receiver<Change>> {
        let (commands, waiting) = bounded(COMMANDS);
        let judge = Mutex::new(Judge::new(rules));
        self.alerts.set(Alerts { judge, commands }).ok().map(|()| waiting)
    }

    /// What is raised now.
    pub fn raised(&self) -> Vec<Raised> {
        self.judged(|judge| judge.raised())
    }

    /// Judges what has fallen silent.
    pub(super) fn look_for_silence(&self) {
        let (now_ns, now_ts) = (monotonic_ns(), self.next.anchor().now());
        self.tell(self.judged(|judge| judge.silence(now_ns, now_ts)));
    }

    fn judged<T>(&self, of: impl FnOnce(&mut Judge) -> Vec<T>) -> Vec<T> {
        let alerts = self.alerts.get();
        alerts.map_or_else(Vec::new, |alerts| {
            of(&mut alerts.judge.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            let reason = if change.is_raised { Reason::Alert } else { Reason::AlertCleared };
            self.health(change.ts, reason, &change.detail);
            let Some(alerts) = self.alerts.get().filter(|_| !change.command.is_empty()) else {
                continue;
            };
            let rule = change.rule.clone();
            if alerts.commands.try_send(change).is_err() {
                let detail = format!("{rule}: its command was not started: {COMMANDS} others wait");
                self.health(self.next.anchor().now(), Reason::Down, &detail);
            }
        }
    }

    pub(super) fn health(&self, ts: i64, reason: Reason, detail: &str) {
        let Some(table) = bl_schemas::table("health") else { return };
        let row = health_row(table, ts, SOURCE, reason, 1, detail);
        if self.next.append(table, row).is_err() {
            self.next.count_loss(SOURCE, reason, 1, detail);
        }
    }
}

impl Sink for AlertSink {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        let changes = self.judged(|judge| judge.rows(table, &rows, monotonic_ns()));
        let taken = self.next.append(table, rows);
        self.tell(changes);
        taken
    }

    fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str) {
        self.next.count_loss(source, reason, count, detail);
    }

    fn anchor(&self) -> Anchor {
        self.next.anchor()
    }
}
