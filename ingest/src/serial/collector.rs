//! The source that records one board.

use std::path::Path;
use std::time::Duration;

use bl_schemas::Table;
use bl_store::Rows;
use bl_store::clock::monotonic_ns;

use super::device::{Device, DeviceError, Identity, Reading};
use super::discovery::Selector;
use super::port::PortError;
use super::roster::{Claim, Roster};
use super::rows::{SampleColumns, Stamp};
use super::rtt::RttFloor;
use super::tally::Tally;
use crate::source::{Context, Reason, Source, SourceError, SourceState, Ticker};

/// How often a source looks whether its board is there (again).
const LOOK_NS: i64 = 150_000_000;

/// After that long a board that is there but cannot be opened is worth a word: right after plugging in, the
/// permissions are not set yet, and another program may still be looking.
const PATIENCE_NS: i64 = 1_500_000_000;

/// How long looking for a board and connecting to it takes at most, with every time-out: the watchdog waits longer.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a snapshot takes at most, with the tries to get back in step after it.
const EXCHANGE: Duration = Duration::from_secs(5);

/// Rows wait at most that long.
const FLUSH_NS: i64 = 100_000_000;

/// So many requests in a row without a usable reply, and the port is opened anew.
const FAILURES: u32 = 3;

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
    fn connect(&self, context: &Context) -> Result<Option<(Device, Option<Claim>)>, SourceError> {
        let began_ns = monotonic_ns();
        let mut noted = String::new();
        loop {
            if context.stopping() {
                return Ok(None);
            }
            match context.watched(CONNECT, || self.try_connect(context)) {
                Ok(Some(connected)) => return Ok(Some(connected)),
                Ok(None) => self.wait_state(context, &format!("no board at {}", self.selector)),
                Err(e) if e.is_stopping() => return Ok(None),
                Err(e @ DeviceError::UnknownFirmware { .. }) => {
                    return Err(SourceError::Fatal(e.to_string()));
                }
                Err(e) => {
                    let text = e.to_string();
                    if noted != text && monotonic_ns() - began_ns > PATIENCE_NS {
                        let denied = matches!(e, DeviceError::Port(PortError::Denied(_)));
                        let reason = if denied { Reason::Denied } else { Reason::Down };
                        context.health(reason, 1, &text);
                        noted.clone_from(&text);
                    }
                    self.wait_state(context, &text);
                }
            }
            context.stop().sleep_ns(LOOK_NS);
        }
    }

    fn wait_state(&self, context: &Context, text: &str) {
        context.status().set_state(SourceState::Waiting, text);
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

    /// Tells everyone that the board is there.
    fn announce(&mut self, context: &Context, device: &Device, calibration_valid: Option<bool>) {
        let Identity { contract, uid, name } = device.identity();
        let vendor = contract.vendor_data();
        let path = device.path().display();
        context.device(serde_json::json!({
            "id": uid.to_string(),
            "kind": "benchlab",
            "model": contract.model.to_string(),
            "firmware": contract.firmware,
            "draft_firmware": contract.draft,
            "vendor_id": vendor.vendor,
            "product_id": vendor.product,
            "calibration_valid": calibration_valid,
            "name": name,
            "path": path.to_string(),
            "simulated": self.simulated,
        }));
        let text = format!("{contract}, {uid}, at {path}");
        if let Some(since_ns) = self.away_since_ns.take() {
            let away_s = (monotonic_ns() - since_ns) as f64 / 1e9;
            let missed = (away_s * self.hz) as u64;
            context.lost(Reason::Late, missed, format!("{uid} was away for {away_s:.1} s"));
        }
        context.health(Reason::Up, 1, &text);
        context.status().set_state(SourceState::Up, text);
    }

    /// Whether the board's calibration is valid. None where it does not answer that in order: it is recorded all the same.
    fn ask_calibration(
        &self,
        context: &Context,
        device: &mut Device,
    ) -> Result<Option<bool>, DeviceError> {
        match device.calibration_valid(context.stop()) {
            Ok(valid) => Ok(Some(valid)),
            Err(e) if e.is_gone() || e.is_stopping() => Err(e),
            Err(e) => {
                let text = format!("whether its calibration is valid is not known: {e}");
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
        let Some((mut device, _claim)) = self.connect(context)? else { return Ok(()) };
        let calibration_valid = match self.ask_calibration(context, &mut device) {
            Ok(valid) => valid,
            Err(e) if e.is_stopping() => return Ok(()),
            Err(e) => return Err(self.lost_board(context, &e)),
        };
        self.announce(context, &device, calibration_valid);
        let mut recorder = Recorder::new(self.name(), device, self.hz)?;
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

/// One connection's samples on their way into rows.
struct Recorder {
    source: String,
    device: Device,
    uid: String,
    rows: Rows,
    columns: SampleColumns,
    first_row_ns: i64,
    previous: Option<super::protocol::Sample>,
    tally: Tally,
    floor: RttFloor,
    hz: f64,
}

impl Recorder {
    fn new(source: String, device: Device, hz: f64) -> Result<Self, SourceError> {
        let table: &'static Table = bl_schemas::table("benchlab")
            .ok_or_else(|| SourceError::Fatal("there is no table benchlab".into()))?;
        let rows = Rows::new(table);
        Ok(Self {
            source,
            uid: device.identity().uid.to_string(),
            device,
            columns: SampleColumns::new(&rows),
            rows,
            first_row_ns: 0,
            previous: None,
            tally: Tally::new(monotonic_ns()),
            floor: RttFloor::new(),
            hz,
        })
    }

    /// Samples until stopping, or until the board does not answer any more.
    fn record(&mut self, context: &Context) -> Result<(), DeviceError> {
        let result = self.sample_on_time(context);
        context.flush(&mut self.rows);
        self.tally.finish(context);
        result
    }

    fn sample_on_time(&mut self, context: &Context) -> Result<(), DeviceError> {
        let mut ticker = Ticker::new(self.hz);
        let period_ns = (1e9 / self.hz) as i64;
        let mut failures = 0;
        while let Some(missed) = ticker.wait(context.stop()) {
            if missed > 0 {
                let detail = format!("{} answers too slowly for {} Hz", self.uid, self.hz);
                self.tally.lost(Reason::Late, missed, detail);
            }
            context.watched(EXCHANGE, || self.sample(context, &mut failures))?;
            let now_ns = monotonic_ns();
            if now_ns + period_ns > self.first_row_ns + FLUSH_NS {
                context.flush(&mut self.rows);
            }
            self.tally.flush(context, now_ns);
        }
        Ok(())
    }

    /// Takes one snapshot; after one that failed, gets back in step.
    fn sample(&mut self, context: &Context, failures: &mut u32) -> Result<(), DeviceError> {
        match self.device.read_sensors(context.stop()) {
            Ok(reading) => {
                *failures = 0;
                self.push(context, &reading);
                Ok(())
            }
            Err(e) if e.is_gone() || e.is_stopping() => Err(e),
            Err(e) => {
                *failures += 1;
                self.note_failure(&e);
                if *failures >= FAILURES {
                    return Err(e);
                }
                self.device.resynchronise(context.stop())
            }
        }
    }

    fn note_failure(&mut self, error: &DeviceError) {
        let reason = match error {
            DeviceError::Port(PortError::Timeout { got: 0, .. }) => Reason::Timeout,
            _ => Reason::Malformed,
        };
        self.tally.lost(reason, 1, error);
    }

    fn push(&mut self, context: &Context, reading: &Reading) {
        let Reading { round_trip, sample } = reading;
        let anchor = context.anchor();
        let stamp =
            Stamp::of_round_trip(anchor.ts(round_trip.sent_ns), anchor.ts(round_trip.received_ns));
        if self.rows.is_empty() {
            self.first_row_ns = round_trip.received_ns;
        }
        let identity = self.device.identity();
        self.columns.push(
            &mut self.rows,
            &self.source,
            &self.uid,
            stamp,
            &identity.contract,
            sample,
        );
        let received_ns = round_trip.received_ns;
        self.floor.note(context, &self.source, identity, stamp.rtt_ns, received_ns);
        if round_trip.stray_bytes > 0 {
            let detail = format!("{} bytes that nobody had asked for", round_trip.stray_bytes);
            self.tally.lost(Reason::Malformed, 1, detail);
        }
        self.tally.sampled(self.previous.as_ref() == Some(sample));
        self.previous = Some(*sample);
    }
}
