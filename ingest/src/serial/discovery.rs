//! Which boards there are.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::device::{ConnectOptions, Device, DeviceError, Identity};
use super::port::PortError;
use super::protocol::Uid;
use crate::source::Stop;

/// USB ids of the boards: ST's stock ones, which many other devices have too (benchlab-pycore 0.8.0).
const USB_IDS: (&str, &str) = ("0483", "5740");

/// Which board to record, written as a path, a UID, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Whatever board is at that path.
    Path(PathBuf),
    /// That board, wherever it is.
    Uid(Uid),
    /// Any board.
    Auto,
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        if text == "auto" {
            Ok(Selector::Auto)
        } else if text.contains('/') {
            Ok(Selector::Path(text.into()))
        } else {
            text.parse().map(Selector::Uid).map_err(|_| InvalidSelector(text.to_owned()))
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Path(path) => path.display().fmt(f),
            Selector::Uid(uid) => uid.fmt(f),
            Selector::Auto => f.write_str("auto"),
        }
    }
}

/// A text that is not a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} selects no board: write a path such as /dev/ttyACM0, a UID of 24 hex digits (see `bl device list`), or auto"
)]
pub struct InvalidSelector(String);

/// Where the kernel shows its devices; other places in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into() }
    }
}

/// A serial port with the USB ids of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its device node.
    pub path: PathBuf,
    /// Serial number in its USB descriptor, if any.
    pub usb_serial: Option<String>,
    /// Where it is plugged in, as the kernel writes it, such as `1-2.4`.
    pub usb_port: String,
    /// Changes whenever the device is plugged in anew or its permissions are set.
    generation: (Option<String>, u64, i64),
}

/// The serial ports with the USB ids of a board, in the order of their names.
pub fn candidates(roots: &Roots) -> Vec<Candidate> {
    let Ok(entries) = std::fs::read_dir(roots.sys.join("class/tty")) else { return Vec::new() };
    let mut found: Vec<Candidate> =
        entries.filter_map(|entry| candidate(roots, entry.ok()?.file_name().to_str()?)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn candidate(roots: &Roots, name: &str) -> Option<Candidate> {
    if !name.starts_with("ttyACM") {
        return None;
    }
    // `device` is the interface, such as 1-2:1.0; its parent is the USB device.
    let interface = roots.sys.join("class/tty").join(name).join("device").canonicalize().ok()?;
    let usb = interface.parent()?;
    let ids = (attribute(usb, "idVendor")?, attribute(usb, "idProduct")?);
    if (ids.0.as_str(), ids.1.as_str()) != USB_IDS {
        return None;
    }
    let path = roots.dev.join(name);
    let node = std::fs::metadata(&path).ok()?;
    Some(Candidate {
        usb_serial: attribute(usb, "serial"),
        usb_port: usb.file_name()?.to_string_lossy().into_owned(),
        generation: (
            attribute(usb, "devnum"),
            node.rdev(),
            node.ctime() * 1_000_000_000 + node.ctime_nsec(),
        ),
        path,
    })
}

fn attribute(device: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(device.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What is at a [`Candidate`]'s port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupant {
    /// A board.
    Board(Identity),
    /// Something that cannot be recorded, and why.
    Other(String),
    /// Perhaps a board; it cannot be asked now, and this is why.
    Unreachable(PortError),
}

impl Occupant {
    /// Why there is no board; empty where there is one.
    pub fn note(&self) -> String {
        match self {
            Occupant::Board(_) => String::new(),
            Occupant::Other(why) => why.clone(),
            Occupant::Unreachable(e) => e.to_string(),
        }
    }
}

/// A serial port with the USB ids of a board, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The port.
    pub port: Candidate,
    /// What is there.
    pub occupant: Occupant,
}

/// Asks every candidate who it is. It takes some 0.1 s a board, and up to 2 s for something that is none.
pub fn discover(roots: &Roots, options: &ConnectOptions, stop: &Stop) -> Vec<Found> {
    candidates(roots).into_iter().map(|port| ask(port, options, stop)).collect()
}

/// Asks one candidate who it is.
pub(super) fn ask(port: Candidate, options: &ConnectOptions, stop: &Stop) -> Found {
    let occupant = match Device::connect(&port.path, options, stop) {
        Ok(device) => Occupant::Board(device.identity().clone()),
        Err(DeviceError::Port(e @ PortError::Timeout { got: 0, .. })) => {
            Occupant::Other(format!("{e}: not a BENCHLAB board, or it hangs: plug it in again"))
        }
        Err(DeviceError::Port(e)) => Occupant::Unreachable(e),
        Err(e) => Occupant::Other(e.to_string()),
    };
    Found { port, occupant }
}
