//! AMD's cards: amdgpu's sysfs (Linux Documentation/gpu/amdgpu/thermal.rst).

use std::path::Path;

use super::card::Sample;
use super::drm::{Card, Vendor};
use super::metrics::Metrics;
use crate::source::Faults;
use crate::sysfs::{Attribute, Gone};

/// A card of driver amdgpu.
///
/// The attributes are a fixed list: others act when they are read (`pcie_bw` takes a second, for one).
#[derive(Debug)]
struct Amd {
    busy: Attribute,
    mem_busy: Attribute,
    vram_used: Attribute,
    vram_total: Attribute,
    gtt_used: Attribute,
    gtt_total: Attribute,
    media: Attribute,
    metrics: Attribute,
    /// `power1_input`, the power now.
    instant: Attribute,
    /// `power1_average`, a mean over a time that the firmware chooses. A card has one of the two, or both.
    average: Attribute,
    power_cap: Attribute,
    edge: Attribute,
    junction: Attribute,
    mem_temp: Attribute,
    core_clock: Attribute,
    mem_clock: Attribute,
    fan: Attribute,
    pwm: Attribute,
}

pub(super) static VENDOR: Vendor = Vendor {
    name: "amd",
    source: "gpu.amd",
    drivers: &["amdgpu"],
    open: |root, folder, hwmon| Box::new(Amd::open(root, folder, hwmon)),
};

impl Amd {
    fn open(root: &Path, folder: &str, hwmon: Option<&str>) -> Self {
        let device = |name: &str| Attribute::open(root, &format!("{folder}/device/{name}"));
        let sensor = |name: &str| match hwmon {
            Some(hwmon) => Attribute::open(root, &format!("{hwmon}/{name}")),
            None => Attribute::default(),
        };
        Self {
            busy: device("gpu_busy_percent"),
            mem_busy: device("mem_busy_percent"),
            vram_used: device("mem_info_vram_used"),
            vram_total: device("mem_info_vram_total"),
            gtt_used: device("mem_info_gtt_used"),
            gtt_total: device("mem_info_gtt_total"),
            media: device("vcn_busy_percent"),
            metrics: device("gpu_metrics"),
            instant: sensor("power1_input"),
            average: sensor("power1_average"),
            power_cap: sensor("power1_cap"),
            // The driver fixes what channels 1 to 3 are (edge, junction, mem), and leaves out those it lacks.
            edge: sensor("temp1_input"),
            junction: sensor("temp2_input"),
            mem_temp: sensor("temp3_input"),
            core_clock: sensor("freq1_input"),
            mem_clock: sensor("freq2_input"),
            fan: sensor("fan1_input"),
            pwm: sensor("pwm1"),
        }
    }
}

impl Card for Amd {
    fn read(&mut self, faults: &mut Faults) -> Result<Sample, Gone> {
        let instant = self.instant.scaled(1e6, faults)?;
        let average = self.average.scaled(1e6, faults)?;
        let power_w = instant.map(|watts| (watts, "instant"));
        let media_pct = self.media.scaled(1.0, faults)?;
        let metrics = self.metrics.read(faults, Metrics::parse)?.unwrap_or_default();
        Ok(Sample {
            util_pct: self.busy.scaled(1.0, faults)?.map(|v| v as f32),
            mem_util_pct: self.mem_busy.scaled(1.0, faults)?.map(|v| v as f32),
            mem_used_bytes: self.vram_used.number(faults)?,
            mem_total_bytes: self.vram_total.number(faults)?,
            gtt_used_bytes: self.gtt_used.number(faults)?,
            gtt_total_bytes: self.gtt_total.number(faults)?,
            power_w: power_w.or(average.map(|watts| (watts, "average"))),
            power_average_w: average,
            power_limit_w: self.power_cap.scaled(1e6, faults)?,
            gfx_power_w: metrics.gfx_power_w,
            cores_power_w: metrics.cores_power_w,
            energy_j: metrics.energy_j,
            temp_c: self.edge.scaled(1e3, faults)?.map(|v| v as f32),
            hotspot_c: self.junction.scaled(1e3, faults)?.map(|v| v as f32),
            mem_temp_c: self.mem_temp.scaled(1e3, faults)?.map(|v| v as f32),
            core_mhz: self.core_clock.scaled(1e6, faults)?.map(|v| v as f32),
            mem_mhz: self.mem_clock.scaled(1e6, faults)?.map(|v| v as f32),
            fan_pct: [self.pwm.scaled(2.55, faults)?.map(|v| v as f32), None, None],
            fan_rpm: [self.fan.number(faults)?.and_then(|v| v.try_into().ok()), None, None],
            media_pct: media_pct.or(metrics.media_pct).map(|v| v as f32),
            throttle: metrics.throttle,
            ..Sample::default()
        })
    }
}
