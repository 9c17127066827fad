//! Table `net`, from `/proc/net/dev`.

use std::path::{Path, PathBuf};

use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use super::counters::{gained, per_second, stored};
use super::devices::Devices;
use crate::source::{Faults, Reason, rows_of};
use crate::sysfs::{KernelFile, KernelFileError, fields, lines, number};

pub(super) const NAME: &str = "host.net";

/// The counters that are kept: column, and place among the numbers of a line. Sixteen numbers follow the name,
/// eight for each way, as the file's own head says.
const COUNTERS: [(&str, usize); 8] = [
    ("rx_bytes", 0),
    ("rx_packets", 1),
    ("rx_errors", 2),
    ("rx_dropped", 3),
    ("tx_bytes", 8),
    ("tx_packets", 9),
    ("tx_errors", 10),
    ("tx_dropped", 11),
];
/// How the file begins.
const HEADER: &[u8] = b"Inter-|";

/// The rates that are kept: column, and place in [`COUNTERS`].
const RATES: [(&str, usize); 4] = [
    ("rx_bytes_per_s", 0),
    ("rx_packets_per_s", 1),
    ("tx_bytes_per_s", 4),
    ("tx_packets_per_s", 5),
];

type Counters = [Option<u64>; COUNTERS.len()];

pub(super) struct Net {
    file: KernelFile,
    rows: Rows,
    interface: ColumnIndex,
    physical: ColumnIndex,
    /// `/sys/class/net`, where there is one.
    class: Option<PathBuf>,
    counters: [ColumnIndex; COUNTERS.len()],
    rates: [ColumnIndex; RATES.len()],
    interfaces: Devices<Interface>,
}

struct Interface {
    /// Whether there is hardware below it; unknown without sysfs.
    physical: Option<bool>,
    /// Counters at the last sample, and when it was.
    last: Option<(i64, Counters)>,
}

impl Net {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let file = KernelFile::open(root, "proc/net/dev")?;
        let rows = rows_of("net");
        let interface = rows.column("interface");
        let counters = COUNTERS.map(|(column, _)| rows.column(column));
        let rates = RATES.map(|(column, _)| rows.column(column));
        Ok(Box::new(Self {
            file,
            interface,
            physical: rows.column("physical"),
            class: Some(root.join("sys/class/net")).filter(|path| path.is_dir()),
            rows,
            counters,
            rates,
            interfaces: Devices::default(),
        }))
    }
}

impl Reader for Net {
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError> {
        let reading = self.file.read()?;
        let at_ns = reading.at_ns();
        if !reading.text.starts_with(HEADER) {
            return Err(self.file.malformed());
        }
        for line in lines(reading.text).skip(2) {
            let Some((name, now)) = parse(line) else {
                faults.note(Reason::Malformed, 1, "a line of /proc/net/dev");
                continue;
            };
            let class = self.class.as_deref();
            let new = || Interface { physical: is_physical(class, name), last: None };
            let (name, Interface { physical, last }) = self.interfaces.listed(name, new);
            self.rows.begin(anchor.ts(at_ns), NAME);
            self.rows.str(self.interface, name);
            if let Some(is_physical) = *physical {
                self.rows.bool(self.physical, is_physical);
            }
            for (column, counter) in self.counters.iter().zip(now) {
                self.rows.i64(*column, stored(counter));
            }
            if let Some((then_ns, before)) = last {
                let mut resets = 0;
                let gained = gained(before, &now, &mut resets);
                for (column, (_, i)) in self.rates.iter().zip(RATES) {
                    self.rows.f64(*column, per_second(gained[i], at_ns - *then_ns));
                }
                if resets > 0 {
                    faults.note(Reason::CounterReset, resets, format!("interface {name}"));
                }
            }
            *last = Some((at_ns, now));
        }
        self.interfaces.end_of_list(|name, _| {
            faults.note(Reason::Unplugged, 1, format!("interface {name}"));
        });
        Ok(())
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// Whether an interface is hardware. Bridges, tunnels, VLANs, pairs of containers and the loop have no device below them:
/// their traffic never leaves the machine, or does so by another one. An alias of an old kernel is no interface of
/// sysfs.
fn is_physical(class: Option<&Path>, name: &str) -> Option<bool> {
    let folder = class?.join(name);
    folder.exists().then(|| folder.join("device").exists())
}

/// Name and counters of a line. The name ends at the last colon: aliases of old kernels (`eth0:1`) have one in
/// their name, and the first number may follow without a blank.
fn parse(line: &[u8]) -> Option<(&str, Counters)> {
    let colon = memchr::memrchr(b':', line)?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.trim();
    let mut numbers = [None; 16];
    for (number_at, field) in numbers.iter_mut().zip(fields(&line[colon + 1..])) {
        *number_at = number(field);
    }
    (!name.is_empty()).then(|| (name, COUNTERS.map(|(_, i)| numbers[i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_lines() {
        let (name, now) = parse(b"eth0:1:7 1 2 3 0 0 0 0 8 9 10 11 0 0 0 0").unwrap();
        assert_eq!(name, "eth0:1");
        assert_eq!(now, [7, 1, 2, 3, 8, 9, 10, 11].map(Some));
        let (name, now) = parse(b"  wlan0: 18446744073709551615 5 x").unwrap();
        assert_eq!(name, "wlan0");
        assert_eq!(now[..3], [Some(u64::MAX), Some(5), None]);
        assert_eq!(now[3..], [None; 5]);
        assert_eq!(parse(b"no colon 1 2 3"), None);
        assert_eq!(parse(b" : 1 2 3"), None);
    }
}
