//! NVML from one start to the next.

use std::collections::BTreeSet;
use std::path::Path;

use bl_store::clock::monotonic_ns;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::card::Card;
use super::legacy::Legacy;
use super::round::Round;
use super::{LOST_NS, NvidiaSource, SEARCH_NS, address, on_bus, sleeps};
use crate::gpu::card::GpuTable;
use crate::gpu::pci::{NVIDIA, OnBus};
use crate::source::{Context, Reason, SourceError, sample_at};

/// NVML as it was started, and the cards that it knows.
pub(super) struct Session<'n> {
    nvml: &'n Nvml,
    legacy: &'n Legacy,
    driver: String,
    pub(super) cards: Vec<Card<'n>>,
    /// What the bus showed when NVML was started: it knows no other card.
    started_with: Vec<OnBus>,
    /// Cards that were not chosen, by address.
    passed_over: BTreeSet<String>,
    /// Cards whose failure is told, by index. They are tried again.
    failed: BTreeSet<i16>,
    /// Since when a card is lost.
    lost_ns: Option<i64>,
}

impl<'n> Session<'n> {
    pub(super) fn new(nvml: &'n Nvml, legacy: &'n Legacy, root: &Path) -> Self {
        let driver = format!("nvidia {}", nvml.sys_driver_version().unwrap_or_default());
        Self {
            nvml,
            legacy,
            driver,
            cards: Vec::new(),
            started_with: on_bus(root),
            passed_over: BTreeSet::new(),
            failed: BTreeSet::new(),
            lost_ns: None,
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.nvml.device_count().unwrap_or(0)
    }

    /// Opens the chosen cards that are awake and not open yet. NVML initialises a card when it is looked up, so that
    /// each is by its address (nvml.h, `nvmlDeviceGetHandleByPciBusId`).
    pub(super) fn open_new(&mut self, source: &mut NvidiaSource, context: &Context) {
        if self.started_with.is_empty() {
            for index in 0..self.count() {
                let device = self.nvml.device_by_index(index);
                let address = device.as_ref().ok().and_then(address).unwrap_or_default();
                let card = OnBus { address, vendor: NVIDIA };
                self.open(device, card, i16::try_from(index).ok(), source, context);
            }
            return;
        }
        for card in self.started_with.clone() {
            let is_open = self.cards.iter().any(|open| open.address == card.address);
            if is_open || self.passed_over.contains(&card.address) || sleeps(&source.root, &card) {
                continue;
            }
            let device = self.nvml.device_by_pci_bus_id(card.address.as_str());
            self.open(device, card, None, source, context);
        }
    }

    fn open(
        &mut self,
        device: Result<Device<'n>, NvmlError>,
        on_bus: OnBus,
        index: Option<i16>,
        source: &mut NvidiaSource,
        context: &Context,
    ) {
        let NvidiaSource { root, roster, choice, .. } = source;
        let index = index.unwrap_or_else(|| roster.index(root, &on_bus.address));
        let opened =
            device.and_then(|device| Card::open(device, self.legacy, root, &on_bus, index));
        match opened {
            Ok(card) if choice.takes(&card.identity) => {
                context.device(card.identity.describe(&self.driver));
                self.cards.push(card);
            }
            Ok(_) => {
                self.passed_over.insert(on_bus.address);
            }
            Err(e) => {
                if self.failed.insert(index) {
                    context.health(Reason::Down, 1, format!("nvidia card {index}: {e}"));
                }
            }
        }
    }

    /// Whether the bus shows a card that was not there when NVML was started.
    fn has_newcomer(&self, root: &Path) -> bool {
        on_bus(root).iter().any(|card| !self.started_with.contains(card))
    }

    /// Samples until stopping, or until NVML is to be started anew.
    ///
    /// # Errors
    /// When no card is left.
    pub(super) fn sample(
        &mut self,
        source: &mut NvidiaSource,
        context: &Context,
    ) -> Result<(), SourceError> {
        let mut table = GpuTable::new();
        let mut round = Round::new(source.hz);
        let mut search_ns = monotonic_ns() + SEARCH_NS;
        let mut has_newcomer = false;
        let outcome = sample_at(context, source.hz, |tick| {
            if monotonic_ns() >= search_ns {
                search_ns = monotonic_ns() + SEARCH_NS;
                has_newcomer = self.has_newcomer(&source.root);
                self.open_new(source, context);
            }
            round.sample(&mut self.cards, &mut table, context, &mut tick.faults);
            tick.flush(context, &mut table.rows);
            if self.cards.iter().any(|card| card.lost) {
                self.lost_ns.get_or_insert_with(monotonic_ns);
                self.cards.retain(|card| !card.lost);
            }
            let waited = self.lost_ns.is_some_and(|then| monotonic_ns() - then > LOST_NS);
            if waited || has_newcomer || self.cards.is_empty() {
                context.flush(&mut table.rows);
                // NVML gives a card that returns no new handle before it is started anew.
                return Err(SourceError::Retry("a card was lost: starting NVML anew".to_owned()));
            }
            Ok(())
        });
        if has_newcomer { Ok(()) } else { outcome }
    }
}
