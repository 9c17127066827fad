//! The source that records one board.

use std::path::Path;
use std::time::Duration;

use bl_store::clock::monotonic_ns;

use super::device::{Device, DeviceError, Identity};
use super::discovery::Selector;
use super::obstacles::{Obstacle, Obstacles, sentence};
use super::recorder::Recorder;
use super::roster::{Claim, Roster};
use crate::source::{Context, Reason, Source, SourceError, SourceState};

/// How often a source looks whether its board is there (again).
const LOOK_NS: i64 = 150_000_000;

/// How often what answers, but not as a board that is known, is asked again.
const ASK_AGAIN_NS: i64 = 2_000_000_000;

/// How long looking for a board and connecting to it takes at most, with every time-out: the watchdog waits longer.
const CONNECT: Duration = Duration::from_secs(10);

/// Records one board, unplugged and plugged in as often as may be.
#[derive(Debug)]
pub struct BenchlabSource {
    selector: Selector,
    roster: Roster,
    hz: f64,
    simulated: bool,
    /// When the board was last there, to count what was missed.
    away_since_ns: Option<i64>,
}

impl BenchlabSource {
    /// Records the board that `selector` means, `hz` times a second. Sources that share a `roster` leave each
    /// other's boards alone.
    pub fn new(selector: Selector, roster: Roster, hz: f64) -> Self {
        Self { selector, roster, hz, simulated: false, away_since_ns: None }
    }

    /// The same for a virtual board: its rows say so.
    pub fn simulated(mut self) -> Self {
        self.simulated = true;
        self
    }

    /// Waits until the board is there and has said who it is. `None` when stopping.
    fn connect(&self, context: &Context) -> Option<(Device, Option<Claim>)> {
        let mut obstacles = Obstacles::default();
        while !context.stopping() {
            let mut wait_ns = LOOK_NS;
            let (text, now) = match context.watched(CONNECT, || self.try_connect(context)) {
                Ok(Some(connected)) => return Some(connected),
                Ok(None) => self.what_is_in_the_way(),
                Err(e) if e.is_stopping() => return None,
                Err(e) => {
                    if matches!(e, DeviceError::Foreign(_) | DeviceError::UnknownFirmware { .. }) {
                        wait_ns = ASK_AGAIN_NS;
                    }
                    let obstacle = Obstacle::of(&e);
                    (obstacle.text().to_owned(), vec![obstacle])
                }
            };
            obstacles.note(context, now);
            context.status().set_state(SourceState::Waiting, text);
            context.stop().sleep_ns(wait_ns);
        }
        None
    }

    /// Why there is no board to take: what the ports say that cannot be asked, if any.
    fn what_is_in_the_way(&self) -> (String, Vec<Obstacle>) {
        let none = format!("no board at {}", self.selector);
        let obstacles = match self.selector {
            Selector::Path(_) => Vec::new(),
            Selector::Uid(_) | Selector::Auto => self.roster.in_the_way(),
        };
        let text = match obstacles.is_empty() {
            true => none,
            false => format!("{none}; {}", sentence(&obstacles)),
        };
        (text, obstacles)
    }

    fn try_connect(
        &self,
        context: &Context,
    ) -> Result<Option<(Device, Option<Claim>)>, DeviceError> {
        let open = |path: &Path| Device::connect(path, self.roster.options(), context.stop());
        let uid = match &self.selector {
            Selector::Path(path) if !path.exists() => return Ok(None),
            Selector::Path(path) => {
                let device = open(path)?;
                let claim = self.roster.claim_connected(device.identity().uid);
                return Ok(Some((device, claim)));
            }
            Selector::Uid(uid) => Some(*uid),
            Selector::Auto => None,
        };
        self.roster.refresh(context.stop());
        match self.roster.claim(uid) {
            Some((path, claim)) => Ok(Some((open(&path)?, Some(claim)))),
            None => Ok(None),
        }
    }

    /// Tells everyone that the board is there; returns what `session.json` says of it.
    fn announce(
        &mut self,
        context: &Context,
        device: &Device,
        calibration_crc: Option<u16>,
    ) -> serde_json::Value {
        let Identity { contract, uid, name } = device.identity();
        let vendor = contract.vendor_data();
        let path = device.path().display();
        let described = serde_json::json!({
            "id": uid.to_string(),
            "kind": "benchlab",
            "model": contract.model.to_string(),
            "firmware": contract.firmware,
            "draft_firmware": contract.draft,
            "vendor_id": vendor.vendor,
            "product_id": vendor.product,
            // No contract says which bytes its CRC covers.
            "calibration_valid": null,
            "calibration_crc": calibration_crc.map(|crc| format!("{crc:#06x}")),
            "refresh_ms": null,
            "refresh_err_ms": null,
            "name": name,
            "path": path.to_string(),
            "simulated": self.simulated,
        });
        context.device(described.clone());
        let text = format!("{contract}, {uid}, at {path}");
        if let Some(since_ns) = self.away_since_ns.take() {
            let away_s = (monotonic_ns() - since_ns) as f64 / 1e9;
            let missed = (away_s * self.hz) as u64;
            context.lost(Reason::Late, missed, format!("{uid} was away for {away_s:.1} s"));
        }
        context.health(Reason::Up, 1, &text);
        context.status().set_state(SourceState::Up, text);
        described
    }

    /// What the board says of its calibration. None where it does not answer that in order: it is recorded all the same.
    fn ask_calibration(
        &self,
        context: &Context,
        device: &mut Device,
    ) -> Result<Option<u16>, DeviceError> {
        match device.calibration_crc(context.stop()) {
            Ok(crc) => Ok(Some(crc)),
            Err(e) if e.is_gone() || e.is_stopping() => Err(e),
            Err(e) => {
                let text = format!("the CRC of its calibration is not known: {e}");
                context.health(Reason::Unsupported, 1, text);
                device.resynchronise(context.stop())?;
                Ok(None)
            }
        }
    }

    fn lost_board(&mut self, context: &Context, error: &DeviceError) -> SourceError {
        self.away_since_ns = Some(monotonic_ns());
        let text = error.to_string();
        let reason = if error.is_gone() { Reason::Unplugged } else { Reason::Down };
        context.health(reason, 1, &text);
        context.status().set_state(SourceState::Waiting, &text);
        SourceError::Retry(text)
    }
}

impl Source for BenchlabSource {
    fn name(&self) -> String {
        if self.simulated { "sim.benchlab".into() } else { "benchlab.usb".into() }
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let Some((mut device, _claim)) = self.connect(context) else { return Ok(()) };
        let calibration_crc = match self.ask_calibration(context, &mut device) {
            Ok(crc) => crc,
            Err(e) if e.is_stopping() => return Ok(()),
            Err(e) => return Err(self.lost_board(context, &e)),
        };
        let described = self.announce(context, &device, calibration_crc);
        let mut recorder = Recorder::new(self.name(), device, described, self.hz)?;
        match recorder.record(context) {
            Ok(()) => Ok(()),
            Err(e) if e.is_stopping() => Ok(()),
            Err(e) => Err(self.lost_board(context, &e)),
        }
    }

    fn back_off(&self) -> (Duration, Duration) {
        (Duration::from_millis(100), Duration::from_millis(250))
    }
}
