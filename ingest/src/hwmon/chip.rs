//! One chip and its sensors (Linux Documentation/hwmon/sysfs-interface.rst).

use std::path::Path;

use bl_store::clock::monotonic_ns;

use super::{CLASS, LEFT_OUT};
use crate::sysfs::{KernelFile, KernelFileError, number, signed};

/// Kinds of sensors: how their names begin, the attributes that hold their reading (the first that is there
/// counts), the unit, and how many of the attribute's units make one.
const KINDS: [Kind; 9] = [
    Kind("temp", &["_input"], "degC", 1e3),
    Kind("in", &["_input"], "V", 1e3),
    Kind("fan", &["_input"], "rpm", 1.0),
    Kind("power", &["_input", "_average"], "W", 1e6),
    Kind("curr", &["_input"], "A", 1e3),
    Kind("energy", &["_input"], "J", 1e6),
    Kind("humidity", &["_input"], "pct", 1e3),
    Kind("freq", &["_input"], "Hz", 1.0),
    Kind("pwm", &[""], "pct", 2.55),
];

struct Kind(&'static str, &'static [&'static str], &'static str, f64);

/// A chip of the class.
pub(super) struct Chip {
    /// Name of the chip and of its device, such as `nct6798@nct6775.656`.
    pub(super) name: String,
    pub(super) sensors: Vec<Sensor>,
}

/// One channel of a chip.
pub(super) struct Sensor {
    /// Such as `temp1`.
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) unit: &'static str,
    divisor: f64,
    value: KernelFile,
    /// Says 1 while the reading means nothing.
    fault: Option<KernelFile>,
}

/// What a sensor said.
pub(super) struct SensorReading {
    pub(super) at_ns: i64,
    pub(super) value: Option<f64>,
    pub(super) error: Option<KernelFileError>,
}

/// The name of the chip in a folder of the class (`hwmon3`), made one of a kind by its device's.
pub(super) fn name(root: &Path, folder: &str) -> Option<String> {
    let path = root.join(CLASS).join(folder);
    let name = text(root, &format!("{CLASS}/{folder}/name"))?;
    let device = std::fs::canonicalize(path.join("device")).ok();
    let device = device.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    Some(device.map_or(name.clone(), |device| format!("{name}@{device}")))
}

impl Chip {
    /// Opens the chip in a folder of the class; `None` if it is left out or has no sensor that can be opened. The
    /// folder is only listed: no attribute is read but those that [`KINDS`] knows, as some act when they are. What may
    /// not be read goes to `refused`.
    pub(super) fn open(
        root: &Path,
        folder: &str,
        refused: &mut Vec<KernelFileError>,
    ) -> Option<Self> {
        let Some(name) = name(root, folder) else {
            let error = KernelFile::open(root, &format!("{CLASS}/{folder}/name")).err();
            refused.extend(error.filter(KernelFileError::is_denied));
            return None;
        };
        if LEFT_OUT.contains(&name.split('@').next().unwrap_or_default()) {
            return None;
        }
        let entries = std::fs::read_dir(root.join(CLASS).join(folder)).ok()?.flatten();
        let mut channels: Vec<_> =
            entries.filter_map(|entry| channel(&entry.file_name().into_string().ok()?)).collect();
        channels.sort();
        channels.dedup_by_key(|channel| (channel.kind, channel.number));
        let mut sensors = Vec::new();
        for channel in &channels {
            match channel.open(root, folder) {
                Ok(sensor) => sensors.push(sensor),
                Err(e) => refused.extend(Some(e).filter(KernelFileError::is_denied)),
            }
        }
        (!sensors.is_empty()).then_some(Self { name, sensors })
    }
}

/// A reading that a chip offers: places in [`KINDS`] and among its attributes, and the channel's number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Channel {
    kind: usize,
    number: u64,
    attribute: usize,
}

/// The channel that an attribute is the reading of, if it is one of the known.
fn channel(attribute: &str) -> Option<Channel> {
    KINDS.iter().enumerate().find_map(|(kind, Kind(prefix, suffixes, ..))| {
        let rest = attribute.strip_prefix(prefix)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, suffix) = rest.split_at(digits);
        let attribute = suffixes.iter().position(|known| *known == suffix)?;
        Some(Channel { kind, number: number(digits.as_bytes())?, attribute })
    })
}

impl Channel {
    fn open(&self, root: &Path, folder: &str) -> Result<Sensor, KernelFileError> {
        let Kind(prefix, suffixes, unit, divisor) = &KINDS[self.kind];
        let name = format!("{prefix}{}", self.number);
        let path = format!("{CLASS}/{folder}/{name}");
        Ok(Sensor {
            value: KernelFile::open(root, &format!("{path}{}", suffixes[self.attribute]))?,
            fault: KernelFile::open(root, &format!("{path}_fault")).ok(),
            label: text(root, &format!("{path}_label")),
            unit,
            divisor: *divisor,
            name,
        })
    }
}

impl Sensor {
    /// Reads the sensor. A driver that has no reading now says so with an error (EAGAIN, ENODATA, ENXIO, EIO): all
    /// of them are null, and told.
    pub(super) fn read(&mut self) -> SensorReading {
        let faulty = match &mut self.fault {
            Some(fault) => fault.read_attribute().is_ok_and(|r| signed(r.text) == Some(1)),
            None => false,
        };
        let (at_ns, value) = match self.value.read_attribute() {
            Ok(reading) => (reading.at_ns(), signed(reading.text)),
            Err(e) => return SensorReading { at_ns: monotonic_ns(), value: None, error: Some(e) },
        };
        let error = value.is_none().then(|| self.value.malformed());
        let value = value.filter(|_| !faulty).map(|value| value as f64 / self.divisor);
        SensorReading { at_ns, value, error }
    }
}

fn text(root: &Path, file: &str) -> Option<String> {
    let mut file = KernelFile::open(root, file).ok()?;
    let text = std::str::from_utf8(file.read_attribute().ok()?.text).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_attributes_are_readings() {
        let known = |name| channel(name).map(|c| (KINDS[c.kind].0, c.number));
        assert_eq!(known("temp12_input"), Some(("temp", 12)));
        assert_eq!(known("in0_input"), Some(("in", 0)));
        assert_eq!(known("power1_average"), Some(("power", 1)));
        assert_eq!(known("pwm2"), Some(("pwm", 2)));
        let unknown =
            ["temp1_max", "temp1", "temp_input", "pwm1_enable", "intrusion0_alarm", "name"];
        for name in unknown.iter().chain(&["temp1_reset_history", "fan1_input_highest", "in_input"])
        {
            assert_eq!(known(name), None, "{name}");
        }
    }
}
