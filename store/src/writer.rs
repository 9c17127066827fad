//! Writing a session: rows go from collectors' threads through memory into segments, and from there into
//! sealed files.
//!
//! ```text
//! collector threads --append--> pending --(writer thread, each flush)--> segment --(sealer thread)--> Parquet
//! ```
//!
//! Collectors never wait for the disk. When it is full or too slow, rows wait in memory up to a limit; beyond it
//! [`Full`] tells the collector that they are lost, and it counts them.

mod appender;
mod home;
mod losses;
mod open_table;
mod pending;
mod roll;
mod sealer;
mod stamps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::clock::{Anchor, monotonic_ns};
use crate::error::{Result, StoreError};
use crate::health::Reason;
use crate::layout::SessionDir;
use crate::manifest::{Manifest, State};
use crate::names::SessionId;
use crate::store::Store;

use appender::Appender;
use home::Home;
use losses::Losses;
use pending::Pending;
use roll::Watch;
use sealer::Sealer;
use stamps::Possible;

/// The store has no room for more rows now; what was handed over is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot take more rows now: the disk is full or too slow")]
pub struct Full;

/// How a session is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Rows reach the segment (and readers) within this time.
    pub flush_every: Duration,
    /// Rows reach the disk itself within this time: what a power cut may cost.
    pub sync_every: Duration,
    /// A segment is sealed at this age,
    pub seal_after: Duration,
    /// or at this size in bytes.
    pub seal_bytes: u64,
    /// Bytes of rows that may wait in memory while the disk does not take them.
    pub pending_bytes: usize,
    /// A session that has lasted so long goes on in a new part, with a new anchor; none: however long it lasts.
    pub roll_after: Option<Duration>,
    /// So it does when the wall clock is set by more than this. At a wake from suspend it does in any case.
    pub roll_step: Duration,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            flush_every: Duration::from_millis(100),
            sync_every: Duration::from_secs(1),
            seal_after: Duration::from_secs(300),
            seal_bytes: 64 << 20,
            pending_bytes: 128 << 20,
            roll_after: Some(Duration::from_secs(24 * 3_600)),
            roll_step: Duration::from_secs(10),
        }
    }
}

/// What a new session is.
#[derive(Debug, Clone, Default)]
pub struct SessionSpec {
    /// Its name; by default its start.
    pub id: Option<SessionId>,
    /// Name of the host.
    pub node: String,
    /// For `session.json`: the host.
    pub host: serde_json::Value,
    /// For `session.json`: the configuration in effect, without secrets.
    pub config: serde_json::Value,
    /// For recordings made elsewhere: an anchor that was not measured now. Such a session can be appended to.
    pub estimated_anchor: Option<Anchor>,
}

/// The one writer of a session.
pub struct SessionWriter {
    anchor: Anchor,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Which stamps can be, where rows are recorded as they come.
    possible: Option<Possible>,
}

/// What the threads of a writer share.
struct Shared {
    pending: Pending,
    trouble: Mutex<Option<String>>,
    losses: Mutex<Losses>,
    /// Rows that were lost for want of room.
    refused_rows: AtomicU64,
    /// Rows of each session folder that was written, by table.
    sealed_rows: Mutex<BTreeMap<PathBuf, BTreeMap<String, u64>>>,
    /// Rows that the disk refused to the very end.
    lost_rows: AtomicU64,
    /// Rows in segments that could not be synced.
    unsynced_rows: AtomicU64,
    store: Store,
    home: Mutex<Home>,
}

impl Shared {
    /// What is wrong with the disk now.
    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that is written.
    fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that were sealed of a session, by table; from now on nobody counts them.
    fn take_sealed_rows(&self, session: &Path) -> BTreeMap<String, u64> {
        let mut rows = self.sealed_rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.remove(session).unwrap_or_default()
    }

    /// What was lost and is not in `health` yet.
    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionWriter {
    /// Begins a session, or goes on with one of that name where that is possible: within the same boot, as the
    /// monotonic clock is then the same, or where its anchor is an estimate.
    ///
    /// # Errors
    /// When another process writes it, when it cannot be continued, when the name of the host is none, and when the disk
    /// refuses.
    pub fn begin(store: &Store, spec: SessionSpec, options: WriteOptions) -> Result<Self> {
        let home = Home::take(store, spec, options.roll_step)?;
        let anchor = home.manifest.anchor;
        let possible = (!home.manifest.anchor_estimated).then(|| Possible::on(anchor));
        Self::start(store, home, options, possible)
    }

    /// The same, where the disk may be full: `wait` is told what it says, waits as long as it likes, and answers whether
    /// to try again.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); that the disk is full only once `wait` gives up.
    pub fn begin_when_there_is_room(
        store: &Store,
        spec: SessionSpec,
        options: WriteOptions,
        mut wait: impl FnMut(&StoreError) -> bool,
    ) -> Result<Self> {
        loop {
            match Self::begin(store, spec.clone(), options) {
                Err(e) if e.is_full_disk() && wait(&e) => {}
                other => return other,
            }
        }
    }

    /// Opens a session that has ended, to add rows that bring stamps of their own, such as those of a frame log. Its
    /// clock, its begin and its end stay as they are.
    ///
    /// # Errors
    /// When there is no such session, another process writes it, it was interrupted and is not recovered yet
    /// ([`Store::recover`]), and when the disk refuses.
    pub fn reopen(store: &Store, id: &SessionId, options: WriteOptions) -> Result<Self> {
        Self::start(store, Home::reopen(store, id)?, options, None)
    }

    fn start(
        store: &Store,
        home: Home,
        options: WriteOptions,
        possible: Option<Possible>,
    ) -> Result<Self> {
        let anchor = home.manifest.anchor;
        let shared = Arc::new(Shared {
            pending: Pending::new(options.pending_bytes),
            trouble: Mutex::new(None),
            losses: Mutex::default(),
            refused_rows: AtomicU64::new(0),
            sealed_rows: Mutex::new(BTreeMap::from([(
                home.dir.path().to_owned(),
                home.manifest.rows.clone(),
            )])),
            lost_rows: AtomicU64::new(0),
            unsynced_rows: AtomicU64::new(0),
            store: store.clone(),
            home: Mutex::new(home),
        });
        let (sealer, jobs) = Sealer::new(anchor, Arc::clone(&shared));
        // An import has the clock of its log.
        let watch = possible.is_some().then(|| Watch::on(anchor));
        let appender = Appender::new(anchor, options, Arc::clone(&shared), jobs, watch);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run)
        };
        Ok(Self {
            anchor,
            shared,
            threads: Mutex::new(vec![
                spawn("store-append", Box::new(move || appender.run()))?,
                spawn("store-seal", Box::new(move || sealer.run()))?,
            ]),
            possible,
        })
    }

    /// Takes rows in the table's row schema. Never waits for the disk.
    ///
    /// In a session that is being recorded, rows whose stamps cannot be (before the boot of the machine, or more than a
    /// minute ahead) are left out and counted in `health`.
    ///
    /// # Errors
    /// [`Full`] when too many rows wait already; whoever does not try again loses them, and tells it to
    /// [`count_loss`](Self::count_loss).
    pub fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        let rows = match &self.possible {
            Some(possible) => {
                let (kept, refused) = possible.keep(rows);
                if let Some((source, count)) = refused {
                    let detail = format!("table {}: {}", table.name, stamps::WHY);
                    self.count_loss(&source, Reason::BadStamp, count, &detail);
                }
                kept
            }
            None => rows,
        };
        if rows.num_rows() == 0 { Ok(()) } else { self.shared.pending.push(table, rows) }
    }

    /// Counts what a source has lost. It becomes a row of `health` as soon as the disk takes it, and has room
    /// until then whatever else waits; losses of one source for one reason are added up.
    pub fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str) {
        if reason == Reason::StoreFull {
            self.shared.refused_rows.fetch_add(count, Ordering::Relaxed);
        }
        self.shared.losses().note(source, reason, count, detail);
    }

    /// Rows lost so far as there was no room for them.
    pub fn refused_rows(&self) -> u64 {
        self.shared.refused_rows.load(Ordering::Relaxed)
    }

    /// Waits until everything appended so far is in segments. For writers that can wait, such as imports.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<()> {
        while !self.shared.pending.wait_flushed(Duration::from_millis(500)) {
            if let Some(trouble) = self.trouble() {
                return Err(StoreError::Io(std::io::Error::other(trouble)));
            }
        }
        Ok(())
    }

    /// What is wrong with the disk now, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble().clone()
    }

    /// The anchor of the stamps that are handed over. It stays what it was at the begin: where the session goes on in a part
    /// with another anchor, rows are moved to that one.
    pub fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Its name. It changes when it goes on in a new part, and when somebody deletes the session's folder: recording goes on in a new one.
    pub fn id(&self) -> SessionId {
        self.shared.home().manifest.id.clone()
    }

    /// Its folder.
    pub fn dir(&self) -> SessionDir {
        self.shared.home().dir.clone()
    }

    /// A copy of its `session.json`.
    pub fn manifest(&self) -> Manifest {
        self.shared.home().manifest.clone()
    }

    /// Changes `session.json`, on disk too if the change makes a difference.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn update(&self, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mut home = self.shared.home();
        let before = home.manifest.clone();
        change(&mut home.manifest);
        if home.manifest != before { home.manifest.write(&home.dir) } else { Ok(()) }
    }

    /// Ends the session: everything is written, synced and sealed, and `session.json` says so. Rows appended
    /// afterwards are refused.
    ///
    /// # Errors
    /// When the disk refuses: the rows stay in their segments, where readers and the next start find them.
    pub fn finish(&self) -> Result<Manifest> {
        let monotonic_ns = monotonic_ns();
        self.join();
        let dir = self.dir();
        let count = |rows: &AtomicU64| rows.load(Ordering::Acquire);
        let left = count(&self.shared.lost_rows) + count(&self.shared.unsynced_rows);
        // The sealer may have set its own trouble in the place of what the appender met, and be over it.
        let trouble = self.trouble().or((left > 0).then(|| "the disk refused rows".into()));
        if let Some(trouble) = trouble {
            let told = |rows: &AtomicU64, what: &str| match count(rows) {
                0 => String::new(),
                rows => format!("; {rows} rows {what}"),
            };
            let lost = told(&self.shared.refused_rows, "found no room in memory and are lost")
                + &told(&self.shared.lost_rows, "that waited in memory are lost")
                + &told(&self.shared.unsynced_rows, "are not known to be on the disk");
            return Err(StoreError::Io(std::io::Error::other(format!(
                "{trouble}{lost}; what could not be sealed stays in {} and is sealed at the next start",
                self.dir().path().display()
            ))));
        }
        self.update(|m| {
            if m.state != State::Ended {
                m.rows = self.shared.take_sealed_rows(dir.path());
                m.state = State::Ended;
                m.ended_ns.get_or_insert(m.anchor.ts(monotonic_ns));
            }
        })?;
        Ok(self.manifest())
    }

    fn join(&self) {
        self.shared.pending.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                *self.shared.trouble() = Some("a thread of the store panicked".into());
            }
        }
    }
}

impl Drop for SessionWriter {
    fn drop(&mut self) {
        self.join();
    }
}
