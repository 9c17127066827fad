//! How often each chip is read.

/// Chips that are read this often at most, where nothing else is asked for: every five seconds.
const GENTLE_HZ: f64 = 0.2;

/// Chips that are disturbed by being read. A drive wakes to answer: one reading a second heated one by 20 K
/// (lm-sensors/lm-sensors issue 511). The others call the firmware of the board, which stops a processor meanwhile
/// (System Management Mode, ACPI and WMI methods: Linux Documentation/hwmon/dell-smm-hwmon.rst, asus_wmi_sensors.rst).
const GENTLE: [&str; 13] = [
    "nvme",
    "dell_smm",
    "dell_ddv",
    "asus",
    "asusec",
    "asus_wmi_sensors",
    "gigabyte_wmi",
    "hp",
    "hp_wmi_sensors",
    "acer",
    "msi_wmi_platform",
    "thinkpad",
    "lenovo_wmi",
];

/// Rates of chips that are not that of the source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates(Vec<(String, f64)>);

impl Rates {
    /// Readings a second of chips by name, with or without their device (`nvme`, `nvme@nvme0`); 0 is never. The first that
    /// names a chip counts. Of the others, NVMe drives and what asks the board's firmware are read every five seconds at
    /// most.
    pub fn new(rates: Vec<(String, f64)>) -> Self {
        Self(rates)
    }

    /// How long a chip is left alone between two readings; 0 if it is read at each sample, `None` if it never is.
    pub(super) fn period_ns(&self, name: Option<&str>, hz: f64) -> Option<i64> {
        let name = name.unwrap_or_default();
        let kind = name.split('@').next().unwrap_or_default();
        let asked = self.0.iter().find(|(chip, _)| chip == name || chip == kind);
        let own_hz = match asked {
            Some((_, own_hz)) => *own_hz,
            None if GENTLE.contains(&kind) => GENTLE_HZ,
            None => hz,
        };
        if own_hz <= 0.0 {
            return None;
        }
        if own_hz >= hz {
            return Some(0);
        }
        // Samples jitter: one that comes half a sample early is in time.
        Some((1e9 / own_hz - 0.5e9 / hz) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_and_firmware_are_read_every_five_seconds() {
        let rates = Rates::default();
        for chip in ["nvme@nvme0", "dell_smm", "gigabyte_wmi@1"] {
            assert_eq!(rates.period_ns(Some(chip), 10.0), Some(4_950_000_000), "{chip}");
            assert_eq!(rates.period_ns(Some(chip), 0.1), Some(0), "not more often than asked");
        }
        assert_eq!(rates.period_ns(Some("k10temp@0000:00:18.3"), 10.0), Some(0));
        assert_eq!(rates.period_ns(None, 10.0), Some(0));
    }

    #[test]
    fn a_chip_has_the_rate_that_it_is_given() {
        let rates = [("nvme@nvme1", 0.0), ("nvme", 1.0), ("k10temp", 2.0)];
        let rates = Rates::new(rates.map(|(name, hz)| (name.to_owned(), hz)).to_vec());
        assert_eq!(rates.period_ns(Some("nvme@nvme1"), 10.0), None);
        assert_eq!(rates.period_ns(Some("nvme@nvme0"), 10.0), Some(950_000_000));
        assert_eq!(rates.period_ns(Some("k10temp@0000:00:18.3"), 2.0), Some(0));
    }
}
