//! What the store asks of a disk: everything that it writes, syncs, renames and removes goes through here.
//!
//! The seam has one use beside the file system: tests put a disk behind it that fails at any operation they like.
//! Reading does not go through it, nor does the lock, which is a matter of processes and holds no rows.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::Result;

/// A disk, as the store needs it. Errors name the path.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Creates a file for writing that was not there; a link that lies in its place is not followed.
    ///
    /// # Errors
    /// `AlreadyExists` when anything is there, and what the disk says.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// Creates a folder in one that is there.
    ///
    /// # Errors
    /// `AlreadyExists` when anything is there, and what the disk says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, over another one if that is there.
    ///
    /// # Errors
    /// What the disk says; nothing has changed then.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the disk says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// What the disk says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes durable which names a folder holds.
    ///
    /// # Errors
    /// What the disk says; creations, renames and removals in the folder may or may not survive a power cut then.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A file that the store writes, from its beginning to its end.
pub trait StorageFile: io::Write + Send {
    /// Cuts the file to so many bytes, and goes on writing there.
    ///
    /// # Errors
    /// What the disk says; the file may be as long as before.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// What the disk says. Linux tells it once: what could not be written may be dropped from memory, and the next sync
    /// succeeds without it (`fsync(2)`). So whoever wrote has to write it again, elsewhere.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Storage for FileSystem {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(fs::File::options().write(true).create_new(true).open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
}

impl StorageFile for fs::File {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)?;
        rustix::fs::seek(self.file(), rustix::fs::SeekFrom::Start(bytes))?;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What the store does with any disk.
impl dyn Storage + '_ {
    /// Makes a folder and its parents durable: each new name is synced in the folder that holds it.
    pub(crate) fn create_dir_durably(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = holder(folder) {
            self.create_dir_durably(parent)?;
            match self.create_dir(folder) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            if let Err(e) = self.sync_dir(parent) {
                // It would be taken for durable the next time.
                let _ = self.remove_dir(folder);
                return Err(e.into());
            }
        }
        Ok(())
    }

    /// Replaces a file at once: whoever reads it finds the old content or the new, also after a crash.
    pub(crate) fn replace_file(&self, path: &Path, content: &[u8]) -> Result<()> {
        let beside = beside(path);
        let written = self.create_anew(&beside).and_then(|mut file| {
            file.write_all(content)?;
            file.sync()?;
            self.rename(&beside, path)
        });
        if let Err(e) = written {
            // It is removed at the next start, if not now.
            let _ = self.remove_file(&beside);
            return Err(e.into());
        }
        self.sync_parent(path)
    }

    /// Creates a file at a place where the remains of an earlier attempt may lie: they are removed, and no link is
    /// followed.
    pub(crate) fn create_anew(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        match self.create_new(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.remove_file(path)?;
                self.create_new(path)
            }
            other => other,
        }
    }

    /// Makes renames and removals of this name durable.
    pub(crate) fn sync_parent(&self, path: &Path) -> Result<()> {
        Ok(holder(path).map_or(Ok(()), |folder| self.sync_dir(folder))?)
    }
}

/// The folder that holds a name: of a relative one such as `new`, whose parent is no path that can be opened, the working
/// folder.
fn holder(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    let holder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    (holder != path).then_some(holder)
}

/// Where a file is written before it gets its name: hidden, so that no engine's glob takes it for data.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

/// Whether a name is that of a file that was being written.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Replaces a file at once: whoever reads it finds the old content or the new, also after a crash.
///
/// # Errors
/// When it cannot be written; the old content stays then.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let storage: &dyn Storage = &FileSystem;
    storage.replace_file(path, content)
}
