//! One card of NVIDIA, and what it is asked.

use std::collections::BTreeSet;
use std::path::Path;

use bl_store::clock::monotonic_ns;
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, PerformancePolicy, TemperatureSensor,
};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;

use super::legacy::Legacy;
use super::rest::Rest;
use crate::gpu::card::{Identity, Sample};
use crate::gpu::drm::is_asleep;
use crate::gpu::pci::OnBus;
use crate::meter::Meter;
use crate::source::{Faults, Reason};
use crate::sysfs::Attribute;

/// A card that is sampled.
pub(super) struct Card<'n> {
    device: Device<'n>,
    pub(super) identity: Identity,
    /// Its place on the bus, as sysfs writes it.
    pub(super) address: String,
    runtime_status: Attribute,
    rest: Rest,
    legacy: &'n Legacy,
    /// What the card said that it does not support: it is not asked again.
    unsupported: BTreeSet<&'static str>,
    /// Those that have been told.
    told: BTreeSet<&'static str>,
    /// What this user may not ask: nor is that asked again.
    refused: BTreeSet<&'static str>,
    pub(super) lost: bool,
    energy: Meter,
    /// The reading of the energy counter that last differed from the one before.
    last_mj: Option<u64>,
}

/// What came of a card's turn to be sampled.
pub(super) enum Taken {
    /// A sample, and the monotonic midpoint of the time that it took.
    Sample(i64, Box<Sample>),
    /// It is left alone, so that it may fall asleep.
    Rests,
    /// It is lost.
    Lost,
}

impl<'n> Card<'n> {
    /// # Errors
    /// When the card does not say who it is.
    pub(super) fn open(
        device: Device<'n>,
        legacy: &'n Legacy,
        root: &Path,
        on_bus: &OnBus,
        index: i16,
    ) -> Result<Self, NvmlError> {
        let uuid = device.uuid().or_else(|_| device.pci_info().map(|pci| pci.bus_id))?;
        let name = device.name().unwrap_or_else(|_| format!("nvidia {index}"));
        Ok(Self {
            identity: Identity { index, uuid, vendor: "nvidia", name },
            address: on_bus.address.clone(),
            runtime_status: on_bus.runtime_status(root),
            rest: Rest::new(on_bus.may_sleep(root)),
            device,
            legacy,
            unsupported: BTreeSet::new(),
            told: BTreeSet::new(),
            refused: BTreeSet::new(),
            lost: false,
            energy: Meter::new(1e-3, None),
            last_mj: None,
        })
    }

    /// Takes a sample, unless the card sleeps or is to fall asleep.
    pub(super) fn sample(&mut self, faults: &mut Faults) -> Taken {
        let from_ns = monotonic_ns();
        // A card that has gone from the bus is told as lost by NVML.
        let asleep = self.runtime_status.read(faults, is_asleep).ok().flatten();
        if asleep == Some(true) {
            return Taken::Sample(from_ns, Box::new(Sample { asleep, ..Sample::default() }));
        }
        if self.rest.is_on(from_ns) {
            let text = format!("{} is idle, and asked less often so that it can sleep", self.who());
            faults.note(Reason::Late, 1, text);
            return Taken::Rests;
        }
        let sample = Sample { asleep, ..self.ask_all(faults) };
        let to_ns = monotonic_ns();
        if self.lost {
            return Taken::Lost;
        }
        let works = [sample.util_pct, sample.mem_util_pct, sample.encoder_pct, sample.decoder_pct];
        let is_idle = sample.util_pct.is_some() && works.iter().flatten().all(|pct| *pct == 0.0);
        self.rest.asked(to_ns, is_idle);
        Taken::Sample(from_ns + (to_ns - from_ns) / 2, Box::new(sample))
    }

    /// Whether it may be asked what is asked seldom: it is awake, and there.
    pub(super) fn is_asked(&self, sample: &Sample) -> bool {
        !self.lost && sample.asleep != Some(true)
    }

    pub(super) fn who(&self) -> String {
        format!("{} {}", self.identity.name, self.identity.uuid)
    }

    /// What the card has said since the last call that it does not support: how much, and a sentence.
    pub(super) fn newly_unsupported(&mut self) -> Option<(u64, String)> {
        let new: Vec<_> = self.unsupported.difference(&self.told).copied().collect();
        self.told.extend(&new);
        let text = || format!("{} does not support: {}", self.who(), new.join(", "));
        (!new.is_empty()).then(|| (new.len() as u64, text()))
    }

    /// Asks for one thing, if the card supports it and is there.
    fn ask<T>(
        &mut self,
        what: &'static str,
        faults: &mut Faults,
        call: impl FnOnce(&Device) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.lost || self.unsupported.contains(what) || self.refused.contains(what) {
            return None;
        }
        match call(&self.device) {
            Ok(answer) => return Some(answer),
            Err(NvmlError::GpuLost | NvmlError::ResetRequired) => self.lost = true,
            Err(
                NvmlError::NotSupported
                | NvmlError::InvalidArg
                | NvmlError::FunctionNotFound
                | NvmlError::FailedToLoadSymbol(_)
                | NvmlError::LibloadingError(_),
            ) => {
                self.unsupported.insert(what);
            }
            Err(NvmlError::NoPermission) => {
                let text = format!("{what} of {} is for root alone", self.identity.uuid);
                faults.note(Reason::Denied, 1, text);
                self.refused.insert(what);
            }
            Err(NvmlError::NoData) => {}
            Err(e) => {
                let text = format!("{what} of {}: {e}", self.identity.uuid);
                faults.note(Reason::Down, 1, text);
            }
        }
        None
    }

    /// Asks for everything that is answered at once.
    pub(super) fn ask_all(&mut self, faults: &mut Faults) -> Sample {
        let load = self.ask("utilization", faults, |d| d.utilization_rates());
        let power_w = self.power(faults);
        let memory = self.memory(faults);
        Sample {
            util_pct: load.as_ref().map(|load| load.gpu as f32),
            mem_util_pct: load.as_ref().map(|load| load.memory as f32),
            mem_used_bytes: memory.and_then(|(used, _)| used.try_into().ok()),
            mem_total_bytes: memory.and_then(|(_, total)| total.try_into().ok()),
            power_w,
            power_limit_w: self
                .ask("power limit", faults, |d| d.enforced_power_limit())
                .map(|mw| f64::from(mw) / 1e3),
            energy_j: self.last_mj.map(|mj| mj as f64 / 1e3),
            temp_c: self
                .ask("temperature", faults, |d| d.temperature(TemperatureSensor::Gpu))
                .map(|c| c as f32),
            mem_temp_c: self
                .ask("memory temperature", faults, |d| field(d, field_id::NVML_FI_DEV_MEMORY_TEMP))
                .map(|c| c as f32),
            core_mhz: self
                .ask("SM clock", faults, |d| d.clock_info(Clock::SM))
                .map(|mhz| mhz as f32),
            mem_mhz: self
                .ask("memory clock", faults, |d| d.clock_info(Clock::Memory))
                .map(|mhz| mhz as f32),
            fan_pct: [self.fan_pct("fan", 0, faults), None, None],
            fan_rpm: [self.fan_rpm("fan rpm", 0, faults), None, None],
            encoder_pct: self
                .ask("encoder", faults, |d| d.encoder_utilization())
                .map(|load| load.utilization as f32),
            decoder_pct: self
                .ask("decoder", faults, |d| d.decoder_utilization())
                .map(|load| load.utilization as f32),
            throttle: self
                .ask("throttle reasons", faults, |d| d.current_throttle_reasons())
                .map(|reasons| reasons.bits() as i64),
            pstate: self
                .ask("performance state", faults, |d| d.performance_state())
                .and_then(|state| i16::try_from(state.as_c()).ok())
                // NVML_PSTATE_UNKNOWN is 32.
                .filter(|state| *state < 32),
            ..Sample::default()
        }
    }

    /// Power, and by which way it is known. The energy counter is read in any case.
    fn power(&mut self, faults: &mut Faults) -> Option<(f64, &'static str)> {
        let at_ns = monotonic_ns();
        let mj = self.ask("energy", faults, |d| d.total_energy_consumption());
        // The counter moves in steps that can be longer than a sample: power is known only where it moved.
        let moved = mj.filter(|mj| self.last_mj != Some(*mj));
        self.last_mj = mj;
        let mean_w = moved.and_then(|mj| self.energy.advance(at_ns, mj).power_w);
        let instant =
            self.ask("instant power", faults, |d| field(d, field_id::NVML_FI_DEV_POWER_INSTANT));
        if let Some(mw) = instant {
            return Some((mw / 1e3, "instant"));
        }
        if mj.is_some() {
            return mean_w.map(|watts| (watts, "energy"));
        }
        self.ask("power", faults, |d| d.power_usage()).map(|mw| (f64::from(mw) / 1e3, "driver"))
    }

    /// Memory in use, and in all.
    fn memory(&mut self, faults: &mut Faults) -> Option<(u64, u64)> {
        let legacy = self.legacy;
        self.ask("memory", faults, |d| match d.memory_info() {
            Ok(memory) => Ok((memory.used, memory.total)),
            Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => legacy.memory(d),
            Err(e) => Err(e),
        })
    }

    fn fan_pct(&mut self, what: &'static str, fan: u32, faults: &mut Faults) -> Option<f32> {
        self.ask(what, faults, |d| d.fan_speed(fan)).map(|pct| pct as f32)
    }

    fn fan_rpm(&mut self, what: &'static str, fan: u32, faults: &mut Faults) -> Option<i32> {
        self.ask(what, faults, |d| d.fan_speed_rpm(fan)).and_then(|rpm| rpm.try_into().ok())
    }

    /// What changes slowly, or is dear to ask.
    pub(super) fn ask_details(&mut self, sample: &mut Sample, faults: &mut Faults) {
        const NAMES: [(&str, &str); 2] = [("fan 2", "fan 2 rpm"), ("fan 3", "fan 3 rpm")];
        let fans = self.ask("number of fans", faults, |d| d.num_fans()).unwrap_or(0);
        for (fan, (pct, rpm)) in (1..fans).zip(NAMES) {
            sample.fan_pct[fan as usize] = self.fan_pct(pct, fan, faults);
            sample.fan_rpm[fan as usize] = self.fan_rpm(rpm, fan, faults);
        }
        let average = |d: &Device| field(d, field_id::NVML_FI_DEV_POWER_AVERAGE);
        sample.power_average_w = self.ask("average power", faults, average).map(|mw| mw / 1e3);
        let mut held = |what, by| {
            let held = self.ask(what, faults, |d| d.violation_status(by));
            held.and_then(|held| held.violation_time.try_into().ok())
        };
        sample.held_by_power_ns = held("time held by power", PerformancePolicy::Power);
        sample.held_by_heat_ns = held("time held by heat", PerformancePolicy::Thermal);
        let mut errors = |what, kind| {
            let count = self.ask(what, faults, |d| d.total_ecc_errors(kind, EccCounter::Volatile));
            count.and_then(|count| count.try_into().ok())
        };
        sample.ecc_corrected = errors("corrected errors", MemoryError::Corrected);
        sample.ecc_uncorrected = errors("uncorrected errors", MemoryError::Uncorrected);
    }

    /// One of the two PCIe counters. NVML watches the link for 20 ms to tell it, in KB "over a 20ms interval" scaled
    /// to a second (nvml.h).
    pub(super) fn ask_pcie(&mut self, sample: &mut Sample, sends: bool, faults: &mut Faults) {
        let (what, way, to) = match sends {
            false => ("PCIe receive", PcieUtilCounter::Receive, &mut sample.pcie_rx_bytes_per_s),
            true => ("PCIe send", PcieUtilCounter::Send, &mut sample.pcie_tx_bytes_per_s),
        };
        let kb = self.ask(what, faults, |d| d.pcie_throughput(way));
        *to = kb.map(|kb| f64::from(kb) * 1e3);
    }
}

/// One of NVML's numbered fields, in its own unit.
fn field(device: &Device, id: u32) -> Result<f64, NvmlError> {
    let values = device.field_values_for(&[FieldId(id)])?;
    let value = values.into_iter().next().ok_or(NvmlError::NoData)??.value?;
    Ok(match value {
        SampleValue::F64(v) => v,
        SampleValue::U32(v) => v.into(),
        SampleValue::U64(v) => v as f64,
        SampleValue::I64(v) => v as f64,
    })
}
