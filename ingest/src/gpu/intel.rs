//! Intel's cards: sysfs of i915 and xe (Linux Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and
//! sysfs-driver-intel-xe-hwmon, drivers/gpu/drm/xe/xe_gt_freq.c).

use std::path::Path;

use bl_store::clock::monotonic_ns;

use super::card::Sample;
use super::drm::{Card, Vendor};
use crate::meter::Meter;
use crate::source::Faults;
use crate::sysfs::{Attribute, Gone};

/// Where the actual clock of the first GT is: xe, i915, i915 before 5.18.
const CLOCKS: [&str; 3] =
    ["device/tile0/gt0/freq0/act_freq", "gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"];

/// A card of driver i915 or xe.
///
/// Power is the difference of the energy counter. The load of the engines is not in sysfs, so null.
#[derive(Debug)]
struct Intel {
    energy: Attribute,
    meter: Meter,
    power_max: Attribute,
    clock: Attribute,
    temp: Attribute,
    mem_temp: Attribute,
    fan: Attribute,
}

pub(super) static VENDOR: Vendor = Vendor {
    name: "intel",
    source: "gpu.intel",
    drivers: &["i915", "xe"],
    open: |root, folder, hwmon| Box::new(Intel::open(root, folder, hwmon)),
};

impl Intel {
    fn open(root: &Path, folder: &str, hwmon: Option<&str>) -> Self {
        let sensor = |name: &str| match hwmon {
            Some(hwmon) => Attribute::open(root, &format!("{hwmon}/{name}")),
            None => Attribute::default(),
        };
        // Channel 1 is the card, 2 its package; some cards of xe have the second alone.
        let first = |names: [&str; 2]| {
            names.into_iter().map(&sensor).find(Attribute::is_there).unwrap_or_default()
        };
        let clock = CLOCKS.iter().map(|name| Attribute::open(root, &format!("{folder}/{name}")));
        Self {
            energy: first(["energy1_input", "energy2_input"]),
            // The driver extends the hardware's 32 bits to 64, if it is read before they wrap twice.
            meter: Meter::new(1e-6, None),
            power_max: first(["power1_max", "power2_max"]),
            clock: clock.into_iter().find(Attribute::is_there).unwrap_or_default(),
            temp: first(["temp2_input", "temp1_input"]),
            mem_temp: sensor("temp3_input"),
            fan: sensor("fan1_input"),
        }
    }
}

impl Card for Intel {
    fn read(&mut self, faults: &mut Faults) -> Result<Sample, Gone> {
        let from_ns = monotonic_ns();
        let energy = self.energy.number(faults)?;
        let at_ns = from_ns + (monotonic_ns() - from_ns) / 2;
        let count = energy.and_then(|uj| u64::try_from(uj).ok());
        let power = count.and_then(|count| self.meter.advance(at_ns, count).power_w);
        Ok(Sample {
            power_w: power.map(|watts| (watts, "energy")),
            energy_j: energy.map(|uj| uj as f64 / 1e6),
            // 0 is how the driver says that there is no limit.
            power_limit_w: self.power_max.scaled(1e6, faults)?.filter(|limit| *limit > 0.0),
            core_mhz: self.clock.scaled(1.0, faults)?.map(|v| v as f32),
            temp_c: self.temp.scaled(1e3, faults)?.map(|v| v as f32),
            mem_temp_c: self.mem_temp.scaled(1e3, faults)?.map(|v| v as f32),
            fan_rpm: [self.fan.number(faults)?.and_then(|v| v.try_into().ok()), None, None],
            ..Sample::default()
        })
    }
}
