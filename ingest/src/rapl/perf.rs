//! RAPL through the energy events of perf (Linux arch/x86/events/rapl.c).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use bl_store::clock::monotonic_ns;

use super::{Counter, Domain, Found};
use crate::meter::Meter;
use crate::sysfs::{KernelFile, KernelFileError, number};

const PMUS: &str = "sys/bus/event_source/devices";

/// The PMU of what is counted once a package.
const PACKAGES: &str = "power";

/// The PMU of what AMD's processors count once a core (Linux 6.14).
const CORES: &str = "power_core";

/// Events of the PMU, and what powercap calls their domains; the empty one is the package itself.
const EVENTS: [(&str, &str); 5] = [
    ("energy-pkg", ""),
    ("energy-cores", "core"),
    ("energy-gpu", "uncore"),
    ("energy-ram", "dram"),
    ("energy-psys", "psys"),
];

/// What rows of it say in `method`.
pub(super) const METHOD: &str = "perf";

/// Opens every event on one processor of each package, as the PMU's `cpumask` lists them. It takes CAP_PERFMON, or
/// a `kernel.perf_event_paranoid` of 0.
pub(super) fn open(root: &Path) -> Found {
    let mut found = Found::default();
    let Some(pmu) = found.take(Pmu::find(root, PACKAGES)) else { return found };
    for cpu in cpu_list(&pmu.mask) {
        for (event, below) in EVENTS {
            let Some((config, joules_per_count)) = pmu.describe(event) else { continue };
            let Some(counter) = found.take(Some(pmu.open(event, config, cpu))) else { continue };
            found.domains.push(Domain {
                name: name(package(root, cpu), below),
                place: event.to_owned(),
                method: METHOD,
                counter: Box::new(counter),
                // The kernel extends the hardware's 32 bits to 64.
                meter: Meter::new(joules_per_count, None),
            });
        }
    }
    found
}

/// Opens the event of each core and makes one domain of all cores of a package. Nothing is found where the processor
/// does not count so, or the kernel is older.
pub(super) fn open_cores(root: &Path) -> Found {
    const EVENT: &str = "energy-core";
    let mut found = Found::default();
    let Some(pmu) = found.take(Pmu::find(root, CORES)) else { return found };
    let Some((config, joules_per_count)) = pmu.describe(EVENT) else { return found };
    let mut packages: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for cpu in cpu_list(&pmu.mask) {
        // A sum that lacks a core would be none.
        let Some(counter) = found.take(Some(pmu.open(EVENT, config, cpu))) else { return found };
        packages.entry(package(root, cpu)).or_default().push(counter);
    }
    found.domains.extend(packages.into_iter().map(|(package, cores)| Domain {
        place: format!("{CORES} {package}"),
        name: name(package, "core"),
        method: METHOD,
        counter: Box::new(Sum(cores)),
        meter: Meter::new(joules_per_count, None),
    }));
    found
}

impl Found {
    /// Keeps why there is none.
    fn take<T>(&mut self, outcome: Option<Result<T, KernelFileError>>) -> Option<T> {
        outcome?.map_err(|e| self.failed.push(e)).ok()
    }
}

/// A PMU of the kernel.
struct Pmu<'a> {
    root: &'a Path,
    folder: String,
    /// Its number.
    kind: u32,
    /// The processors on which its events are opened.
    mask: String,
}

impl<'a> Pmu<'a> {
    /// The PMU of that name; `None` on a machine that has none, which is no failure.
    fn find(root: &'a Path, name: &str) -> Option<Result<Self, KernelFileError>> {
        let folder = format!("{PMUS}/{name}");
        let read = || {
            let mut file = KernelFile::open(root, &format!("{folder}/type"))?;
            let kind = number(file.read_attribute()?.text.trim_ascii());
            let kind = kind.and_then(|n| u32::try_from(n).ok()).ok_or_else(|| file.malformed())?;
            let mut file = KernelFile::open(root, &format!("{folder}/cpumask"))?;
            let mask = file.read_attribute()?.text.trim_ascii();
            Ok((kind, String::from_utf8_lossy(mask).into_owned()))
        };
        match read() {
            Ok((kind, mask)) => Some(Ok(Self { root, folder, kind, mask })),
            Err(e) if KernelFileError::is_absent(&e) => None,
            Err(e) => Some(Err(e)),
        }
    }

    fn text(&self, file: &str) -> Option<String> {
        let mut file =
            KernelFile::open(self.root, &format!("{}/events/{file}", self.folder)).ok()?;
        Some(std::str::from_utf8(file.read_attribute().ok()?.text).ok()?.trim().to_owned())
    }

    /// The config of an event (`event=0x02`) and its unit; `None` if the PMU has no such event, or its unit is not
    /// the joule.
    fn describe(&self, event: &str) -> Option<(u64, f64)> {
        let config = self.text(event)?;
        let config = u64::from_str_radix(config.strip_prefix("event=0x")?, 16).ok()?;
        let unit = self.text(&format!("{event}.unit"))?;
        let scale = self.text(&format!("{event}.scale"))?.parse().ok()?;
        (unit == "Joules").then_some((config, scale))
    }

    fn open(&self, event: &str, config: u64, cpu: u32) -> Result<Event, KernelFileError> {
        let path = self.root.join(&self.folder).join("events").join(event);
        match open_event(self.kind, config, cpu) {
            Ok(fd) => Ok(Event { file: File::from(fd), path }),
            Err(cause) => Err(KernelFileError { path, cause }),
        }
    }
}

/// Processors of a mask such as `0,16` or `0-3`.
fn cpu_list(mask: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse::<u32>().ok()?.min(8191))
    };
    mask.split(',').filter_map(range).flatten().collect()
}

/// The number of the package that a processor is in, as the kernel writes it.
fn package(root: &Path, cpu: u32) -> String {
    let id = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
    let package = std::fs::read_to_string(root.join(id));
    package.as_deref().map_or("?", str::trim).to_owned()
}

fn name(package: String, below: &str) -> String {
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

/// What all cores of a package have counted.
struct Sum(Vec<Event>);

impl Counter for Sum {
    fn read(&mut self) -> Result<(u64, i64), KernelFileError> {
        let (from_ns, mut sum) = (monotonic_ns(), 0u64);
        for event in &mut self.0 {
            sum = sum.wrapping_add(event.read()?.0);
        }
        Ok((sum, from_ns + (monotonic_ns() - from_ns) / 2))
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
