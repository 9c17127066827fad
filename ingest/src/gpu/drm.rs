//! Graphics cards of the kernel's DRM class, through sysfs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;

use super::card::{Choice, GpuTable, Identity, Sample};
use super::pci::Roster;
use super::{CARDS_COME, amd, intel};
use crate::source::{Context, Faults, Reason, Source, SourceError, sample_at};
use crate::sysfs::{Attribute, Gone, KernelFile, KernelFileError};

const CLASS: &str = "sys/class/drm";

/// How often cards that came are looked for.
const SEARCH_NS: i64 = CARDS_COME.as_nanos() as i64;

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
    /// Takes a sample; what is refused or makes no sense is null, and noted.
    fn read(&mut self, faults: &mut Faults) -> Result<Sample, Gone>;
}

/// Samples table `gpu` for all cards of one vendor.
///
/// A card that sleeps (runtime power management) is not woken: its samples are null, but for `asleep`.
#[derive(Debug)]
pub struct DrmSource {
    vendor: &'static Vendor,
    root: PathBuf,
    hz: f64,
    choice: Choice,
    roster: Roster,
}

impl DrmSource {
    /// Samples `hz` times a second the chosen cards of amdgpu that lie under `root` (`/`, but for tests).
    pub fn amd(root: impl Into<PathBuf>, hz: f64, choice: Choice) -> Self {
        Self::new(&amd::VENDOR, root.into(), hz, choice)
    }

    /// Samples `hz` times a second the chosen cards of i915 and xe that lie under `root` (`/`, but for tests).
    pub fn intel(root: impl Into<PathBuf>, hz: f64, choice: Choice) -> Self {
        Self::new(&intel::VENDOR, root.into(), hz, choice)
    }

    fn new(vendor: &'static Vendor, root: PathBuf, hz: f64, choice: Choice) -> Self {
        Self { vendor, root, hz, choice, roster: Roster::default() }
    }
}

impl Source for DrmSource {
    fn name(&self) -> String {
        self.vendor.source.to_owned()
    }

    /// What is not there may come later: by its driver, or at an external port.
    fn back_off(&self) -> (Duration, Duration) {
        (CARDS_COME, CARDS_COME)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let Self { vendor, root, hz, choice, roster } = self;
        let (mut cards, mut table) = (Vec::new(), GpuTable::new());
        let found = context.watched(Duration::ZERO, || find(root, vendor.drivers));
        let refused = found.refused.first().map(ToString::to_string);
        let mut seek = Seek { vendor, root, choice, roster };
        open_new(&mut seek, found, &mut cards, context);
        if let Some(text) = refused.filter(|_| cards.is_empty()) {
            return Err(SourceError::Denied(format!("{text}: let the user of bl read it")));
        }
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
                let found = find(root, vendor.drivers);
                drop_gone(&found, &mut cards, context);
                for who in open_new(&mut seek, found, &mut cards, context) {
                    context.health(Reason::Up, 1, format!("{who} has come"));
                }
            }
            cards.retain_mut(|card| {
                card.sample(vendor.source, &mut table, context, &mut tick.faults)
            });
            tick.flush(context, &mut table.rows);
            if cards.is_empty() {
                tick.faults.tell(context);
                context.flush(&mut table.rows);
                let text = format!("the last {} card has gone; it is looked for", vendor.name);
                return Err(SourceError::Retry(text));
            }
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
        let sample = self.asleep(faults).and_then(|asleep| match asleep {
            Some(true) => Ok(Sample { asleep, ..Sample::default() }),
            _ => Ok(Sample { asleep, ..self.card.read(faults)? }),
        });
        let at_ns = from_ns + (monotonic_ns() - from_ns) / 2;
        match sample {
            Ok(sample) => {
                table.add(context.anchor().ts(at_ns), source, &self.identity, &sample);
                true
            }
            Err(Gone) => {
                faults.note(Reason::Unplugged, 1, self.who());
                false
            }
        }
    }

    fn asleep(&mut self, faults: &mut Faults) -> Result<Option<bool>, Gone> {
        self.runtime_status.read(faults, is_asleep)
    }

    fn who(&self) -> String {
        format!("{} at {}", self.identity.name, self.identity.uuid)
    }
}

/// What `power/runtime_status` says: `suspended`, or `suspending` on the way there. `None` where the kernel does not
/// manage the card's power (`unsupported`), so that it cannot be known.
pub(super) fn is_asleep(runtime_status: &[u8]) -> Option<bool> {
    match runtime_status.trim_ascii() {
        b"suspended" | b"suspending" => Some(true),
        b"active" | b"resuming" => Some(false),
        _ => None,
    }
}

/// Which cards are looked for, and where.
pub(super) struct Seek<'a> {
    pub(super) vendor: &'a Vendor,
    pub(super) root: &'a Path,
    pub(super) choice: &'a Choice,
    pub(super) roster: &'a mut Roster,
}

/// Drops the cards that the kernel no longer shows.
fn drop_gone(found: &Search, cards: &mut Vec<Opened>, context: &Context) {
    cards.retain(|card| {
        let stays = found.cards.iter().any(|found| found.folder == card.folder);
        if !stays {
            context.health(Reason::Unplugged, 1, card.who());
        }
        stays
    });
}

/// Opens the chosen cards among those found that are not open yet, and returns which.
pub(super) fn open_new(
    seek: &mut Seek,
    found: Search,
    cards: &mut Vec<Opened>,
    context: &Context,
) -> Vec<String> {
    let Seek { vendor, root, choice, roster } = seek;
    let mut opened = Vec::new();
    for found in found.cards {
        let identity = found.identity(roster.index(root, &found.pci_address), vendor);
        if cards.iter().any(|c| c.folder == found.folder) || !choice.takes(&identity) {
            continue;
        }
        context.device(identity.describe(&found.driver));
        let device = format!("{CLASS}/{}/device", found.folder);
        let card =
            (vendor.open)(root, &format!("{CLASS}/{}", found.folder), found.hwmon.as_deref());
        let runtime_status = Attribute::open(root, &format!("{device}/power/runtime_status"));
        let card = Opened { folder: found.folder, identity, runtime_status, card };
        opened.push(card.who());
        cards.push(card);
    }
    opened
}

/// Names of the cards that these drivers show, for who only wants to know whether there are any.
pub(crate) fn card_names(root: &Path, drivers: &[&str]) -> Vec<String> {
    find(root, drivers).cards.into_iter().map(|found| found.name).collect()
}

/// The cards of AMD and Intel, as they are chosen.
pub(super) fn identities(root: &Path) -> Vec<Identity> {
    let mut roster = Roster::default();
    let mut of = |vendor: &'static Vendor| -> Vec<_> {
        let cards = find(root, vendor.drivers).cards.into_iter();
        cards.map(|card| card.identity(roster.index(root, &card.pci_address), vendor)).collect()
    };
    [of(&amd::VENDOR), of(&intel::VENDOR)].concat()
}

/// What was found of some drivers' cards.
#[derive(Default)]
pub(super) struct Search {
    cards: Vec<Found>,
    /// What may not be read, so that it is not known whether there is a card.
    refused: Vec<KernelFileError>,
}

struct Found {
    folder: String,
    driver: String,
    pci_address: String,
    name: String,
    /// Folder of its hwmon chip, under the root.
    hwmon: Option<String>,
}

impl Found {
    fn identity(&self, index: i16, vendor: &Vendor) -> Identity {
        Identity {
            index,
            uuid: self.pci_address.clone(),
            vendor: vendor.name,
            name: self.name.clone(),
        }
    }
}

/// The cards of these drivers, by number.
pub(super) fn find(root: &Path, drivers: &[&str]) -> Search {
    let names = |path: &str| {
        let entries = std::fs::read_dir(root.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    // Connectors lie beside the cards: card0-DP-1.
    let number = |name: &str| name.strip_prefix("card").and_then(|n| n.parse::<u16>().ok());
    let mut folders: Vec<_> =
        names(CLASS).into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    folders.sort();
    let mut refused = Vec::new();
    let found = |(_, folder): (u16, String)| {
        let device = format!("{CLASS}/{folder}/device");
        let uevent = match read(root, &format!("{device}/uevent")) {
            Ok(text) => text,
            Err(e) => {
                refused.extend(Some(e).filter(KernelFileError::is_denied));
                return None;
            }
        };
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
    let cards = folders.into_iter().filter_map(found).collect();
    Search { cards, refused }
}

fn read(root: &Path, relative: &str) -> Result<String, KernelFileError> {
    let mut file = KernelFile::open(root, relative)?;
    Ok(String::from_utf8_lossy(file.read_attribute()?.text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kept::*;

    /// A card that is there for so many samples.
    struct Leaving(u32);

    impl Card for Leaving {
        fn read(&mut self, _: &mut Faults) -> Result<Sample, Gone> {
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
            let found = find(&root, LEAVING.drivers);
            let (choice, mut roster) = (Choice::default(), Roster::default());
            let mut seek =
                Seek { vendor: &LEAVING, root: &root, choice: &choice, roster: &mut roster };
            open_new(&mut seek, found, cards, &context);
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
