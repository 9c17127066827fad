//! RAPL through `/sys/class/powercap` (Linux Documentation/power/powercap/powercap.rst).

use std::io::Read;
use std::path::Path;

use super::{Counter, Domain, Found};
use crate::meter::Meter;
use crate::sysfs::{KernelFile, KernelFileError, lines, number};

const CLASS: &str = "sys/class/powercap";

/// What rows of it say in `method`.
pub(super) const METHOD: &str = "powercap";

/// Opens every domain and sub-domain. `intel-rapl` is the name for AMD's processors too. Its twin
/// `intel-rapl-mmio` is left out: it is a second way to the same counters.
pub(super) fn open(root: &Path) -> Found {
    let mut found = Found::default();
    for zone in zones(root) {
        match open_zone(root, zone) {
            Ok(domain) => found.domains.push(domain),
            Err(e) => found.failed.push(e),
        }
    }
    found
}

/// The zones that the kernel shows, by name.
pub(super) fn zones(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(CLASS)).into_iter().flatten().flatten();
    let mut zones: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|zone| zone.starts_with("intel-rapl:"))
        .collect();
    zones.sort();
    zones
}

/// Opens the domain of a zone.
///
/// # Errors
/// When it cannot be read.
pub(super) fn open_zone(root: &Path, zone: String) -> Result<Domain, KernelFileError> {
    let mut name = zone_name(root, &zone)?;
    if name == "core" && counts_one_core(root) {
        name = "one_core".to_owned();
    }
    // intel-rapl:0:1 is below intel-rapl:0.
    if let Some((parent, _)) = zone.rsplit_once(':').filter(|(parent, _)| parent.contains(':')) {
        name = format!("{}/{name}", zone_name(root, parent)?);
    }
    let range = KernelFile::open(root, &format!("{CLASS}/{zone}/max_energy_range_uj"))
        .and_then(|mut file| Ok(number(file.read_attribute()?.text.trim_ascii())))?
        .filter(|range| *range > 0);
    let mut counter = Energy(KernelFile::open(root, &format!("{CLASS}/{zone}/energy_uj"))?);
    // A counter that opens may still refuse to be read.
    counter.read()?;
    Ok(Domain {
        name,
        place: zone,
        method: METHOD,
        counter: Box::new(counter),
        meter: Meter::new(1e-6, range),
    })
}

/// Whether the zone `core` is one physical core: AMD's processors (and Hygon's, which are made alike) count each core by
/// itself in MSR_AMD_CORE_ENERGY_STATUS, and the kernel reads that of the package's first processor alone (Linux
/// drivers/powercap/intel_rapl_msr.c).
fn counts_one_core(root: &Path) -> bool {
    // The vendor is in the first lines; the kernel writes some 1,500 bytes a processor.
    let mut head = Vec::new();
    let file = std::fs::File::open(root.join("proc/cpuinfo"));
    let read = file.and_then(|file| file.take(4096).read_to_end(&mut head));
    read.is_ok()
        && lines(&head).any(|line| {
            line.starts_with(b"vendor_id")
                && (line.ends_with(b"AuthenticAMD") || line.ends_with(b"HygonGenuine"))
        })
}

fn zone_name(root: &Path, zone: &str) -> Result<String, KernelFileError> {
    let mut file = KernelFile::open(root, &format!("{CLASS}/{zone}/name"))?;
    Ok(String::from_utf8_lossy(file.read_attribute()?.text.trim_ascii()).into_owned())
}

struct Energy(KernelFile);

impl Counter for Energy {
    fn read(&mut self) -> Result<(u64, i64), KernelFileError> {
        let reading = self.0.read_attribute()?;
        let at_ns = reading.at_ns();
        match number(reading.text.trim_ascii()) {
            Some(count) => Ok((count, at_ns)),
            None => Err(self.0.malformed()),
        }
    }

    fn as_microjoules(&self, count: u64) -> Option<i64> {
        i64::try_from(count).ok()
    }
}
