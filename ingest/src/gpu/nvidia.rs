//! NVIDIA's cards, through NVML.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, Nvml};

use super::card::{Choice, GpuTable, Identity, Sample};
use crate::meter::Meter;
use crate::source::{Context, Faults, LOOK_AGAIN, Reason, Source, SourceError, sample_at};

const NAME: &str = "gpu.nvml";

/// How long a card that was lost is left alone before NVML is started anew.
const LOST_NS: i64 = 30_000_000_000;

/// How often PCIe throughput is asked at most: NVML watches the link for 20 ms in each call (nvml.h).
const PCIE_NS: i64 = 1_000_000_000;

/// Samples table `gpu` for NVIDIA's cards, through the NVML library of the driver, which is loaded at run time.
///
/// Power is the instant one where the card tells it; else the difference of its energy counter; else what
/// `nvmlDeviceGetPowerUsage` says, the mean of a second on most cards since Ampere (`power_method` tells which).
#[derive(Debug)]
pub struct NvidiaSource {
    hz: f64,
    choice: Choice,
    library: Option<OsString>,
}

impl NvidiaSource {
    /// Samples the chosen cards `hz` times a second.
    pub fn new(hz: f64, choice: Choice) -> Self {
        Self { hz, choice, library: None }
    }

    /// Loads this library instead of `libnvidia-ml.so.1`.
    pub fn with_library(mut self, path: impl Into<OsString>) -> Self {
        self.library = Some(path.into());
        self
    }

    fn load(&self) -> Result<Nvml, SourceError> {
        let mut builder = Nvml::builder();
        if let Some(path) = &self.library {
            builder.lib_path(path);
        }
        builder.init().map_err(|e| match e {
            NvmlError::LibloadingError(e) => SourceError::Retry(format!(
                "no NVML library can be loaded (libnvidia-ml.so.1 comes with NVIDIA's driver): {e}"
            )),
            NvmlError::DriverNotLoaded => SourceError::Retry(
                "NVML finds no driver: load it with `modprobe nvidia`".to_owned(),
            ),
            NvmlError::NoPermission => SourceError::Denied(
                "NVML may not be used: the user of bl needs to read and write /dev/nvidia*"
                    .to_owned(),
            ),
            e => SourceError::Retry(format!("NVML does not start: {e}")),
        })
    }
}

impl Source for NvidiaSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    /// What is not there may come later: by its driver, or at an external port.
    fn back_off(&self) -> (Duration, Duration) {
        (LOOK_AGAIN, LOOK_AGAIN)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let nvml = context.watched(Duration::ZERO, || self.load())?;
        let mut cards = context.watched(Duration::ZERO, || open(&nvml, &self.choice, context))?;
        let text = format!("{} nvidia cards at {} Hz", cards.len(), self.hz);
        context.up(text);
        let mut table = GpuTable::new();
        let mut lost_ns = None;
        sample_at(context, self.hz, |tick| {
            for card in &mut cards {
                card.sample(&mut table, context, &mut tick.faults);
            }
            tick.flush(context, &mut table.rows);
            if cards.iter().any(|card| card.lost) {
                lost_ns.get_or_insert_with(monotonic_ns);
                cards.retain(|card| !card.lost);
            }
            let waited = lost_ns.is_some_and(|then| monotonic_ns() - then > LOST_NS);
            if waited || cards.is_empty() {
                context.flush(&mut table.rows);
                // NVML gives a card that returns no new handle before it is started anew.
                return Err(SourceError::Retry("a card was lost: starting NVML anew".to_owned()));
            }
            Ok(())
        })
    }
}

fn open<'n>(
    nvml: &'n Nvml,
    choice: &Choice,
    context: &Context,
) -> Result<Vec<Card<'n>>, SourceError> {
    let count = nvml
        .device_count()
        .map_err(|e| SourceError::Retry(format!("NVML does not count its cards: {e}")))?;
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let mut cards = Vec::new();
    for index in 0..count {
        match Card::open(nvml, index) {
            Ok(card) if choice.takes(&card.identity) => {
                context.device(card.identity.describe(&format!("nvidia {driver}")));
                cards.push(card);
            }
            Ok(_) => {}
            Err(e) => context.health(Reason::Down, 1, format!("nvidia card {index}: {e}")),
        }
    }
    if cards.is_empty() {
        // A card may come back, or come with an external port.
        return Err(SourceError::Retry(format!("none of NVML's {count} cards can be sampled")));
    }
    Ok(cards)
}

/// The cards of NVIDIA, as they are chosen; none where NVML cannot be used.
pub(crate) fn nvml_identities() -> Vec<Identity> {
    let Ok(nvml) = Nvml::init() else { return Vec::new() };
    let count = nvml.device_count().unwrap_or(0);
    (0..count).filter_map(|index| Some(Card::open(&nvml, index).ok()?.identity)).collect()
}

struct Card<'n> {
    device: Device<'n>,
    identity: Identity,
    /// What the card said that it does not support: it is not asked again.
    unsupported: BTreeSet<&'static str>,
    /// What this user may not ask: nor is that asked again.
    refused: BTreeSet<&'static str>,
    /// Whether the row of `health` on that has been written.
    told: bool,
    lost: bool,
    energy: Meter,
    /// The reading of the energy counter that last differed from the one before.
    last_mj: Option<u64>,
    pcie_due_ns: i64,
}

impl<'n> Card<'n> {
    fn open(nvml: &'n Nvml, index: u32) -> Result<Self, NvmlError> {
        let device = nvml.device_by_index(index)?;
        let uuid = device.uuid().or_else(|_| device.pci_info().map(|pci| pci.bus_id))?;
        let name = device.name().unwrap_or_else(|_| format!("nvidia {index}"));
        Ok(Self {
            identity: Identity { index: index as i16, uuid, vendor: "nvidia", name },
            device,
            unsupported: BTreeSet::new(),
            refused: BTreeSet::new(),
            told: false,
            lost: false,
            energy: Meter::new(1e-3, None),
            last_mj: None,
            pcie_due_ns: 0,
        })
    }

    /// Adds a row, but for a card that is lost.
    fn sample(&mut self, table: &mut GpuTable, context: &Context, faults: &mut Faults) {
        let from_ns = monotonic_ns();
        let mut sample = self.ask_all(faults);
        let to_ns = monotonic_ns();
        if to_ns >= self.pcie_due_ns {
            self.pcie_due_ns = to_ns + PCIE_NS;
            self.ask_pcie(&mut sample, faults);
        }
        let who = format!("{} {}", self.identity.name, self.identity.uuid);
        if self.lost {
            return context.health(Reason::Unplugged, 1, format!("{who} has fallen off the bus"));
        }
        let at_ns = from_ns + (to_ns - from_ns) / 2;
        table.add(context.anchor().ts(at_ns), NAME, &self.identity, &sample);
        if !std::mem::replace(&mut self.told, true) && !self.unsupported.is_empty() {
            let list = self.unsupported.iter().copied().collect::<Vec<_>>().join(", ");
            let text = format!("{who} does not support: {list}");
            context.health(Reason::Unsupported, self.unsupported.len() as u64, text);
        }
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
    fn ask_all(&mut self, faults: &mut Faults) -> Sample {
        let load = self.ask("utilization", faults, |d| d.utilization_rates());
        let power_w = self.power(faults);
        let memory = self.ask("memory", faults, |d| d.memory_info());
        Sample {
            util_pct: load.as_ref().map(|load| load.gpu as f32),
            mem_util_pct: load.as_ref().map(|load| load.memory as f32),
            mem_used_bytes: memory.as_ref().and_then(|m| m.used.try_into().ok()),
            mem_total_bytes: memory.as_ref().and_then(|m| m.total.try_into().ok()),
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
            fan_pct: self.ask("fan", faults, |d| d.fan_speed(0)).map(|pct| pct as f32),
            fan_rpm: self
                .ask("fan rpm", faults, |d| d.fan_speed_rpm(0))
                .and_then(|rpm| rpm.try_into().ok()),
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

    fn ask_pcie(&mut self, sample: &mut Sample, faults: &mut Faults) {
        // NVML counts in KB, "bytes over a 20ms interval" scaled to a second (nvml.h).
        let mut ask = |what, way| {
            let kb = self.ask(what, faults, |d| d.pcie_throughput(way));
            kb.map(|kb| f64::from(kb) * 1e3)
        };
        sample.pcie_rx_bytes_per_s = ask("PCIe receive", PcieUtilCounter::Receive);
        sample.pcie_tx_bytes_per_s = ask("PCIe send", PcieUtilCounter::Send);
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
