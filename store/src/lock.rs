//! One writer a session.

use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::Result;

/// The lock of a session, held until dropped or until the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Lock {
    file: fs::File,
}

/// How an attempt to lock ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    Got(Lock),
    /// Held by the process of that number, as it wrote down itself.
    Held(String),
}

impl Lock {
    /// Tries to take the lock, and writes this process's number into it.
    pub fn try_take(path: &Path) -> Result<Attempt> {
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            // No link that somebody put there is written through.
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        // A reader that asks whether the session is being recorded holds it for an instant.
        for _ in 0..20 {
            match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    file.set_len(0)?;
                    rustix::io::pwrite(file.file(), std::process::id().to_string().as_bytes(), 0)
                        .map_err(|e| {
                        let e = std::io::Error::from(e);
                        std::io::Error::new(e.kind(), format!("{}: {e}", path.display()))
                    })?;
                    return Ok(Attempt::Got(Lock { file }));
                }
                Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
                Err(e) => return Err(std::io::Error::from(e).into()),
            }
        }
        let pid = fs::read_to_string(path)?;
        Ok(Attempt::Held(if pid.is_empty() { "(unknown)".into() } else { pid }))
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
