//! Locks of a session, each a file that is held until its holder drops it or dies, however it dies.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::Result;

/// A lock, held until dropped or until the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    file: fs::File,
}

/// How an attempt to lock ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    Got(Lock),
    /// Held by somebody else.
    Held(Holder),
}

/// Who holds a lock, as it wrote down itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The number of its process.
    pub pid: String,
    /// What it does, where it told that.
    pub what: String,
}

impl Lock {
    /// Tries to take the lock, and writes this process's number into it, and what it is about to do.
    pub fn try_take(path: &Path, what: &str) -> Result<Attempt> {
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            // No link that somebody put there is written through.
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        // A reader that asks whether it is held holds it for an instant.
        for _ in 0..20 {
            match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let text = format!("{} {what}", std::process::id());
                    file.set_len(0)?;
                    rustix::io::pwrite(file.file(), text.trim_end().as_bytes(), 0).map_err(
                        |e| {
                            let e = std::io::Error::from(e);
                            std::io::Error::new(e.kind(), format!("{}: {e}", path.display()))
                        },
                    )?;
                    return Ok(Attempt::Got(Lock { file }));
                }
                Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
                Err(e) => return Err(std::io::Error::from(e).into()),
            }
        }
        Ok(Attempt::Held(Holder::parse(&fs::read_to_string(path)?)))
    }

    /// Whether the file has no name any more.
    pub fn is_unlinked(&self) -> bool {
        rustix::fs::fstat(self.file.file()).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Whether some process holds it.
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = std::fs::File::open(path) else { return false };
        matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK))
    }
}

impl Holder {
    fn parse(text: &str) -> Self {
        let (pid, what) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let pid = if pid.is_empty() { "(unknown)" } else { pid };
        Self { pid: pid.into(), what: what.into() }
    }
}
