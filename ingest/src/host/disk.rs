//! Table `disk`, from `/proc/diskstats`.

use std::path::{Path, PathBuf};

use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use super::counters::{gained, per_second, stored};
use super::devices::Devices;
use crate::source::{Faults, Reason, rows_of};
use crate::sysfs::{KernelFile, KernelFileError, fields, lines, number};

pub(super) const NAME: &str = "host.disk";

/// A sector of this file is 512 bytes, whatever the device's own are (Linux Documentation/admin-guide/iostats.rst).
const SECTOR_BYTES: u64 = 512;

/// The counters that are kept: column, place among the numbers after the name, unit (iostats.rst).
const COUNTERS: [(&str, usize, u64); 13] = [
    ("read_bytes", 2, SECTOR_BYTES),
    ("read_ops", 0, 1),
    ("read_busy_ms", 3, 1),
    ("write_bytes", 6, SECTOR_BYTES),
    ("write_ops", 4, 1),
    ("write_busy_ms", 7, 1),
    ("io_ms", 9, 1),
    ("weighted_ms", 10, 1),
    // Since Linux 4.18.
    ("discard_bytes", 13, SECTOR_BYTES),
    ("discard_ops", 11, 1),
    ("discard_busy_ms", 14, 1),
    // Since Linux 5.5.
    ("flush_ops", 15, 1),
    ("flush_busy_ms", 16, 1),
];
/// How many numbers follow the name of a device, on the newest kernel.
const NUMBERS: usize = 17;

/// The rates that are kept: column, and place in [`COUNTERS`].
const RATES: [(&str, usize); 4] = [
    ("read_bytes_per_s", 0),
    ("read_ops_per_s", 1),
    ("write_bytes_per_s", 3),
    ("write_ops_per_s", 4),
];
const IO_MS: usize = 6;
const IN_FLIGHT: usize = 8;

type Counters = [Option<u64>; COUNTERS.len()];

pub(super) struct Disks {
    file: KernelFile,
    /// `/sys/block`, where there is one.
    block: Option<PathBuf>,
    rows: Rows,
    device: ColumnIndex,
    counters: [ColumnIndex; COUNTERS.len()],
    rates: [ColumnIndex; RATES.len()],
    in_flight: ColumnIndex,
    busy: ColumnIndex,
    physical: ColumnIndex,
    devices: Devices<Device>,
}

enum Device {
    /// A partition, a loop device or a RAM disk.
    Skipped,
    Kept(Box<Disk>),
}

struct Disk {
    /// Whether there is hardware below it; unknown without sysfs.
    physical: Option<bool>,
    /// When it was last sampled, and its counters then.
    last: Option<(i64, Counters)>,
}

impl Disks {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let file = KernelFile::open(root, "proc/diskstats")?;
        let block = Some(root.join("sys/block")).filter(|path| path.is_dir());
        let rows = rows_of("disk");
        Ok(Box::new(Self {
            file,
            block,
            device: rows.column("device"),
            counters: COUNTERS.map(|(column, ..)| rows.column(column)),
            rates: RATES.map(|(column, _)| rows.column(column)),
            in_flight: rows.column("in_flight"),
            busy: rows.column("busy_pct"),
            physical: rows.column("physical"),
            rows,
            devices: Devices::default(),
        }))
    }
}

impl Reader for Disks {
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError> {
        let reading = self.file.read()?;
        let at_ns = reading.at_ns();
        // A machine may have no disk, and a file that is empty.
        if !reading.text.is_empty() && !lines(reading.text).any(|line| parse(line).is_some()) {
            return Err(self.file.malformed());
        }
        for line in lines(reading.text) {
            let Some((name, now, in_flight)) = parse(line) else {
                faults.note(Reason::Malformed, 1, "a line of /proc/diskstats");
                continue;
            };
            let block = self.block.as_deref();
            let (name, device) = self.devices.listed(name, || classify(block, name));
            let Device::Kept(disk) = device else { continue };
            let Disk { physical, last } = disk.as_mut();
            self.rows.begin(anchor.ts(at_ns), NAME);
            self.rows.str(self.device, name);
            if let Some(is_physical) = *physical {
                self.rows.bool(self.physical, is_physical);
            }
            for (column, counter) in self.counters.iter().zip(now) {
                self.rows.i64(*column, stored(counter));
            }
            self.rows.i32(self.in_flight, in_flight.and_then(|n| i32::try_from(n).ok()));
            if let Some((then_ns, before)) = last {
                let (mut resets, elapsed_ns) = (0, at_ns - *then_ns);
                let gained = gained(before, &now, &mut resets);
                for (column, (_, i)) in self.rates.iter().zip(RATES) {
                    self.rows.f64(*column, per_second(gained[i], elapsed_ns));
                }
                // Milliseconds of work in a second, over ten: percent.
                let busy = per_second(gained[IO_MS], elapsed_ns).map(|ms| (ms / 10.0) as f32);
                self.rows.f32(self.busy, busy);
                if resets > 0 {
                    faults.note(Reason::CounterReset, resets, format!("block device {name}"));
                }
            }
            *last = Some((at_ns, now));
        }
        self.devices.end_of_list(|name, device| {
            if !matches!(device, Device::Skipped) {
                faults.note(Reason::Unplugged, 1, format!("block device {name}"));
            }
        });
        Ok(())
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// Whether a device is recorded. Skipped are loop devices (their traffic is that of the disk below, and snaps
/// bring dozens of idle ones), RAM disks (no disk), and partitions, whose traffic is that of their disk:
/// `/sys/block` lists whole devices only. Where there is no `/sys/block`, partitions cannot be told and are kept.
fn classify(block: Option<&Path>, name: &str) -> Device {
    let numbered =
        |kind: &str| name.strip_prefix(kind).is_some_and(|n| number(n.as_bytes()).is_some());
    // sysfs writes the slash of names such as cciss/c0d0 as an exclamation mark.
    let file = &name.replace('/', "!");
    let is_part = block.is_some_and(|dir| !dir.join(file).exists());
    if is_part || numbered("loop") || numbered("ram") {
        return Device::Skipped;
    }
    // Mapped and RAID devices and the like have no device of the hardware below them: their traffic is that of others.
    let physical = block.map(|dir| dir.join(file).join("device").exists());
    Device::Kept(Box::new(Disk { physical, last: None }))
}

/// Name, counters and requests in flight of a line: major, minor, name, then 11 numbers and on newer kernels up to 17.
fn parse(line: &[u8]) -> Option<(&str, Counters, Option<u64>)> {
    let mut fields = fields(line).skip(2);
    let name = std::str::from_utf8(fields.next()?).ok()?;
    let mut numbers = [None; NUMBERS];
    for (number_at, field) in numbers.iter_mut().zip(fields) {
        *number_at = number(field);
    }
    let counters = COUNTERS.map(|(_, i, unit)| numbers[i]?.checked_mul(unit));
    Some((name, counters, numbers[IN_FLIGHT]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let line = b" 259 0 nvme0n1 10 1 16 30 40 2 80 60 7 90 100 1 2 3 4 5 6";
        let (name, now, in_flight) = parse(line).unwrap();
        assert_eq!((name, in_flight), ("nvme0n1", Some(7)));
        let first = [8192, 10, 30, 40960, 40, 60, 90, 100].map(Some);
        assert_eq!(now[..8], first);
        // Discards 1, merged 2, sectors 3, ms 4; flushes 5, ms 6.
        assert_eq!(now[8..], [3 * 512, 1, 4, 5, 6].map(Some));
        // Partitions of kernels before 2.6.25 had four numbers of another meaning; short lines lack what they lack.
        let (_, now, in_flight) = parse(b"8 0 sda 10 1 x").unwrap();
        assert_eq!((now[1], in_flight), (Some(10), None));
        assert_eq!(now[0], None);
        assert_eq!(parse(b"8 0"), None);
    }
}
