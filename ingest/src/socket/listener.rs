//! The socket's file: made, taken over from a dead owner, refused while its owner lives.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, chmod, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "{}: another process listens on this socket; stop that 'bl ingest', or give this one another path with --events",
        .0.display()
    )]
    InUse(PathBuf),
    /// Something else than a socket has that name.
    #[error("{}: exists and is not a socket; remove it or give another path with --events", .0.display())]
    NotASocket(PathBuf),
    /// The path does not fit into a socket's address.
    #[error("{}: the path of a Unix socket may have 107 bytes; give a shorter one with --events", .0.display())]
    TooLong(PathBuf),
    /// The system refused.
    #[error("{}: cannot {what}: {error}", path.display())]
    Io {
        /// The socket or its folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A listening socket; its file goes when it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    path: PathBuf,
    fd: OwnedFd,
    inode: u64,
}

impl Listener {
    /// Makes the socket with mode 0660, and its folder if need be. A file whose owner is dead is replaced.
    ///
    /// # Errors
    /// [`BindError`] says what is in the way.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let io = |path: &Path, what, error: std::io::Error| BindError::Io {
            path: path.to_path_buf(),
            what,
            error,
        };
        let address =
            SocketAddrUnix::new(path).map_err(|_| BindError::TooLong(path.to_path_buf()))?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(|e| io(folder, "create the folder", e))?;
        // Two that start at once must not take the socket from each other.
        let lock = File::open(folder).map_err(|e| io(folder, "open the folder", e))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|e| io(folder, "lock the folder", e.into()))?;

        remove_stale(path, &address)?;
        let fd = stream().map_err(|e| io(path, "make a socket", e.into()))?;
        bind(&fd, &address).map_err(|e| io(path, "bind the socket", e.into()))?;
        // Nobody can connect before it listens, so nobody sees another mode than this.
        chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)
            .map_err(|e| io(path, "set the mode of the socket", e.into()))?;
        listen(&fd, BACKLOG).map_err(|e| io(path, "listen on the socket", e.into()))?;
        let inode = std::fs::metadata(path).map_err(|e| io(path, "find the socket", e))?.ino();
        Ok(Self { path: path.to_path_buf(), fd, inode })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The next connection that waits, if one does.
    pub fn accept(&self) -> Result<Option<OwnedFd>, Errno> {
        match accept_with(&self.fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode);
        if ours {
            // If it stays, the next owner finds it stale.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn stream() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), BindError> {
    let io = |what, error: std::io::Error| BindError::Io { path: path.to_path_buf(), what, error };
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io("look at the socket", e)),
        Ok(m) if !m.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_path_buf()));
        }
        Ok(_) => {}
    }
    let probe = stream().map_err(|e| io("make a socket", e.into()))?;
    match connect(&probe, address) {
        // EAGAIN: it listens, and its queue is full.
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::InUse(path.to_path_buf())),
        Err(Errno::CONNREFUSED | Errno::NOENT) => match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove the socket of a dead process", e))
            }
            _ => Ok(()),
        },
        Err(e) => Err(io("find out whether a process listens on the socket", e.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_live_owner_is_refused_and_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/bl.sock");
        let first = Listener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let text = Listener::bind(&path).unwrap_err().to_string();
        assert!(text.contains("another process listens"), "{text}");
        UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(!path.exists());

        // std leaves the file behind, as a killed process does.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = Listener::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(second.accept().unwrap().is_some());
        assert!(second.accept().unwrap().is_none());
    }

    #[test]
    fn the_file_of_a_later_owner_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bl.sock");
        let first = Listener::bind(&path).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let second = Listener::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(matches!(Listener::bind(&file), Err(BindError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        let long = folder.path().join("x".repeat(120));
        assert!(matches!(Listener::bind(&long), Err(BindError::TooLong(_))));
        let text = Listener::bind(&file.join("sub/bl.sock")).unwrap_err().to_string();
        assert!(text.contains("create the folder"), "{text}");
    }
}
