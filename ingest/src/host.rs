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

use bl_store::Rows;
use bl_store::clock::Anchor;

use crate::kernel::KernelFileError;
use crate::source::{Context, Faults, Reason, Source, SourceError, sample_at};

pub use clock::ClockSource;
pub use inventory::inventory;

/// Name of [`HostSource`], in `source` of its rows.
const NAME: &str = "host.proc";

/// Samples tables `cpu`, `memory`, `net` and `disk` from `/proc` at a fixed rate, on one thread.
///
/// Each row is stamped at the midpoint of the read that it is of. Rates are over the time since the same device's
/// last sample, so null in its first. A counter that went backwards has no rate in that sample, and is told in
/// `health`.
#[derive(Debug)]
pub struct HostSource {
    root: PathBuf,
    hz: f64,
}

/// One file that is sampled, and the rows of its table.
trait Reader {
    /// Adds the rows of a sample.
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError>;

    /// The rows added so far.
    fn rows(&mut self) -> &mut Rows;
}

type Opener = fn(&Path) -> Result<Box<dyn Reader>, KernelFileError>;

const READERS: [Opener; 4] =
    [cpu::Cpu::open, memory::Memory::open, net::Net::open, disk::Disks::open];

impl HostSource {
    /// Samples `hz` times a second what lies under `root` (`/`, but for tests).
    pub fn new(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { root: root.into(), hz }
    }

    /// Opens what this host has. What it lacks is told once, and is no reason to go without the rest.
    fn open(&self, context: &Context) -> Vec<Box<dyn Reader>> {
        let mut readers = Vec::new();
        for open in READERS {
            match open(&self.root) {
                Ok(reader) => readers.push(reader),
                Err(e) => {
                    let reason = if e.is_denied() { Reason::Denied } else { Reason::Unsupported };
                    context.health(reason, 1, e.to_string());
                }
            }
        }
        readers
    }
}

impl Source for HostSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut readers = self.open(context);
        if readers.is_empty() {
            return Err(SourceError::Fatal(format!(
                "no file of {} can be read: is procfs mounted there?",
                self.root.join("proc").display()
            )));
        }
        context.up(format!("the host at {} Hz", self.hz));
        sample_at(context, self.hz, |tick| {
            for reader in &mut readers {
                if let Err(e) = reader.sample(context.anchor(), &mut tick.faults) {
                    tick.faults.note(Reason::Down, 1, e.to_string());
                }
                tick.flush(context, reader.rows());
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
