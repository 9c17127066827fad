//! A pseudo-terminal that stands for a USB serial port.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The board's end of a PTY, and a watch that notices when a host opens the other one.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    opens: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Pty {
    /// Opens a PTY; with `link` also a symbolic link to it, which takes the place of an older link.
    ///
    /// # Errors
    /// When there is no PTY left, or something that is no link is in the link's place.
    pub fn open(link: Option<&Path>) -> std::io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(OsStr::from_bytes(ptsname(&master, Vec::new())?.as_bytes()));
        let opens = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&opens, &path, inotify::WatchFlags::OPEN)?;
        if let Some(link) = link {
            place_link(&path, link)?;
        }
        Ok(Self { master, opens, path, link: link.map(Path::to_owned) })
    }

    /// Where a host opens it.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Readable when a host has sent something; hung up while none has it open.
    pub fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Readable when a host has opened it.
    pub fn opens(&self) -> BorrowedFd<'_> {
        self.opens.as_fd()
    }

    /// How often it has been opened since the last call.
    ///
    /// # Errors
    /// What read(2) says of the watch.
    pub fn take_opens(&self) -> std::io::Result<usize> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&self.opens, &mut buffer);
        let mut opens = 0;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::OPEN) => opens += 1,
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(opens),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// What has arrived; `None` when no host has it open any more.
    ///
    /// # Errors
    /// What read(2) says, but for that.
    pub fn read(&self, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
        match rustix::io::read(&self.master, buffer) {
            Ok(count) => Ok(Some(count)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(Errno::IO) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Sends; what a host that does not read leaves no room for is gone, as with a board.
    pub fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(&self.master, bytes) {
                Ok(count) if count > 0 => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|target| target == self.path)
        {
            // Nothing is left to do about a link that cannot be removed.
            let _ = std::fs::remove_file(link);
        }
    }
}

fn place_link(target: &Path, link: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                format!("{} is in the way and is no link: choose another path", link.display()),
            ));
        }
        Ok(_) => std::fs::remove_file(link)?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(target, link)
}
