//! The session that a writer writes: its folder, its lock, its `session.json`.

use std::time::Duration;

use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::layout::SessionDir;
use crate::lock::{Attempt, Lock};
use crate::maintenance::{Maintenance, Task};
use crate::manifest::{FORMAT, Manifest, State, boot_id};
use crate::names::{SessionId, check_node};
use crate::recover::{Recovered, has_orphans, seal_orphans, tell};
use crate::rest::Origin;
use crate::store::Store;

use super::SessionSpec;

/// A session that is locked by this process.
#[derive(Debug)]
pub(super) struct Home {
    pub dir: SessionDir,
    pub manifest: Manifest,
    lock: Lock,
}

impl Home {
    /// Begins a session, or goes on with the last part of one of that name; with a new part, if the wall clock has left its
    /// stamps behind by more than `step`. A folder that was made for it goes again if that fails.
    pub fn take(store: &Store, spec: SessionSpec, step: Duration) -> Result<Self> {
        check_node(&spec.node)?;
        let anchor = spec.estimated_anchor.unwrap_or_else(Anchor::measure);
        let last = match &spec.id {
            Some(id) if spec.estimated_anchor.is_none() => store.parts(id)?.pop(),
            _ => None,
        };
        if let Some(last) = &last
            && let Ok(manifest) = Manifest::read(&store.dir(last).manifest())
            && continued(manifest.clone(), &spec).is_ok()
            && manifest.anchor.is_off(anchor, step)
        {
            return Self::next_part(&manifest, store, anchor);
        }
        let (id, is_new) = match last.as_ref().or(spec.id.as_ref()) {
            Some(id) => (id.clone(), !store.dir(id).path().exists()),
            None => (unused_id(store, &SessionId::at(anchor.now()))?, true),
        };
        let dir = store.dir(&id);
        let taken = Self::take_in(&dir, id, spec, anchor);
        match &taken {
            // Another process was faster, and it is its folder.
            Err(StoreError::Locked { .. }) | Ok(_) => {}
            Err(_) if is_new => clear_away(&dir),
            Err(_) => {}
        }
        taken
    }

    fn take_in(dir: &SessionDir, id: SessionId, spec: SessionSpec, anchor: Anchor) -> Result<Self> {
        dir.storage().create_dir_durably(dir.path())?;
        let lock = lock(dir, &id)?;
        let mut interrupted = false;
        let mut manifest = match Manifest::read(&dir.manifest()) {
            Ok(old) => {
                interrupted = old.state == State::Recording;
                continued(old, &spec)?
            }
            Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                fresh(id, spec, anchor)
            }
            Err(e) => return Err(e),
        };
        let orphans = match has_orphans(dir)? {
            true => seal_orphans(&Maintenance::take(dir, Task::Recovery)?, &origin(&manifest))?,
            false => Recovered::default(),
        };
        if let Some(left) = orphans.left.first() {
            let why = format!("is not known: {left}");
            return Err(StoreError::Taken { name: manifest.id.to_string(), why });
        }
        if orphans.segments > 0 {
            tell(dir, &origin(&manifest), manifest.anchor, &orphans)?;
        }
        if interrupted {
            // Its recorder died before it could say how much there is.
            manifest.rows = crate::count::count_rows(dir)?.rows;
        }
        manifest.write(dir)?;
        Ok(Self { dir: dir.clone(), manifest, lock })
    }

    /// Opens a session that has ended.
    pub fn reopen(store: &Store, id: &SessionId) -> Result<Self> {
        let dir = store.session(id)?.dir().clone();
        let lock = lock(&dir, id)?;
        let ended = Manifest::read(&dir.manifest())?;
        if ended.state == State::Recording {
            let why = "was interrupted and is not recovered yet".into();
            return Err(StoreError::Taken { name: id.to_string(), why });
        }
        let manifest = Manifest { state: State::Recording, ..ended };
        manifest.write(&dir)?;
        Ok(Self { dir, manifest, lock })
    }

    /// Whether somebody has deleted the session's folder.
    pub fn is_gone(&self) -> bool {
        self.lock.is_unlinked() && !self.dir.manifest().exists()
    }

    /// A new session that goes on where this one was deleted: the same host, clock and sources, under another name.
    pub fn successor(&self, store: &Store) -> Result<Self> {
        let now = self.manifest.anchor.now();
        let old = &self.manifest.id;
        let by_time = SessionId::at(now);
        let base = match old.time_ns() {
            Some(_) if by_time != *old => by_time,
            _ => format!("{old}-2").parse().unwrap_or(by_time),
        };
        let id = unused_id(store, &base)?;
        // It is no part of a session whose other parts are there.
        let next = Manifest { part_of: None, part: None, ..beginning(&self.manifest, id, now) };
        Self::settle(store, next)
    }

    /// The next part of this session: the same host and sources, under another name and with another anchor.
    pub fn next_part(of: &Manifest, store: &Store, anchor: Anchor) -> Result<Self> {
        let first = of.part_of.clone().unwrap_or_else(|| of.id.clone());
        let mut number = of.part.unwrap_or(1);
        let id = loop {
            number += 1;
            let id = first.of_part(number)?;
            if create(store, &id)? {
                break id;
            }
        };
        let next = Manifest {
            part_of: Some(first),
            part: Some(number),
            anchor,
            boot_id: boot_id(),
            state: State::Recording,
            ended_ns: None,
            ..beginning(of, id, anchor.now())
        };
        Self::settle(store, next)
    }

    /// Takes the folder that was just made for a session.
    fn settle(store: &Store, manifest: Manifest) -> Result<Self> {
        let dir = store.dir(&manifest.id);
        let settled = lock(&dir, &manifest.id).and_then(|lock| Ok((lock, manifest.write(&dir)?)));
        match settled {
            Ok((lock, ())) => Ok(Self { dir, manifest, lock }),
            Err(e) => {
                clear_away(&dir);
                Err(e)
            }
        }
    }

    /// Gives the session up in which nothing was recorded.
    pub fn clear_away(self) {
        clear_away(&self.dir);
    }

    /// What `session` and `node` are in its rows.
    pub fn origin(&self) -> Origin {
        origin(&self.manifest)
    }
}

/// A session that begins now as the one before was.
fn beginning(before: &Manifest, id: SessionId, now: i64) -> Manifest {
    Manifest {
        id,
        started_ns: now,
        rows: Default::default(),
        imports: Vec::new(),
        other: Default::default(),
        ..before.clone()
    }
}

fn origin(manifest: &Manifest) -> Origin {
    Origin { session: manifest.id.to_string(), node: manifest.node.clone() }
}

/// Removes a folder in which no session began. What cannot be removed is an empty folder more.
fn clear_away(dir: &SessionDir) {
    for file in [dir.manifest(), dir.lock()] {
        let _ = dir.storage().remove_file(&file);
    }
    let _ = dir.storage().remove_dir(dir.path());
}

fn fresh(id: SessionId, spec: SessionSpec, anchor: Anchor) -> Manifest {
    let started_ns = match spec.estimated_anchor {
        Some(_) => id.time_ns().unwrap_or_else(|| anchor.now()),
        None => anchor.now(),
    };
    Manifest {
        format: FORMAT,
        part_of: id.part().map(|(first, _)| first),
        part: id.part().map(|(_, number)| number),
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
        rows: Default::default(),
        imports: Vec::new(),
        other: Default::default(),
    }
}

/// Takes the lock of a session's one writer.
fn lock(dir: &SessionDir, id: &SessionId) -> Result<Lock> {
    match Lock::try_take(&dir.lock(), "")? {
        Attempt::Got(lock) => Ok(lock),
        Attempt::Held(by) => Err(StoreError::Locked { name: id.to_string(), pid: by.pid }),
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
fn unused_id(store: &Store, base: &SessionId) -> Result<SessionId> {
    for n in 1..1000 {
        let id = if n == 1 { base.clone() } else { format!("{base}-{n}").parse()? };
        if create(store, &id)? {
            return Ok(id);
        }
    }
    Err(StoreError::Taken { name: base.to_string(), why: "exists a thousand times".into() })
}

/// Makes the folder of a session; `false` where there is one.
fn create(store: &Store, id: &SessionId) -> Result<bool> {
    let dir = store.dir(id);
    let sessions = dir.path().parent().unwrap_or(store.data_root());
    dir.storage().create_dir_durably(sessions)?;
    match dir.storage().create_dir(dir.path()) {
        Ok(()) => {
            let synced = dir.storage().sync_dir(sessions);
            synced.inspect_err(|_| clear_away(&dir))?;
            Ok(true)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.into()),
    }
}
