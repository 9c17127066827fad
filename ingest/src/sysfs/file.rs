//! One file of `/proc` or `/sys`, kept open and read again and again.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bl_store::Reason;
use bl_store::clock::monotonic_ns;

use crate::source::SourceError;

/// A file of `/proc` or `/sys` that stays open: reading it again costs neither a path lookup nor an allocation.
#[derive(Debug)]
pub struct KernelFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

/// What a file said, and when.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The whole text.
    pub text: &'a [u8],
    /// Monotonic time at which the read began, in nanoseconds.
    pub from_ns: i64,
    /// Monotonic time at which the read ended, in nanoseconds.
    pub to_ns: i64,
}

impl Reading<'_> {
    /// Monotonic midpoint of the read, in nanoseconds: the stamp of what was read.
    pub fn at_ns(&self) -> i64 {
        self.from_ns + (self.to_ns - self.from_ns) / 2
    }
}

/// Why a file of the kernel could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {cause}", path.display())]
pub struct KernelFileError {
    /// The file.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub cause: std::io::Error,
}

impl KernelFileError {
    /// Whether the kernel refused permission, so that a person has to grant it.
    pub fn is_denied(&self) -> bool {
        self.cause.kind() == ErrorKind::PermissionDenied
    }

    /// Whether the file was read, and its text is not what it has to be.
    pub fn is_malformed(&self) -> bool {
        self.cause.kind() == ErrorKind::InvalidData
    }

    /// What a row of `health` calls it.
    pub fn reason(&self) -> Reason {
        match () {
            () if self.is_denied() => Reason::Denied,
            () if self.is_malformed() => Reason::Malformed,
            () => Reason::Down,
        }
    }

    /// Whether there is no such file, or what it tells of has gone.
    pub fn is_absent(&self) -> bool {
        self.cause.kind() == ErrorKind::NotFound
            || self.cause.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
    }
}

/// Files of the kernel may come, and be permitted, later.
impl From<KernelFileError> for SourceError {
    fn from(error: KernelFileError) -> Self {
        match error.is_denied() {
            true => SourceError::Denied(error.to_string()),
            false => SourceError::Retry(error.to_string()),
        }
    }
}

impl KernelFile {
    /// Opens `root/relative`.
    ///
    /// # Errors
    /// What open(2) says, with the path.
    pub fn open(root: &Path, relative: &str) -> Result<Self, KernelFileError> {
        let path = root.join(relative);
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file, buffer: Vec::new() }),
            Err(cause) => Err(KernelFileError { path, cause }),
        }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error of a file whose text is not what it has to be.
    pub fn malformed(&self) -> KernelFileError {
        let cause = std::io::Error::new(ErrorKind::InvalidData, "its text makes no sense");
        KernelFileError { path: self.path.clone(), cause }
    }

    /// Reads the whole file from its beginning. A list such as `/proc/net/dev` comes a page a read(2), so the
    /// end is where nothing more comes.
    ///
    /// # Errors
    /// What read(2) says, with the path.
    pub fn read(&mut self) -> Result<Reading<'_>, KernelFileError> {
        self.fill(false)
    }

    /// Reads an attribute of sysfs: one read(2) gives all of it (a page at most).
    ///
    /// # Errors
    /// What read(2) says, with the path.
    pub fn read_attribute(&mut self) -> Result<Reading<'_>, KernelFileError> {
        self.fill(true)
    }

    fn fill(&mut self, once: bool) -> Result<Reading<'_>, KernelFileError> {
        const PAGE: usize = 4096;
        let mut len = 0;
        let from_ns = monotonic_ns();
        loop {
            if self.buffer.len() < len + PAGE {
                self.buffer.resize((2 * self.buffer.len()).max(len + PAGE), 0);
            }
            match self.file.read_at(&mut self.buffer[len..], len as u64) {
                Ok(0) => break,
                Ok(n) => {
                    len += n;
                    if once {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(KernelFileError { path: self.path.clone(), cause }),
            }
        }
        let to_ns = monotonic_ns();
        Ok(Reading { text: &self.buffer[..len], from_ns, to_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time_however_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        let mut file = KernelFile::open(dir.path(), "f").unwrap();
        assert_eq!(file.read().unwrap().text.len(), 20_000);
        std::fs::write(&path, "short").unwrap();
        let reading = file.read().unwrap();
        assert_eq!(reading.text, b"short");
        assert!(reading.from_ns <= reading.at_ns() && reading.at_ns() <= reading.to_ns);
        assert_eq!(file.read_attribute().unwrap().text, b"short");
    }

    #[test]
    fn a_missing_file_is_told_by_its_path() {
        let error = KernelFile::open(Path::new("/nowhere"), "proc/stat").unwrap_err();
        assert!(error.is_absent() && !error.is_denied());
        assert!(error.to_string().starts_with("cannot read /nowhere/proc/stat: "), "{error}");
    }
}
