//! Table `pressure`, from `/proc/pressure` (Linux Documentation/accounting/psi.rst).

use std::path::Path;

use bl_store::clock::Anchor;
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use super::counters::{gained, per_second, stored};
use crate::source::{Faults, Reason, rows_of};
use crate::sysfs::{KernelFile, KernelFileError, fields, lines, number};

pub(super) const NAME: &str = "host.pressure";

/// The files, which are named as what is waited for. `irq` is there since Linux 6.1, if interrupts are accounted for.
const RESOURCES: [&str; 4] = ["cpu", "memory", "io", "irq"];

/// How the lines of a file begin.
const WHO: [&str; 2] = ["some", "full"];

pub(super) struct Pressure {
    resources: Vec<Resource>,
    rows: Rows,
    resource: ColumnIndex,
    share: [ColumnIndex; WHO.len()],
    mean: [ColumnIndex; WHO.len()],
    total: [ColumnIndex; WHO.len()],
}

struct Resource {
    name: &'static str,
    file: KernelFile,
    /// When it was last sampled, and the totals then.
    last: Option<(i64, [Option<u64>; WHO.len()])>,
}

/// A file's lines: the mean of the last ten seconds in percent, and the time in all, in microseconds.
#[derive(Debug, Default, PartialEq)]
struct Lines {
    mean_pct: [Option<f32>; WHO.len()],
    total_us: [Option<u64>; WHO.len()],
}

impl Pressure {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let mut resources = Vec::new();
        for name in RESOURCES {
            match KernelFile::open(root, &format!("proc/pressure/{name}")) {
                Ok(file) => resources.push(Resource { name, file, last: None }),
                // The kernel may be old, or not account for interrupts.
                Err(e) if e.is_absent() && name != RESOURCES[0] => {}
                Err(e) => return Err(e),
            }
        }
        let rows = rows_of("pressure");
        Ok(Box::new(Self {
            resources,
            resource: rows.column("resource"),
            share: WHO.map(|who| rows.column(&format!("{who}_pct"))),
            mean: WHO.map(|who| rows.column(&format!("{who}_10s_pct"))),
            total: WHO.map(|who| rows.column(&format!("{who}_us"))),
            rows,
        }))
    }
}

impl Reader for Pressure {
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError> {
        let mut malformed = None;
        for Resource { name, file, last } in &mut self.resources {
            let reading = file.read_attribute()?;
            let (at_ns, now) = (reading.at_ns(), parse(reading.text));
            if now == Lines::default() {
                malformed = Some(file.malformed());
                continue;
            }
            self.rows.begin(anchor.ts(at_ns), NAME);
            self.rows.str(self.resource, *name);
            for (column, mean) in self.mean.iter().zip(now.mean_pct) {
                self.rows.f32(*column, mean);
            }
            for (column, total) in self.total.iter().zip(now.total_us) {
                self.rows.i64(*column, stored(total));
            }
            if let Some((then_ns, before)) = last {
                let mut resets = 0;
                let gained = gained(before, &now.total_us, &mut resets);
                for (column, gain) in self.share.iter().zip(gained) {
                    // Microseconds in a second, over ten thousand: percent.
                    let share = per_second(gain, at_ns - *then_ns).map(|us| (us / 1e4) as f32);
                    self.rows.f32(*column, share);
                }
                if resets > 0 {
                    faults.note(Reason::CounterReset, resets, format!("pressure of {name}"));
                }
            }
            *last = Some((at_ns, now.total_us));
        }
        malformed.map_or(Ok(()), Err)
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// The lines `some avg10=0.12 avg60=0.05 avg300=0.01 total=123456` and `full …`; either may be missing.
fn parse(text: &[u8]) -> Lines {
    let mut found = Lines::default();
    for line in lines(text) {
        let mut fields = fields(line);
        let who = fields.next().unwrap_or_default();
        let Some(i) = WHO.iter().position(|known| known.as_bytes() == who) else { continue };
        for field in fields {
            if let Some(mean) = field.strip_prefix(b"avg10=") {
                found.mean_pct[i] = std::str::from_utf8(mean).ok().and_then(|m| m.parse().ok());
            }
            if let Some(total) = field.strip_prefix(b"total=") {
                found.total_us[i] = number(total);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_file() {
        let text = b"some avg10=1.53 avg60=0.87 avg300=0.31 total=62914560\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let found = parse(text);
        assert_eq!(found.mean_pct, [Some(1.53), Some(0.0)]);
        assert_eq!(found.total_us, [Some(62_914_560), Some(7)]);
        // Interrupts have the second line only, processors of old kernels the first.
        assert_eq!(parse(b"full avg10=2.00 avg60=0 avg300=0 total=9\n").total_us, [None, Some(9)]);
        assert_eq!(parse(b"what?\n"), Lines::default());
    }
}
