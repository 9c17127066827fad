//! Table `cpu`, from `/proc/stat`.

use std::path::Path;

use bl_store::clock::{Anchor, monotonic_ns};
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use super::counters::{gained, stored};
use super::devices::Devices;
use super::frequency::Frequencies;
use crate::source::{Faults, Reason, rows_of};
use crate::sysfs::{KernelFile, KernelFileError, fields, lines, number};

pub(super) const NAME: &str = "host.cpu";

/// Modes in the order of a line. `guest` and `guest_nice`, which follow, are part of `user` and `nice` already
/// (proc_stat(5)), so that adding them would count them twice.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const IOWAIT: usize = 4;

type Ticks = [Option<u64>; MODES.len()];

pub(super) struct Cpu {
    file: KernelFile,
    frequencies: Frequencies,
    rows: Rows,
    cpu: ColumnIndex,
    busy: ColumnIndex,
    shares: [ColumnIndex; MODES.len()],
    ticks: [ColumnIndex; MODES.len()],
    frequency: ColumnIndex,
    last: Devices<Option<Ticks>>,
}

impl Cpu {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let file = KernelFile::open(root, "proc/stat")?;
        let rows = rows_of("cpu");
        Ok(Box::new(Self {
            file,
            frequencies: Frequencies::new(root),
            cpu: rows.column("cpu"),
            busy: rows.column("busy_pct"),
            shares: MODES.map(|mode| rows.column(&format!("{mode}_pct"))),
            ticks: MODES.map(|mode| rows.column(&format!("{mode}_ticks"))),
            frequency: rows.column("freq_mhz"),
            rows,
            last: Devices::default(),
        }))
    }
}

impl Reader for Cpu {
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError> {
        let reading = self.file.read()?;
        if cpu_lines(reading.text).next().is_none() {
            return Err(self.file.malformed());
        }
        let numbers = cpu_lines(reading.text).filter_map(|(name, _)| cpu_number(name));
        self.frequencies.read(numbers, faults);
        let at_ns = reading.from_ns + (monotonic_ns() - reading.from_ns) / 2;
        for (name, line) in cpu_lines(reading.text) {
            let number = cpu_number(name);
            if number.is_none() && !name.is_empty() {
                faults.note(Reason::Malformed, 1, "a line of /proc/stat");
                continue;
            }
            let now = parse(line);
            let name = if name.is_empty() { "all" } else { name };
            let (name, last) = self.last.listed(name, || None);
            self.rows.begin(anchor.ts(at_ns), NAME);
            self.rows.str(self.cpu, name);
            for (column, ticks) in self.ticks.iter().zip(now) {
                self.rows.i64(*column, stored(ticks));
            }
            self.rows.f32(
                self.frequency,
                match number {
                    Some(number) => self.frequencies.of(number),
                    None => self.frequencies.mean(),
                },
            );
            if let Some(before) = last {
                let mut resets = 0;
                let shares = Shares::between(before, &now, &mut resets);
                self.rows.f32(self.busy, shares.busy_pct);
                for (column, share) in self.shares.iter().zip(shares.mode_pct) {
                    self.rows.f32(*column, share);
                }
                if resets > 0 {
                    faults.note(Reason::CounterReset, resets, format!("processor {name}"));
                }
            }
            *last = Some(now);
        }
        self.last.end_of_list(|name, _| {
            faults.note(Reason::Unplugged, 1, format!("processor {name} went offline"));
        });
        Ok(())
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

/// The lines of processors, which come first: what follows `cpu` in their name (nothing for all of them), and
/// their numbers.
fn cpu_lines(text: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    lines(text).map_while(|line| {
        let line = line.strip_prefix(b"cpu")?;
        let (name, ticks) = line.split_at(memchr::memchr(b' ', line).unwrap_or(line.len()));
        Some((std::str::from_utf8(name).unwrap_or("?"), ticks))
    })
}

fn cpu_number(name: &str) -> Option<usize> {
    number(name.as_bytes()).and_then(valid)
}

/// A processor's number, if there can be one: Linux is built for 8,192 at most.
pub(super) fn valid(number: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|n| *n < 8192)
}

/// The ticks of a line; kernels before 2.6.11 have no `steal`.
fn parse(line: &[u8]) -> Ticks {
    let mut ticks = [None; MODES.len()];
    for (ticks, field) in ticks.iter_mut().zip(fields(line)) {
        *ticks = number(field);
    }
    ticks
}

/// How a processor spent the time between two samples.
#[derive(Debug, PartialEq, Default)]
struct Shares {
    busy_pct: Option<f32>,
    mode_pct: [Option<f32>; MODES.len()],
}

impl Shares {
    /// The whole is the ticks of all modes that the kernel tells of. All are `None` if no tick passed, or if a
    /// counter went backwards (which is counted in `resets`); but `iowait` does at times (proc_stat(5)), which
    /// only costs its own share.
    fn between(before: &Ticks, now: &Ticks, resets: &mut u64) -> Self {
        let (mut before, mut now) = (*before, *now);
        if now[IOWAIT] < before[IOWAIT] {
            (before[IOWAIT], now[IOWAIT]) = (None, None);
        }
        let mut backwards = 0;
        let gained = gained(&before, &now, &mut backwards);
        *resets += backwards;
        let whole: u64 = gained.iter().flatten().sum();
        if backwards > 0 || whole == 0 {
            return Self::default();
        }
        let pct = |ticks: u64| (100.0 * ticks as f64 / whole as f64) as f32;
        let waiting = gained[IOWAIT].unwrap_or(0);
        Self {
            busy_pct: gained[IDLE].map(|idle| pct(whole - idle - waiting)),
            mode_pct: gained.map(|ticks| ticks.map(pct)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(before: &[u8], now: &[u8]) -> (Shares, u64) {
        let mut resets = 0;
        (Shares::between(&parse(before), &parse(now), &mut resets), resets)
    }

    #[test]
    fn shares_are_of_all_modes_without_guests() {
        let (shares, resets) = between(b" 0 0 0 0 0 0 0 0 0 0", b" 20 5 10 50 10 1 2 2 20 5");
        assert_eq!(resets, 0);
        assert_eq!(shares.busy_pct, Some(40.0));
        assert_eq!(shares.mode_pct, [20.0, 5.0, 10.0, 50.0, 10.0, 1.0, 2.0, 2.0].map(Some));
    }

    #[test]
    fn no_tick_has_no_share_and_a_backwards_counter_none_either() {
        assert_eq!(between(b" 1 2 3 4", b" 1 2 3 4"), (Shares::default(), 0));
        assert_eq!(between(b" 9 0 0 90", b" 1 0 0 99"), (Shares::default(), 1));
        // iowait going backwards is the kernel's habit.
        let (shares, resets) = between(b" 10 0 0 90 7 0 0 0", b" 11 0 0 93 6 0 0 0");
        assert_eq!((shares.busy_pct, resets), (Some(25.0), 0));
        assert_eq!((shares.mode_pct[IDLE], shares.mode_pct[IOWAIT]), (Some(75.0), None));
    }

    #[test]
    fn an_old_kernel_has_no_steal() {
        let (shares, _) = between(b" 0 0 0 0", b" 1 0 0 3");
        assert_eq!(shares.busy_pct, Some(25.0));
        assert_eq!(shares.mode_pct[4..], [None; 4]);
    }
}
