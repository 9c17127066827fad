//! Graphics cards of the kernel's DRM class, through sysfs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;

use super::card::{Choice, GpuTable, Identity, Sample};
use super::{amd, intel};
use crate::kernel::{Attribute, Gone};
use crate::source::{Context, Faults, LOOK_AGAIN, Reason, Source, SourceError, sample_at};

const CLASS: &str = "sys/class/drm";

/// How often cards that came are looked for.
const SEARCH_NS: i64 = 10_000_000_000;

/// A vendor whose cards are sampled.
#[derive(Debug)]
pub(super) struct Vendor {
    /// Its name in table `gpu`.
    pub(super) name: &'static str,
    /// What the rows of its cards carry in `source`.
    pub(super) source: &'static str,
    /// The kernel's drivers of its cards.
    pub(super) drivers: &'static [&'static str],
    /// Opens a card by its folder in the class and that of its hwmon chip, both under the root.
    pub(super) open: fn(&Path, &str, Option<&str>) -> Box<dyn Card>,
}

/// A card whose attributes are open.
pub(super) trait Card: Send {
    fn read(&mut self) -> Result<Sample, Gone>;
}

/// Samples table `gpu` for all cards of one vendor.
///
/// A card that sleeps (runtime power management) is not woken: its samples are null.
#[derive(Debug)]
pub struct DrmSource {
    vendor: &'static Vendor,
    root: PathBuf,
    hz: f64,
    choice: Choice,
}

impl DrmSource {
    /// Samples `hz` times a second the chosen cards of amdgpu that lie under `root` (`/`, but for tests).
    pub fn amd(root: impl Into<PathBuf>, hz: f64, choice: Choice) -> Self {
        Self { vendor: &amd::VENDOR, root: root.into(), hz, choice }
    }

    /// Samples `hz` times a second the chosen cards of i915 and xe that lie under `root` (`/`, but for tests).
    pub fn intel(root: impl Into<PathBuf>, hz: f64, choice: Choice) -> Self {
        Self { vendor: &intel::VENDOR, root: root.into(), hz, choice }
    }
}

impl Source for DrmSource {
    fn name(&self) -> String {
        self.vendor.source.to_owned()
    }

    /// What is not there may come later: by its driver, or at an external port.
    fn back_off(&self) -> (Duration, Duration) {
        (LOOK_AGAIN, LOOK_AGAIN)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let Self { vendor, root, hz, choice } = self;
        let (mut cards, mut table) = (Vec::new(), GpuTable::new());
        search(vendor, root, choice, &mut cards, context);
        if cards.is_empty() {
            return Err(SourceError::Retry(format!(
                "this machine shows no {} card to sample (driver {})",
                vendor.name,
                vendor.drivers.join(" or ")
            )));
        }
        let text = format!("{} {} cards at {hz} Hz", cards.len(), vendor.name);
        context.up(text);
        let mut search_ns = monotonic_ns() + SEARCH_NS;
        sample_at(context, *hz, |tick| {
            if monotonic_ns() >= search_ns {
                search_ns = monotonic_ns() + SEARCH_NS;
                search(vendor, root, choice, &mut cards, context);
            }
            cards.retain_mut(|card| {
                card.sample(vendor.source, &mut table, context, &mut tick.faults)
            });
            tick.flush(context, &mut table.rows);
            Ok(())
        })
    }
}

/// A card that is sampled.
pub(super) struct Opened {
    folder: String,
    identity: Identity,
    /// `power/runtime_status`, which can be read without waking the card.
    runtime_status: Attribute,
    card: Box<dyn Card>,
}

impl Opened {
    /// Adds a row; false when the card has gone.
    pub(super) fn sample(
        &mut self,
        source: &str,
        table: &mut GpuTable,
        context: &Context,
        faults: &mut Faults,
    ) -> bool {
        let from_ns = monotonic_ns();
        let sample = self.asleep().and_then(|asleep| match asleep {
            true => Ok(Sample::default()),
            false => self.card.read(),
        });
        let at_ns = from_ns + (monotonic_ns() - from_ns) / 2;
        match sample {
            Ok(sample) => {
                table.add(context.anchor().ts(at_ns), source, &self.identity, &sample);
                true
            }
            Err(Gone) => {
                let text = format!("{} at {}", self.identity.name, self.identity.uuid);
                faults.note(Reason::Unplugged, 1, text);
                false
            }
        }
    }

    fn asleep(&mut self) -> Result<bool, Gone> {
        let status = self.runtime_status.read(|text| Some(text.starts_with(b"suspend")))?;
        Ok(status == Some(true))
    }
}

/// Opens the chosen cards of these drivers that are not open yet.
pub(super) fn search(
    vendor: &Vendor,
    root: &Path,
    choice: &Choice,
    cards: &mut Vec<Opened>,
    context: &Context,
) {
    for (index, found) in find(root, vendor.drivers).into_iter().enumerate() {
        let identity = Identity {
            index: index as i16,
            uuid: found.pci_address,
            vendor: vendor.name,
            name: found.name,
        };
        if cards.iter().any(|c| c.folder == found.folder) || !choice.takes(&identity) {
            continue;
        }
        context.device(identity.describe(&found.driver));
        let device = format!("{CLASS}/{}/device", found.folder);
        let card =
            (vendor.open)(root, &format!("{CLASS}/{}", found.folder), found.hwmon.as_deref());
        let runtime_status = Attribute::open(root, &format!("{device}/power/runtime_status"));
        cards.push(Opened { folder: found.folder, identity, runtime_status, card });
    }
}

/// Names of the cards that these drivers show, for who only wants to know whether there are any.
pub(crate) fn card_names(root: &Path, drivers: &[&str]) -> Vec<String> {
    find(root, drivers).into_iter().map(|found| found.name).collect()
}

struct Found {
    folder: String,
    driver: String,
    pci_address: String,
    name: String,
    /// Folder of its hwmon chip, under the root.
    hwmon: Option<String>,
}

/// The cards of these drivers, by number.
fn find(root: &Path, drivers: &[&str]) -> Vec<Found> {
    let names = |path: &str| {
        let entries = std::fs::read_dir(root.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    // Connectors lie beside the cards: card0-DP-1.
    let number = |name: &str| name.strip_prefix("card").and_then(|n| n.parse::<u16>().ok());
    let mut folders: Vec<_> =
        names(CLASS).into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    folders.sort();
    let found = |(_, folder): (u16, String)| {
        let device = format!("{CLASS}/{folder}/device");
        let uevent = std::fs::read_to_string(root.join(&device).join("uevent")).ok()?;
        let of = |key: &str| {
            uevent.lines().find_map(|l| Some(l.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
        };
        let driver = of("DRIVER").filter(|driver| drivers.contains(&driver.as_str()))?;
        let product = std::fs::read_to_string(root.join(&device).join("product_name"));
        let name = product.ok().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty());
        let hwmon = names(&format!("{device}/hwmon"));
        let hwmon = hwmon.into_iter().filter(|name| name.starts_with("hwmon")).min();
        Some(Found {
            driver,
            pci_address: of("PCI_SLOT_NAME")?,
            name: name.or_else(|| Some(format!("PCI {}", of("PCI_ID")?)))?,
            hwmon: hwmon.map(|name| format!("{device}/hwmon/{name}")),
            folder,
        })
    };
    folders.into_iter().filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kept::*;

    /// A card that is there for so many samples.
    struct Leaving(u32);

    impl Card for Leaving {
        fn read(&mut self) -> Result<Sample, Gone> {
            self.0 = self.0.checked_sub(1).ok_or(Gone)?;
            Ok(Sample { util_pct: Some(1.0), ..Sample::default() })
        }
    }

    static LEAVING: Vendor = Vendor {
        name: "amd",
        source: "gpu.amd",
        drivers: &["amdgpu"],
        open: |_, _, _| Box::new(Leaving(1)),
    };

    #[test]
    fn a_card_that_goes_is_told_and_found_again() {
        let (kept, context) = kept();
        let (mut cards, mut table, mut faults) = (Vec::new(), GpuTable::new(), Faults::default());
        let root = fixture("gpu/amd-old");
        let search = |cards: &mut Vec<Opened>| {
            search(&LEAVING, &root, &Choice::default(), cards, &context);
        };
        search(&mut cards);
        search(&mut cards);
        assert_eq!(cards.len(), 1, "one that is open is not opened again");
        for left in [1, 0] {
            cards.retain_mut(|card| card.sample("gpu.amd", &mut table, &context, &mut faults));
            assert_eq!(cards.len(), left);
        }
        assert_eq!(table.rows.len(), 1);
        faults.tell_all(&context);
        assert_eq!(
            kept.health(),
            [("unplugged".into(), 1, "PCI 1002:67DF at 0000:01:00.0".into())]
        );
        search(&mut cards);
        assert_eq!(cards.len(), 1);
    }
}
