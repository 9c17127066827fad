//! NVIDIA's cards, through NVML.

mod card;
mod legacy;
mod rest;
mod round;
mod session;
mod turns;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::CARDS_COME;
use super::card::{Choice, Identity};
use super::drm::is_asleep;
use super::pci::{self, NVIDIA, OnBus, Roster};
use crate::source::{Context, Faults, Reason, Source, SourceError, SourceState};
use card::Card;
use legacy::Legacy;
use session::Session;

const NAME: &str = "gpu.nvml";

/// The library of the driver.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// How long a card that was lost, or that NVML does not know yet, is left alone before NVML is started anew.
const LOST_NS: i64 = 30_000_000_000;

/// How often cards that came are looked for.
const SEARCH_NS: i64 = CARDS_COME.as_nanos() as i64;

/// How often it is seen whether cards that all sleep have woken.
const WAKES_NS: i64 = 1_000_000_000;

/// Samples table `gpu` for NVIDIA's cards, through the NVML library of the driver, which is loaded at run time.
///
/// Power is the instant one where the card tells it; else the difference of its energy counter; else what
/// `nvmlDeviceGetPowerUsage` says, the mean of a second on most cards since Ampere (`power_method` tells which).
///
/// **A card that sleeps is not woken.** The kernel's runtime power management is looked at before each sample, and NVML
/// is not even loaded while every card sleeps. A card that may sleep and is idle for ten seconds is asked every five
/// seconds only, so that its driver can put it to sleep.
#[derive(Debug)]
pub struct NvidiaSource {
    root: PathBuf,
    hz: f64,
    choice: Choice,
    library: Option<OsString>,
    roster: Roster,
}

impl NvidiaSource {
    /// Samples the chosen cards `hz` times a second.
    pub fn new(hz: f64, choice: Choice) -> Self {
        Self { root: "/".into(), hz, choice, library: None, roster: Roster::default() }
    }

    /// Loads this library instead of `libnvidia-ml.so.1`.
    pub fn with_library(mut self, path: impl Into<OsString>) -> Self {
        self.library = Some(path.into());
        self
    }

    /// Looks for the state of the cards under another root than `/`, as tests do.
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
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
        (CARDS_COME, CARDS_COME)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        while await_awake(&self.root, context) {
            let nvml = context.watched(Duration::ZERO, || self.load())?;
            let legacy = Legacy::new(self.library.clone().unwrap_or_else(|| LIBRARY.into()));
            let mut session = Session::new(&nvml, &legacy, &self.root);
            context.watched(Duration::ZERO, || session.open_new(self, context));
            if session.cards.is_empty() {
                // A card may come back, or come with an external port.
                let text = format!("none of NVML's {} cards can be sampled", session.count());
                return Err(SourceError::Retry(text));
            }
            context.up(format!("{} nvidia cards at {} Hz", session.cards.len(), self.hz));
            session.sample(self, context)?;
        }
        Ok(())
    }
}

/// The cards that the bus shows with NVIDIA's driver.
fn on_bus(root: &Path) -> Vec<OnBus> {
    let is_ours = |card: &OnBus| card.vendor == NVIDIA && card.is_driven_by("nvidia", root);
    pci::cards(root).into_iter().filter(is_ours).collect()
}

fn sleeps(root: &Path, card: &OnBus) -> bool {
    let mut status = card.runtime_status(root);
    // What cannot be read is no reason to take a card for asleep.
    status.read(&mut Faults::default(), is_asleep).ok().flatten() == Some(true)
}

/// The places of the cards, if all of them sleep, so that NVML is not to be loaded; none otherwise.
pub(crate) fn sleeping(root: &Path) -> Vec<String> {
    let cards = on_bus(root);
    match cards.iter().all(|card| sleeps(root, card)) {
        true => cards.into_iter().map(|card| card.address).collect(),
        false => Vec::new(),
    }
}

/// Waits as long as every card that the bus shows sleeps; false when stopping. Where the bus shows none (a virtual
/// machine that is given a card by another way), NVML is to be asked.
fn await_awake(root: &Path, context: &Context) -> bool {
    let mut told = false;
    loop {
        let asleep = sleeping(root);
        if asleep.is_empty() {
            return !context.stopping();
        }
        if !std::mem::replace(&mut told, true) {
            let text = format!("asleep, and not woken: nvidia card at {}", asleep.join(", "));
            context.health(Reason::Up, 1, &text);
            context.status().set_state(SourceState::Waiting, text);
        }
        if !context.stop().sleep_ns(WAKES_NS) {
            return false;
        }
    }
}

/// Address on the bus, as sysfs writes it.
fn address(device: &Device) -> Option<String> {
    device.pci_info().ok().map(|pci| pci::as_sysfs(&pci.bus_id))
}

/// The cards of NVIDIA, as they are chosen; one that sleeps by its address alone, as it is not woken to be asked.
pub(crate) fn nvml_identities(root: &Path) -> Vec<Identity> {
    let mut roster = Roster::default();
    let cards = on_bus(root);
    let (asleep, awake): (Vec<_>, Vec<_>) = cards.into_iter().partition(|card| sleeps(root, card));
    let mut found: Vec<_> = asleep
        .iter()
        .map(|card| Identity {
            index: roster.index(root, &card.address),
            uuid: card.address.clone(),
            vendor: "nvidia",
            name: "asleep".to_owned(),
        })
        .collect();
    if awake.is_empty() && !asleep.is_empty() {
        return found;
    }
    let Ok(nvml) = Nvml::init() else { return found };
    let legacy = Legacy::new(LIBRARY.into());
    let mut identity = |device: Device, card: &OnBus| {
        let index = roster.index(root, &card.address);
        Some(Card::open(device, &legacy, root, card, index).ok()?.identity)
    };
    if awake.is_empty() {
        let count = nvml.device_count().unwrap_or(0);
        found.extend((0..count).filter_map(|index| {
            let device = nvml.device_by_index(index).ok()?;
            let card = OnBus { address: address(&device)?, vendor: NVIDIA };
            identity(device, &card)
        }));
        return found;
    }
    found.extend(
        awake.iter().filter_map(|card| {
            identity(nvml.device_by_pci_bus_id(card.address.as_str()).ok()?, card)
        }),
    );
    found
}
