//! The host itself: processors, memory, network interfaces, block devices, batteries, what waits for them, clocks.

mod clock;
mod counters;
mod cpu;
mod devices;
mod disk;
mod frequency;
mod inventory;
mod memory;
mod net;
mod pressure;
mod supply;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::Rows;
use bl_store::clock::Anchor;

use crate::source::{
    Context, Faults, LOOK_AGAIN, Reason, Source, SourceError, SourceState, sample_at,
};
use crate::sysfs::KernelFileError;

pub use clock::ClockSource;
pub use inventory::inventory;
pub(crate) use supply::supplies;

/// Samples one table of the host from `/proc` at a fixed rate: each has its own thread and rate, so that one that
/// is slow to read delays no other.
///
/// Each row is stamped at the midpoint of the read that it is of. Rates are over the time since the same device's
/// last sample, so null in its first. A counter that went backwards has no rate in that sample, and is told in
/// `health`.
#[derive(Debug)]
pub struct HostSource {
    name: &'static str,
    absent: Absent,
    open: Opener,
    root: PathBuf,
    hz: f64,
}

/// One file that is sampled, and the rows of its table.
trait Reader {
    /// Adds the rows of a sample. A file of which nothing makes sense is an error, so that what it no longer lists
    /// does not count as gone.
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError>;

    /// The rows added so far.
    fn rows(&mut self) -> &mut Rows;
}

/// What it means that the files of a source are not there, and when they are looked for again.
#[derive(Debug)]
struct Absent {
    means: &'static str,
    again: (Duration, Duration),
}

const NO_PROC: Absent = Absent {
    means: "is procfs mounted there?",
    again: (Duration::from_millis(500), Duration::from_secs(10)),
};
const NO_PSI: Absent = Absent {
    means: "the kernel does not account for it (CONFIG_PSI; psi=1 on its command line)",
    again: (LOOK_AGAIN, LOOK_AGAIN),
};
const NO_SUPPLY: Absent = Absent {
    means: "this machine shows no battery and no adapter",
    again: (LOOK_AGAIN, LOOK_AGAIN),
};

type Opener = fn(&Path) -> Result<Box<dyn Reader>, KernelFileError>;

/// Each samples `hz` times a second what lies under `root` (`/`, but for tests).
impl HostSource {
    /// Table `cpu`: load and frequency of the processors.
    pub fn cpu(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: cpu::NAME, absent: NO_PROC, open: cpu::Cpu::open, root: root.into(), hz }
    }

    /// Table `memory`.
    pub fn memory(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self {
            name: memory::NAME,
            absent: NO_PROC,
            open: memory::Memory::open,
            root: root.into(),
            hz,
        }
    }

    /// Table `net`: the network interfaces.
    pub fn net(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: net::NAME, absent: NO_PROC, open: net::Net::open, root: root.into(), hz }
    }

    /// Table `disk`: the block devices.
    pub fn disk(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: disk::NAME, absent: NO_PROC, open: disk::Disks::open, root: root.into(), hz }
    }

    /// Table `pressure`: what waits for what.
    pub fn pressure(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self {
            name: pressure::NAME,
            absent: NO_PSI,
            open: pressure::Pressure::open,
            root: root.into(),
            hz,
        }
    }

    /// Table `power_supply`: batteries and adapters. Their firmware takes milliseconds to answer: once in five seconds is
    /// enough.
    pub fn power_supply(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self {
            name: supply::NAME,
            absent: NO_SUPPLY,
            open: supply::Supplies::open,
            root: root.into(),
            hz,
        }
    }
}

impl Source for HostSource {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn back_off(&self) -> (Duration, Duration) {
        self.absent.again
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut reader =
            context.watched(Duration::ZERO, || (self.open)(&self.root)).map_err(|e| {
                match e.is_absent() {
                    true => SourceError::Retry(format!("{e}: {}", self.absent.means)),
                    false => e.into(),
                }
            })?;
        context.up(format!("{} at {} Hz", self.name, self.hz));
        sample_at(context, self.hz, |tick| {
            match reader.sample(context.anchor(), &mut tick.faults) {
                Ok(()) => {}
                Err(e) if e.is_malformed() => {
                    tick.faults.note(Reason::Malformed, 1, e.to_string());
                    context.status().set_state(SourceState::Waiting, e.to_string());
                }
                Err(e) => {
                    context.flush(reader.rows());
                    return Err(e.into());
                }
            }
            tick.flush(context, reader.rows());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
