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
mod pending;
mod sealer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_schemas::Table;
use fs_err as fs;

use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::layout::{SessionDir, create_dir_durably};
use crate::lock::{Attempt, Lock};
use crate::manifest::{FORMAT, Manifest, State, boot_id};
use crate::names::SessionId;
use crate::recover::seal_orphans;
use crate::rest::Origin;
use crate::store::Store;

use appender::Appender;
use pending::Pending;
use sealer::Sealer;

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
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            flush_every: Duration::from_millis(100),
            sync_every: Duration::from_secs(1),
            seal_after: Duration::from_secs(300),
            seal_bytes: 64 << 20,
            pending_bytes: 128 << 20,
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
    dir: SessionDir,
    anchor: Anchor,
    manifest: Mutex<Manifest>,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: Lock,
}

/// What the threads of a writer share.
struct Shared {
    pending: Pending,
    trouble: Mutex<Option<String>>,
    sealed_rows: Mutex<std::collections::BTreeMap<String, u64>>,
    /// Rows that the disk refused to the very end.
    lost_rows: AtomicUsize,
}

impl Shared {
    /// What is wrong with the disk now.
    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionWriter {
    /// Begins a session, or goes on with one of that name where that is possible: within the same boot, as the
    /// monotonic clock is then the same, or where its anchor is an estimate.
    ///
    /// # Errors
    /// When another process writes it, when it cannot be continued, and when the disk refuses.
    pub fn begin(store: &Store, spec: SessionSpec, options: WriteOptions) -> Result<Self> {
        let anchor = spec.estimated_anchor.unwrap_or_else(Anchor::measure);
        let id = match &spec.id {
            Some(id) => id.clone(),
            None => unused_id(store, anchor)?,
        };
        let dir = store.dir(&id);
        create_dir_durably(dir.path())?;
        let lock = lock(&dir, &id)?;
        let mut interrupted = false;
        let manifest = match Manifest::read(&dir.manifest()) {
            Ok(old) => {
                interrupted = old.state == State::Recording;
                continued(old, &spec)?
            }
            Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                fresh(id, spec, anchor)
            }
            Err(e) => return Err(e),
        };
        let origin = Origin { session: manifest.id.to_string(), node: manifest.node.clone() };
        seal_orphans(&dir, &origin)?;
        let manifest = match interrupted {
            // Its recorder died before it could say how much there is.
            true => Manifest { rows: crate::count::count_rows(&dir)?.0, ..manifest },
            false => manifest,
        };
        manifest.write(&dir.manifest())?;
        Self::start(dir, manifest, origin, options, lock)
    }

    /// Opens a session that has ended, to add rows that bring stamps of their own, such as those of a frame log. Its
    /// clock, its begin and its end stay as they are.
    ///
    /// # Errors
    /// When there is no such session, another process writes it, it was interrupted and is not recovered yet
    /// ([`Store::recover`]), and when the disk refuses.
    pub fn reopen(store: &Store, id: &SessionId, options: WriteOptions) -> Result<Self> {
        let dir = store.session(id)?.dir().clone();
        let lock = lock(&dir, id)?;
        let ended = Manifest::read(&dir.manifest())?;
        if ended.state == State::Recording {
            let why = "was interrupted and is not recovered yet".into();
            return Err(StoreError::Taken { name: id.to_string(), why });
        }
        let manifest = Manifest { state: State::Recording, ..ended };
        manifest.write(&dir.manifest())?;
        let origin = Origin { session: manifest.id.to_string(), node: manifest.node.clone() };
        Self::start(dir, manifest, origin, options, lock)
    }

    fn start(
        dir: SessionDir,
        manifest: Manifest,
        origin: Origin,
        options: WriteOptions,
        lock: Lock,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            pending: Pending::new(options.pending_bytes),
            trouble: Mutex::new(None),
            sealed_rows: Mutex::new(manifest.rows.clone()),
            lost_rows: AtomicUsize::new(0),
        });
        let anchor = manifest.anchor;
        let (sealer, jobs) = Sealer::new(dir.clone(), origin, anchor, Arc::clone(&shared));
        let appender = Appender::new(dir.clone(), anchor, options, Arc::clone(&shared), jobs);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run)
        };
        Ok(Self {
            dir,
            anchor,
            manifest: Mutex::new(manifest),
            shared,
            threads: Mutex::new(vec![
                spawn("store-append", Box::new(move || appender.run()))?,
                spawn("store-seal", Box::new(move || sealer.run()))?,
            ]),
            _lock: lock,
        })
    }

    /// Takes rows in the table's row schema. Never waits for the disk.
    ///
    /// # Errors
    /// [`Full`] when too many rows wait already; these are lost then.
    pub fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        self.shared.pending.push(table, rows)
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

    /// The session's anchor.
    pub fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Its folder.
    pub fn dir(&self) -> &SessionDir {
        &self.dir
    }

    /// A copy of its `session.json`.
    pub fn manifest(&self) -> Manifest {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes `session.json`, on disk too if the change makes a difference.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn update(&self, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = manifest.clone();
        change(&mut manifest);
        if *manifest != before { manifest.write(&self.dir.manifest()) } else { Ok(()) }
    }

    /// Ends the session: everything is written, synced and sealed, and `session.json` says so. Rows appended
    /// afterwards are refused.
    ///
    /// # Errors
    /// When the disk refuses: the rows stay in their segments, where readers and the next start find them.
    pub fn finish(&self) -> Result<Manifest> {
        let ended = self.anchor.now();
        self.join();
        let rows = self.shared.sealed_rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(trouble) = self.trouble() {
            let lost = match self.shared.lost_rows.load(Ordering::Acquire) {
                0 => String::new(),
                rows => format!("; {rows} rows that waited in memory are lost"),
            };
            return Err(StoreError::Io(std::io::Error::other(format!(
                "{trouble}{lost}; what could not be sealed stays in {} and is sealed at the next start",
                self.dir.path().display()
            ))));
        }
        self.update(|m| {
            m.rows = rows;
            m.state = State::Ended;
            m.ended_ns.get_or_insert(ended);
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

fn fresh(id: SessionId, spec: SessionSpec, anchor: Anchor) -> Manifest {
    let started_ns = match spec.estimated_anchor {
        Some(_) => id.time_ns().unwrap_or_else(|| anchor.now()),
        None => anchor.now(),
    };
    Manifest {
        format: FORMAT,
        id,
        node: spec.node,
        started_ns,
        ended_ns: None,
        state: State::Recording,
        anchor,
        anchor_estimated: spec.estimated_anchor.is_some(),
        boot_id: boot_id(),
        sources: Vec::new(),
        simulated: false,
        devices: Vec::new(),
        host: spec.host,
        config: spec.config,
        imports: Vec::new(),
        rows: Default::default(),
    }
}

/// Takes the lock of a session's one writer.
fn lock(dir: &SessionDir, id: &SessionId) -> Result<Lock> {
    match Lock::try_take(&dir.lock())? {
        Attempt::Got(lock) => Ok(lock),
        Attempt::Held(pid) => Err(StoreError::Locked { name: id.to_string(), pid }),
    }
}

/// The manifest of a session that is there, for going on with it.
fn continued(old: Manifest, spec: &SessionSpec) -> Result<Manifest> {
    let importing = spec.estimated_anchor.is_some();
    let why = match (importing, old.anchor_estimated) {
        (true, true) => None,
        (true, false) => Some("was recorded, not imported"),
        (false, true) => Some("was imported"),
        (false, false) if old.boot_id.is_none() || old.boot_id != boot_id() => {
            Some("was recorded before the last reboot, and its clock has ended with that")
        }
        (false, false) => None,
    };
    match why {
        Some(why) => Err(StoreError::Taken { name: old.id.to_string(), why: why.into() }),
        None => Ok(Manifest {
            state: State::Recording,
            ended_ns: old.ended_ns.filter(|_| importing),
            ..old
        }),
    }
}

/// The default name, numbered if it is taken.
fn unused_id(store: &Store, anchor: Anchor) -> Result<SessionId> {
    let base = SessionId::at(anchor.now());
    for n in 2..1000 {
        let id = if n == 2 { base.clone() } else { format!("{base}-{}", n - 1).parse()? };
        create_dir_durably(store.dir(&id).path().parent().unwrap_or(store.data_root()))?;
        match fs::create_dir(store.dir(&id).path()) {
            Ok(()) => return Ok(id),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(StoreError::Taken { name: base.to_string(), why: "exists a thousand times".into() })
}
