//! The graphics cards on the PCI bus, whoever drives them. Nothing here wakes a card that sleeps: the kernel keeps what
//! is read.

use std::path::Path;

use crate::sysfs::Attribute;

const BUS: &str = "sys/bus/pci/devices";
const DRM: &str = "sys/class/drm";

/// Vendors whose cards are sampled (pci.ids).
const AMD: u16 = 0x1002;
const INTEL: u16 = 0x8086;
pub(super) const NVIDIA: u16 = 0x10de;

/// A graphics card by its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OnBus {
    /// Such as `0000:03:00.0`, in small letters.
    pub(super) address: String,
    pub(super) vendor: u16,
}

impl OnBus {
    /// `power/runtime_status` of the card.
    pub(super) fn runtime_status(&self, root: &Path) -> Attribute {
        Attribute::open(root, &format!("{BUS}/{}/power/runtime_status", self.address))
    }

    /// Whether that driver of the kernel has the card.
    pub(super) fn is_driven_by(&self, driver: &str, root: &Path) -> bool {
        let link = std::fs::read_link(root.join(BUS).join(&self.address).join("driver"));
        link.is_ok_and(|link| link.file_name().is_some_and(|name| name == driver))
    }

    /// Whether the kernel lets the card sleep when it has nothing to do (`power/control`).
    pub(super) fn may_sleep(&self, root: &Path) -> bool {
        let control = root.join(BUS).join(&self.address).join("power/control");
        std::fs::read_to_string(control).is_ok_and(|text| text.trim() == "auto")
    }
}

/// The cards of AMD, Intel and NVIDIA, by address. Where the bus cannot be read, those with a device of DRM.
pub(super) fn cards(root: &Path) -> Vec<OnBus> {
    let mut cards = match std::fs::read_dir(root.join(BUS)) {
        Ok(entries) => {
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            names.filter_map(|address| on_bus(root, &address)).collect::<Vec<_>>()
        }
        Err(_) => with_drm(root),
    };
    cards.sort();
    cards.dedup();
    cards
}

fn on_bus(root: &Path, address: &str) -> Option<OnBus> {
    let number = |name: &str| {
        let text = std::fs::read_to_string(root.join(BUS).join(address).join(name)).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    let vendor = number("vendor").and_then(|v| u16::try_from(v).ok())?;
    // Displays are 0x03; what only computes is an accelerator, as Intel's NPUs are, which are no cards.
    let is_card = match number("class")? >> 16 {
        0x03 => [AMD, INTEL, NVIDIA].contains(&vendor),
        0x12 => [AMD, NVIDIA].contains(&vendor),
        _ => false,
    };
    is_card.then(|| OnBus { address: address.to_ascii_lowercase(), vendor })
}

fn with_drm(root: &Path) -> Vec<OnBus> {
    let entries = std::fs::read_dir(root.join(DRM)).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("device/uevent")).ok()?;
        let of = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        let vendor = of("PCI_ID")?.split(':').next()?;
        let vendor = u16::from_str_radix(vendor, 16).ok()?;
        Some(OnBus { address: of("PCI_SLOT_NAME")?.to_ascii_lowercase(), vendor })
    });
    found.filter(|card| [AMD, INTEL, NVIDIA].contains(&card.vendor)).collect()
}

/// NVML's way to write an address (`00000000:03:00.0`) as sysfs does, whose domains have four digits at least.
pub(super) fn as_sysfs(bus_id: &str) -> String {
    let lower = bus_id.to_ascii_lowercase();
    match lower.split_once(':') {
        Some((domain, rest)) => {
            format!("{:0>4}:{rest}", domain.trim_start_matches('0'))
        }
        None => lower,
    }
}

/// Numbers the cards of a machine, so that an index means one card, whoever made it.
#[derive(Debug, Default)]
pub(super) struct Roster(Vec<String>);

impl Roster {
    /// The card's place among all, by address. One that comes later follows those that have a number.
    pub(super) fn index(&mut self, root: &Path, address: &str) -> i16 {
        let address = address.to_ascii_lowercase();
        if !self.0.contains(&address) {
            let new = cards(root).into_iter().map(|card| card.address);
            let new: Vec<_> = new.filter(|address| !self.0.contains(address)).collect();
            self.0.extend(new);
        }
        let place = self.0.iter().position(|known| *known == address);
        let place = place.unwrap_or_else(|| {
            self.0.push(address);
            self.0.len() - 1
        });
        i16::try_from(place).unwrap_or(i16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(root: &Path, address: &str, class: &str, vendor: &str) {
        let folder = root.join(BUS).join(address);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("class"), format!("{class}\n")).unwrap();
        std::fs::write(folder.join("vendor"), format!("{vendor}\n")).unwrap();
    }

    #[test]
    fn an_index_is_one_card_whoever_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        add(root, "0000:00:02.0", "0x030000", "0x8086");
        add(root, "0000:00:0b.0", "0x120000", "0x8086"); // an NPU
        add(root, "0000:00:1f.3", "0x040300", "0x8086"); // sound
        add(root, "0000:01:00.0", "0x030000", "0x10de");
        add(root, "0000:02:00.0", "0x030000", "0x1a03"); // the picture of a server's BMC
        add(root, "0000:03:00.0", "0x120000", "0x1002"); // an accelerator that computes
        let mut roster = Roster::default();
        let expected = [("0000:00:02.0", 0), ("0000:01:00.0", 1), ("0000:03:00.0", 2)];
        for (address, index) in expected {
            assert_eq!(Roster::default().index(root, address), index);
            assert_eq!(roster.index(root, address), index);
        }
        // One at an external port comes: it changes no number that has been told.
        add(root, "0000:00:07.0", "0x030000", "0x10DE");
        assert_eq!(roster.index(root, "0000:00:07.0"), 3);
        assert_eq!(roster.index(root, "0000:03:00.0"), 2);
        // One that the bus does not show, as in a container.
        assert_eq!(roster.index(root, "0000:41:00.0"), 4);
    }

    #[test]
    fn addresses_of_nvml() {
        assert_eq!(as_sysfs("00000000:0C:00.0"), "0000:0c:00.0");
        assert_eq!(as_sysfs("00010000:0C:00.0"), "10000:0c:00.0");
        assert_eq!(as_sysfs("0000:01:00.0"), "0000:01:00.0");
    }
}
