//! The host itself: processors, memory, network interfaces, block devices, clocks.

mod clock;
mod counters;
mod cpu;
mod devices;
mod disk;
mod frequency;
mod inventory;
mod memory;
mod net;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::Rows;
use bl_store::clock::Anchor;

use crate::source::{Context, Faults, Reason, Source, SourceError, SourceState, sample_at};
use crate::sysfs::KernelFileError;

pub use clock::ClockSource;
pub use inventory::inventory;

/// Samples one table of the host from `/proc` at a fixed rate: each has its own thread and rate, so that one that
/// is slow to read delays no other.
///
/// Each row is stamped at the midpoint of the read that it is of. Rates are over the time since the same device's
/// last sample, so null in its first. A counter that went backwards has no rate in that sample, and is told in
/// `health`.
#[derive(Debug)]
pub struct HostSource {
    name: &'static str,
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

type Opener = fn(&Path) -> Result<Box<dyn Reader>, KernelFileError>;

/// Each samples `hz` times a second what lies under `root` (`/`, but for tests).
impl HostSource {
    /// Table `cpu`: load and frequency of the processors.
    pub fn cpu(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: cpu::NAME, open: cpu::Cpu::open, root: root.into(), hz }
    }

    /// Table `memory`.
    pub fn memory(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: memory::NAME, open: memory::Memory::open, root: root.into(), hz }
    }

    /// Table `net`: the network interfaces.
    pub fn net(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: net::NAME, open: net::Net::open, root: root.into(), hz }
    }

    /// Table `disk`: the block devices.
    pub fn disk(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { name: disk::NAME, open: disk::Disks::open, root: root.into(), hz }
    }
}

impl Source for HostSource {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut reader =
            context.watched(Duration::ZERO, || (self.open)(&self.root)).map_err(|e| {
                match e.is_absent() {
                    true => SourceError::Retry(format!("{e}: is procfs mounted there?")),
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
