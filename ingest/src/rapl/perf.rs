//! RAPL through the energy events of perf (Linux arch/x86/events/rapl.c).

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use bl_store::clock::monotonic_ns;

use super::{Counter, Domain, Found};
use crate::meter::Meter;
use crate::sysfs::{KernelFile, KernelFileError, number};

const PMU: &str = "sys/bus/event_source/devices/power";

/// Events of the PMU, and what powercap calls their domains; the empty one is the package itself.
const EVENTS: [(&str, &str); 5] = [
    ("energy-pkg", ""),
    ("energy-cores", "core"),
    ("energy-gpu", "uncore"),
    ("energy-ram", "dram"),
    ("energy-psys", "psys"),
];

/// Opens every event on one processor of each package, as the PMU's `cpumask` lists them. It takes CAP_PERFMON, or
/// a `kernel.perf_event_paranoid` of 0.
pub(super) fn open(root: &Path) -> Found {
    let mut found = Found::default();
    let (pmu, mask) = match pmu(root) {
        Ok(read) => read,
        // A machine without the PMU is none whose counters fail.
        Err(e) if e.is_absent() => return found,
        Err(e) => {
            found.failed.push(e);
            return found;
        }
    };
    for cpu in cpu_list(&mask) {
        for (event, below) in EVENTS {
            let Some((config, joules_per_count)) = describe(root, event) else { continue };
            let fd = match open_event(pmu, config, cpu) {
                Ok(fd) => fd,
                Err(cause) => {
                    let path = root.join(PMU).join("events").join(event);
                    found.failed.push(KernelFileError { path, cause });
                    continue;
                }
            };
            found.domains.push(Domain {
                name: name(root, cpu, below),
                place: event.to_owned(),
                method: "perf",
                counter: Box::new(Event { file: File::from(fd), path: root.join(PMU).join(event) }),
                // The kernel extends the hardware's 32 bits to 64.
                meter: Meter::new(joules_per_count, None),
            });
        }
    }
    found
}

/// The number of the PMU, and its mask of processors.
fn pmu(root: &Path) -> Result<(u32, String), KernelFileError> {
    let mut file = KernelFile::open(root, &format!("{PMU}/type"))?;
    let pmu = number(file.read_attribute()?.text.trim_ascii());
    let pmu = pmu.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| file.malformed())?;
    let mut file = KernelFile::open(root, &format!("{PMU}/cpumask"))?;
    let mask = String::from_utf8_lossy(file.read_attribute()?.text.trim_ascii()).into_owned();
    Ok((pmu, mask))
}

fn text(root: &Path, file: &str) -> Option<String> {
    let mut file = KernelFile::open(root, &format!("{PMU}/{file}")).ok()?;
    Some(std::str::from_utf8(file.read_attribute().ok()?.text).ok()?.trim().to_owned())
}

/// The config of an event (`event=0x02`) and its unit; `None` if the PMU has no such event, or its unit is not the
/// joule.
fn describe(root: &Path, event: &str) -> Option<(u64, f64)> {
    let config = text(root, &format!("events/{event}"))?;
    let config = u64::from_str_radix(config.strip_prefix("event=0x")?, 16).ok()?;
    let unit = text(root, &format!("events/{event}.unit"))?;
    let scale = text(root, &format!("events/{event}.scale"))?.parse().ok()?;
    (unit == "Joules").then_some((config, scale))
}

/// Processors of a mask such as `0,16` or `0-3`.
fn cpu_list(mask: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse::<u32>().ok()?.min(8191))
    };
    mask.split(',').filter_map(range).flatten().collect()
}

fn name(root: &Path, cpu: u32, below: &str) -> String {
    let id = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
    let package = std::fs::read_to_string(root.join(id));
    let package = package.as_deref().map_or("?", str::trim);
    match below {
        "psys" => "psys".to_owned(),
        "" => format!("package-{package}"),
        below => format!("package-{package}/{below}"),
    }
}

/// `struct perf_event_attr` as it was first (PERF_ATTR_SIZE_VER0 of linux/perf_event.h); all that a plain counter
/// needs.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// PERF_FLAG_FD_CLOEXEC of linux/perf_event.h.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// perf_event_open(2) of a counter for everything that runs on one processor.
fn open_event(pmu: u32, config: u64, cpu: u32) -> std::io::Result<OwnedFd> {
    let size = size_of::<Attributes>() as u32;
    let attributes = Attributes { kind: pmu, size, config, ..Attributes::default() };
    let (any_process, no_group) = (-1 as libc::pid_t, -1 as libc::c_int);
    // SAFETY: the kernel only reads `attributes`, which lives through the call and tells its own size.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            any_process,
            cpu as libc::c_int,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nothing else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

struct Event {
    file: File,
    /// For error texts.
    path: PathBuf,
}

impl Counter for Event {
    fn read(&mut self) -> Result<(u64, i64), KernelFileError> {
        let mut count = [0; 8];
        let from_ns = monotonic_ns();
        match self.file.read_exact(&mut count) {
            Ok(()) => Ok((u64::from_ne_bytes(count), from_ns + (monotonic_ns() - from_ns) / 2)),
            Err(cause) => Err(KernelFileError { path: self.path.clone(), cause }),
        }
    }

    fn as_microjoules(&self, _: u64) -> Option<i64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_a_mask() {
        assert_eq!(cpu_list("0,16"), [0, 16]);
        assert_eq!(cpu_list("0-2,7"), [0, 1, 2, 7]);
        assert_eq!(cpu_list(""), [0; 0]);
    }

    #[test]
    fn the_attributes_have_the_size_that_the_kernel_expects() {
        assert_eq!(size_of::<Attributes>(), 64);
    }
}
