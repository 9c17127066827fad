//! How fast each processor runs.

use std::path::{Path, PathBuf};

use bl_store::clock::monotonic_ns;

use crate::source::{Faults, Reason};
use crate::sysfs::{KernelFile, fields, lines, number};

/// How often `/proc/cpuinfo` is read at most: see [`Frequencies`].
const CPUINFO_PERIOD_NS: i64 = 1_000_000_000;

/// Frequencies of all processors.
///
/// From cpufreq's `scaling_cur_freq`, which the kernel mostly knows without asking the hardware (unlike
/// `cpuinfo_cur_freq`). Where there is no cpufreq, as in most virtual machines, from `/proc/cpuinfo`, but once a
/// second only: the kernel writes some 1,500 bytes a processor for the one number that is wanted.
#[derive(Debug)]
pub(super) struct Frequencies {
    root: PathBuf,
    from: Origin,
    /// What was read last, by processor number.
    mhz: Vec<Option<f32>>,
}

#[derive(Debug)]
enum Origin {
    /// By processor number.
    Cpufreq(Vec<Slot>),
    Cpuinfo {
        file: KernelFile,
        read_ns: Option<i64>,
    },
    Nowhere,
}

#[derive(Debug)]
enum Slot {
    Untried,
    Absent,
    Open(KernelFile),
}

impl Frequencies {
    pub(super) fn new(root: &Path) -> Self {
        let from = if root.join(cpufreq_path(0)).is_file() {
            Origin::Cpufreq(Vec::new())
        } else {
            match KernelFile::open(root, "proc/cpuinfo") {
                Ok(file) => Origin::Cpuinfo { file, read_ns: None },
                Err(_) => Origin::Nowhere,
            }
        };
        Self { root: root.to_owned(), from, mhz: Vec::new() }
    }

    /// Reads the frequencies of the processors that are online, in ascending order.
    pub(super) fn read(&mut self, online: impl Iterator<Item = usize>, faults: &mut Faults) {
        self.mhz.fill(None);
        match &mut self.from {
            Origin::Cpufreq(slots) => {
                let mut next = 0;
                for cpu in online {
                    if slots.len() <= cpu {
                        slots.resize_with(cpu + 1, || Slot::Untried);
                    }
                    // Those in between are offline: their files are of no use when they return.
                    slots.iter_mut().take(cpu).skip(next).for_each(|s| *s = Slot::Untried);
                    next = cpu + 1;
                    let mhz = slots[cpu].read(&self.root, cpu, faults);
                    set(&mut self.mhz, cpu, mhz);
                }
            }
            Origin::Cpuinfo { file, read_ns } => {
                let now = monotonic_ns();
                // Half a period early is soon enough: deadlines jitter.
                if read_ns.is_some_and(|then| now - then < CPUINFO_PERIOD_NS - 50_000_000) {
                    return;
                }
                *read_ns = Some(now);
                match file.read() {
                    Ok(reading) => parse_cpuinfo(reading.text, &mut self.mhz),
                    Err(e) => faults.note(Reason::Down, 1, e.to_string()),
                }
            }
            Origin::Nowhere => {}
        }
    }

    /// Of one processor, in MHz; `None` where the kernel did not tell.
    pub(super) fn of(&self, cpu: usize) -> Option<f32> {
        *self.mhz.get(cpu)?
    }

    /// Mean of all that are known, in MHz.
    pub(super) fn mean(&self) -> Option<f32> {
        let known = || self.mhz.iter().flatten();
        let count = known().count();
        (count > 0).then(|| known().sum::<f32>() / count as f32)
    }
}

impl Slot {
    fn read(&mut self, root: &Path, cpu: usize, faults: &mut Faults) -> Option<f32> {
        if matches!(self, Slot::Untried) {
            let opened = KernelFile::open(root, &cpufreq_path(cpu));
            *self = opened.map_or(Slot::Absent, Slot::Open);
        }
        let Slot::Open(file) = self else { return None };
        match file.read_attribute() {
            // "<unknown>" and the like are no numbers.
            Ok(reading) => {
                fields(reading.text).next().and_then(number).map(|khz| khz as f32 / 1000.0)
            }
            Err(e) => {
                faults.note(Reason::Unsupported, 1, e.to_string());
                *self = Slot::Absent;
                None
            }
        }
    }
}

fn cpufreq_path(cpu: usize) -> String {
    format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
}

/// Takes `processor` and `cpu MHz` out of `/proc/cpuinfo` (x86; other architectures do not tell it there).
fn parse_cpuinfo(text: &[u8], mhz: &mut Vec<Option<f32>>) {
    let mut cpu = None;
    for line in lines(text) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let value = line[colon + 1..].trim_ascii();
        match line[..colon].trim_ascii() {
            b"processor" => cpu = number(value).and_then(super::cpu::valid),
            b"cpu MHz" => {
                let value = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                if let Some(cpu) = cpu {
                    set(mhz, cpu, value);
                }
            }
            _ => {}
        }
    }
}

fn set(mhz: &mut Vec<Option<f32>>, cpu: usize, value: Option<f32>) {
    if mhz.len() <= cpu {
        mhz.resize(cpu + 1, None);
    }
    mhz[cpu] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuinfo_of_x86() {
        let text = b"processor\t: 0\nflags: a b\ncpu MHz\t\t: 2596.096\n\nprocessor\t: 2\ncpu MHz\t\t: 800\n";
        let mut mhz = Vec::new();
        parse_cpuinfo(text, &mut mhz);
        assert_eq!(mhz, [Some(2596.096), None, Some(800.0)]);
    }

    #[test]
    fn a_processor_that_returns_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = |cpu| dir.path().join(cpufreq_path(cpu));
        for cpu in 0..3 {
            std::fs::create_dir_all(path(cpu).parent().unwrap()).unwrap();
            std::fs::write(path(cpu), format!("{}000\n", 1000 + cpu)).unwrap();
        }
        let mut faults = Faults::default();
        let mut frequencies = Frequencies::new(dir.path());
        frequencies.read(0..3, &mut faults);
        assert_eq!(frequencies.mhz, [Some(1000.0), Some(1001.0), Some(1002.0)]);
        assert_eq!(frequencies.mean(), Some(1001.0));
        std::fs::remove_file(path(1)).unwrap();
        frequencies.read([0, 2].into_iter(), &mut faults);
        assert_eq!(frequencies.mhz, [Some(1000.0), None, Some(1002.0)]);
        std::fs::write(path(1), "<unknown>\n").unwrap();
        frequencies.read(0..3, &mut faults);
        assert_eq!(frequencies.of(1), None);
        std::fs::write(path(1), "3000000\n").unwrap();
        frequencies.read(0..3, &mut faults);
        assert_eq!((frequencies.of(1), frequencies.of(7)), (Some(3000.0), None));
    }
}
