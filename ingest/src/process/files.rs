//! The files of `/proc/PID`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bl_store::clock::monotonic_ns;
use rustix::fs::{Mode, OFlags, openat};

use crate::sysfs::{KernelFileError, number};

/// `/proc`, whose files are opened below it one after the other, into one buffer.
pub(super) struct ProcFiles {
    root: PathBuf,
    proc: OwnedFd,
    path: String,
    buffer: Vec<u8>,
}

impl ProcFiles {
    /// # Errors
    /// What open(2) says of `root/proc`; that it is absent where nothing of it is a process.
    pub(super) fn open(root: &Path) -> Result<Self, KernelFileError> {
        let path = root.join("proc");
        match File::open(&path) {
            Ok(folder) => {
                let proc = folder.into();
                Ok(Self { root: root.to_owned(), proc, path: String::new(), buffer: Vec::new() })
            }
            Err(cause) => Err(KernelFileError { path, cause }),
        }
    }

    /// The root that `/proc` is under.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The processes that are there, in no order.
    ///
    /// # Errors
    /// When they cannot be listed, or there is none at all.
    pub(super) fn pids(&self) -> Result<Vec<i32>, KernelFileError> {
        let path = self.root.join("proc");
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(cause) => return Err(KernelFileError { path, cause }),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let pid = |name: std::ffi::OsString| number(name.as_encoded_bytes())?.try_into().ok();
        let pids: Vec<i32> = names.filter_map(pid).collect();
        match pids.is_empty() {
            true => Err(KernelFileError { path, cause: ErrorKind::NotFound.into() }),
            false => Ok(pids),
        }
    }

    /// The text of a file of a process, and the monotonic midpoint of its reading; `None` where the process has ended or
    /// the file is not for us.
    pub(super) fn read(&mut self, pid: i32, file: &str) -> Option<(&[u8], i64)> {
        use std::fmt::Write;
        self.path.clear();
        // A string takes whatever is written.
        let _ = write!(self.path, "{pid}/{file}");
        let from_ns = monotonic_ns();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.proc, &self.path, flags, Mode::empty()).ok()?);
        self.buffer.clear();
        file.by_ref().take(1 << 16).read_to_end(&mut self.buffer).ok()?;
        Some((&self.buffer, from_ns + (monotonic_ns() - from_ns) / 2))
    }
}
