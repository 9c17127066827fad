//! A disk that fails when it is told to: the file system of the machine, with faults in front of it.

#![allow(dead_code)]

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bl_store::storage::{FileSystem, Storage, StorageFile};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and says so.
    Error,
    /// A write takes a part only, and the next one fails; other operations as `Error`.
    Short,
    /// A sync fails, and what it was for is gone: zeros are read where it was, and the next sync succeeds. This is what
    /// Linux does when a thin volume has no room for pages that were already written (`fsync(2)`). Other operations as
    /// `Error`.
    SyncLost,
    /// From here on nothing has room, for so many operations; what frees room or needs none works.
    Full(u64),
    /// From here on nothing works, as if the process had been killed.
    Dead,
    /// The same, and what was not synced is gone, as if the power had been cut.
    PowerCut,
}

#[derive(Debug, Default)]
struct State {
    operations: u64,
    /// At which operation what happens.
    plan: Vec<(u64, Fault)>,
    /// Or at the next one that is described so.
    next: Vec<(String, Fault)>,
    full_until: u64,
    dead: bool,
    fail_next_write: bool,
    log: Vec<String>,
    files: Vec<Known>,
    /// Files that were removed, where they were and where they are kept until their folder is synced.
    removed: Vec<(PathBuf, PathBuf)>,
    graveyard: Option<PathBuf>,
}

/// A file that was created.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    /// Under which name it comes back after a power cut; none before its folder was synced.
    durable: Option<PathBuf>,
    /// How much was written, and how much of that is synced.
    length: Arc<Mutex<(u64, u64)>>,
}

/// The disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Needs room.
    Write,
    Sync,
    /// Needs none: removals, renames, cuts.
    Other,
}

impl FaultyDisk {
    /// A disk on which that operation, counted from 0, fails.
    pub fn failing_at(operation: u64, fault: Fault) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().plan.push((operation, fault));
        disk
    }

    /// How many operations it was asked for.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// What was asked of it.
    pub fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().log.clone()
    }

    /// From here on there is no room, or there is again.
    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full_until = if full { u64::MAX } else { 0 };
    }

    /// There is room for so many operations more, counted from the beginning.
    pub fn set_full_after(&self, operations: u64) {
        let mut state = self.0.lock().unwrap();
        let from = state.operations.max(operations);
        state.plan.push((from, Fault::Full(u64::MAX - from)));
    }

    /// Whether all that was written is synced.
    pub fn is_settled(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.files.iter().all(|f| {
            let (written, synced) = *f.length.lock().unwrap();
            written == synced
        })
    }

    /// Keeps removed files there until their removal is durable, to bring them back at a power cut.
    pub fn keep_removed(&self, graveyard: &Path) {
        self.0.lock().unwrap().graveyard = Some(graveyard.into());
    }

    /// Makes the next operation fail whose line in the log holds `what`.
    pub fn fail_next(&self, what: &str, fault: Fault) {
        self.0.lock().unwrap().next.push((what.to_owned(), fault));
    }

    /// Counts an operation; whether it fails, and how.
    fn meets(&self, kind: Kind, what: String) -> io::Result<Option<Fault>> {
        let mut state = self.0.lock().unwrap();
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        let n = state.operations;
        state.operations += 1;
        if let Some(i) = state.next.iter().position(|(next, _)| what.contains(next)) {
            let (_, fault) = state.next.remove(i);
            state.plan.push((n, fault));
        }
        state.log.push(format!("{n} {what}"));
        if std::mem::take(&mut state.fail_next_write) && kind == Kind::Write {
            return Err(full(&what));
        }
        if n < state.full_until && kind == Kind::Write {
            return Err(full(&what));
        }
        let Some(fault) = state.plan.iter().find(|(at, _)| *at == n).map(|(_, f)| *f) else {
            return Ok(None);
        };
        match fault {
            Fault::Full(operations) => {
                state.full_until = n + operations;
                if kind == Kind::Write { Err(full(&what)) } else { Ok(None) }
            }
            Fault::Dead => {
                state.dead = true;
                Err(io::Error::other("the process is dead"))
            }
            Fault::PowerCut => {
                state.dead = true;
                state.cut_power();
                Err(io::Error::other("the power is cut"))
            }
            Fault::Short if kind == Kind::Write => {
                state.fail_next_write = true;
                Ok(Some(fault))
            }
            Fault::SyncLost if kind == Kind::Sync => Ok(Some(fault)),
            _ => Err(io::Error::other("the disk has failed")),
        }
    }
}

impl State {
    /// What is not known to be durable is not: contents, names and removals. Folders are.
    fn cut_power(&mut self) {
        for file in &self.files {
            forget(&file.path, file.length.lock().unwrap().1);
            let undone = match &file.durable {
                None => std::fs::remove_file(&file.path),
                Some(path) if *path != file.path => std::fs::rename(&file.path, path),
                Some(_) => Ok(()),
            };
            // Another thread may be between an operation and its note of it: the file has its next name already.
            if undone.as_ref().is_err_and(|e| e.kind() != ErrorKind::NotFound) {
                undone.unwrap();
            }
        }
        for (path, kept) in self.removed.drain(..).filter(|(path, _)| !path.exists()) {
            std::fs::rename(kept, path).unwrap();
        }
    }
}

/// Names the path, as the file system of the machine does.
fn full(what: &str) -> io::Error {
    io::Error::new(ErrorKind::StorageFull, format!("no room: {what}"))
}

/// Zeros in place of what was not synced.
fn forget(path: &Path, synced: u64) {
    let Ok(file) = File::options().write(true).open(path) else { return };
    let Ok(length) = file.metadata().map(|m| m.len()) else { return };
    if length > synced {
        file.write_all_at(&vec![0; (length - synced) as usize], synced).unwrap();
    }
}

impl Storage for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.meets(Kind::Write, format!("create {}", path.display()))?;
        let inner = FileSystem.create_new(path)?;
        let length = Arc::new(Mutex::new((0, 0)));
        let known = Known { path: path.into(), durable: None, length: Arc::clone(&length) };
        self.0.lock().unwrap().files.push(known);
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.into(), inner, length }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.meets(Kind::Write, format!("mkdir {}", path.display()))?;
        FileSystem.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meets(Kind::Other, format!("rename {} {}", from.display(), to.display()))?;
        let replaces = to.exists();
        FileSystem.rename(from, to)?;
        let mut state = self.0.lock().unwrap();
        state.files.retain(|f| f.path != to);
        for file in state.files.iter_mut().filter(|f| f.path == from) {
            file.path = to.into();
            // The old content does not come back here: it is one of the two ways that a power cut may go.
            file.durable = if replaces { Some(to.into()) } else { file.durable.take() };
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.meets(Kind::Other, format!("remove {}", path.display()))?;
        let mut state = self.0.lock().unwrap();
        let durable = state.files.iter().all(|f| f.path != path || f.durable.is_some());
        state.files.retain(|f| f.path != path);
        let Some(graveyard) = state.graveyard.clone().filter(|_| durable) else {
            return FileSystem.remove_file(path);
        };
        let kept = graveyard.join(state.operations.to_string());
        FileSystem.rename(path, &kept)?;
        state.removed.push((path.into(), kept));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.meets(Kind::Other, format!("rmdir {}", path.display()))?;
        FileSystem.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.meets(Kind::Sync, format!("syncdir {}", path.display()))?.is_some() {
            return Err(io::Error::other("the disk has failed"));
        }
        FileSystem.sync_dir(path)?;
        let mut state = self.0.lock().unwrap();
        for file in state.files.iter_mut().filter(|f| f.path.parent() == Some(path)) {
            file.durable = Some(file.path.clone());
        }
        state.removed.retain(|(removed, _)| removed.parent() != Some(path));
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    inner: Box<dyn StorageFile>,
    length: Arc<Mutex<(u64, u64)>>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let short = self.disk.meets(Kind::Write, format!("write {}", self.path.display()))?;
        let taken = if short.is_some() { &bytes[..bytes.len() / 2] } else { bytes };
        let n = self.inner.write(taken)?;
        self.length.lock().unwrap().0 += n as u64;
        Ok(n)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&parts.iter().flat_map(|p| p.iter().copied()).collect::<Vec<u8>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl StorageFile for FaultyFile {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.meets(Kind::Other, format!("cut {} to {bytes}", self.path.display()))?;
        self.inner.cut(bytes)?;
        let mut length = self.length.lock().unwrap();
        *length = (bytes, bytes.min(length.1));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let what = format!("sync {}", self.path.display());
        let lost = self.disk.meets(Kind::Sync, what)?;
        let mut length = self.length.lock().unwrap();
        if lost.is_some() {
            forget(&self.path, length.1);
            length.1 = length.0;
            return Err(io::Error::other("the disk could not write what it had taken"));
        }
        self.inner.sync()?;
        length.1 = length.0;
        Ok(())
    }
}
