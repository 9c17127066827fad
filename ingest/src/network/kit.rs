//! The HTTP service of BENCHLAB.LinuxSupportKit, `benchlabd`.
//!
//! Its routes and shapes, and what it does to the readings, come from its source (`src/BenchLab.Service/Program.cs` and
//! `src/BenchLab.Platform/Protocol/Structs.cs` in github.com/chasesdev/BENCHLAB.LinuxSupportKit).

mod device;
mod packing;
mod scanner;
mod telemetry;

use std::time::Duration;

use serde_json::{Map, Value};

use super::board::{BoardRows, Taken};
use super::http::{Answer, Client};
use super::lines::Line;
use crate::source::{Context, Reason, Source, SourceError, Stop, Ticker};
use device::KitDevice;
pub use scanner::KitScanner;
use telemetry::{Repair, Telemetry};

const NAME: &str = "benchlab.kit";

/// The service waits that long beyond a device's time before it is given up.
const MARGIN: Duration = Duration::from_secs(3);

/// So many answers in a row without readings, and everything is begun anew.
const FAILURES: u32 = 3;

/// The service, and how to ask it.
#[derive(Debug, Clone)]
pub struct KitOptions {
    /// Its address, such as `http://localhost:8080`.
    pub endpoint: String,
    /// Its key, where it wants one.
    pub api_key: Option<String>,
    /// How long it may wait for a board.
    pub device_timeout: Duration,
    /// How often it is asked where it has no stream, Hz.
    pub hz: f64,
}

/// Records one board of the service, by its stream, else by asking again and again. Rows have the source
/// `benchlab.kit`.
#[derive(Debug)]
pub struct KitSource {
    options: KitOptions,
    device: Option<String>,
    rows: BoardRows,
    repair: Repair,
}

impl KitSource {
    /// Records the device of that name (as in the service's `/devices`), or the first board that it has.
    pub fn new(options: KitOptions, device: Option<String>) -> Self {
        Self { options, device, rows: BoardRows::new(NAME), repair: Repair::default() }
    }

    /// Asks the service which boards it has, and returns how many, without recording any.
    ///
    /// # Errors
    /// When it does not answer, or not as such a service does; [`SourceError::Fatal`] when it wants its key.
    pub fn check(options: &KitOptions, stop: &Stop) -> Result<usize, SourceError> {
        let listed = device::list(&client(options, stop))?;
        Ok(listed.iter().filter(|device| device.is_benchlab).count())
    }

    fn record(&mut self, context: &Context) -> Result<(), SourceError> {
        let client = client(&self.options, context.stop());
        let device = KitDevice::find(&client, &self.options, self.device.as_deref())?;
        context.device(device.describe(client.base()));
        let timeout_ms = self.options.device_timeout.as_millis();
        let path = format!("/stream?device={}&timeout={timeout_ms}", device.query());
        match client.lines(&path)? {
            Ok(mut lines) => loop {
                let line = lines.next().map_err(|e| broken(&client, &e.to_string()))?;
                let taken = Taken::before_now();
                match line {
                    Some(Line::Text([])) => {}
                    Some(Line::Text(text)) => self.line(context, &device, text, taken)?,
                    Some(Line::TooLong) => {
                        self.rows.malformed(context, "a line of the stream is too long")
                    }
                    None => return Err(broken(&client, "it ended")),
                }
                self.rows.faults.tell(context);
            },
            Err(answer) if has_no_such_route(&answer) => self.poll(context, &client, &device),
            Err(answer) => Err(refusal(&client, &path, &answer)),
        }
    }

    /// One line of the stream.
    fn line(
        &mut self,
        context: &Context,
        device: &KitDevice,
        text: &[u8],
        taken: Taken,
    ) -> Result<(), SourceError> {
        let Ok(document) = serde_json::from_slice::<Map<String, Value>>(text) else {
            self.rows.malformed(context, "a line of the stream is no JSON object");
            return Ok(());
        };
        if let Some(error) = document.get("error") {
            // The service never opens the port again: it would say so for ever.
            let error = error.as_str().unwrap_or("something is wrong");
            return Err(SourceError::Retry(format!(
                "{}: the service cannot read it any more ({error}); connecting anew",
                device.name
            )));
        }
        self.document(context, device, &document, taken);
        Ok(())
    }

    fn document(
        &mut self,
        context: &Context,
        device: &KitDevice,
        document: &Map<String, Value>,
        taken: Taken,
    ) {
        let mut repair = Repair::default();
        self.rows.push(context, &device.uid, taken, |draft| {
            let mut telemetry = Telemetry::parse(document)?;
            repair = telemetry.repair(device.firmware)?;
            telemetry.fill(draft)
        });
        self.tell_repair(context, device, repair);
    }

    /// Says once what is repaired.
    fn tell_repair(&mut self, context: &Context, device: &KitDevice, repair: Repair) {
        let tell = |told: &mut bool, now: bool, what: &str| {
            if now && !*told {
                *told = true;
                let detail = format!("{}: {what} (see docs/network.md)", device.name);
                context.health(Reason::Repaired, 1, detail);
            }
        };
        let Repair { power, climate } = &mut self.repair;
        let rails = "the service reads rails and fans at wrong places; rails are put together again, nothing is lost of \
                     them, fan speeds are null";
        tell(power, repair.power, rails);
        tell(
            climate,
            repair.climate,
            "the service divides temperatures and humidity by 100 instead of 10; that is undone",
        );
    }

    /// Asks for readings again and again.
    fn poll(
        &mut self,
        context: &Context,
        client: &Client,
        device: &KitDevice,
    ) -> Result<(), SourceError> {
        let Some(segment) = device.segment() else {
            return Err(SourceError::Fatal(format!(
                "{} has no stream, and {} cannot be asked for readings: its name has slashes",
                client.base(),
                device.name
            )));
        };
        context.health(
            Reason::Unsupported,
            1,
            format!("{} has no stream; it is asked at {} Hz", client.base(), self.options.hz),
        );
        let timeout_ms = self.options.device_timeout.as_millis();
        let path = format!("/devices/{segment}/sensors?timeout={timeout_ms}");
        let (mut ticker, mut failures) = (Ticker::new(self.options.hz), 0);
        while let Some(missed) = ticker.wait(context.stop()) {
            if missed > 0 {
                let detail =
                    format!("{} answers too slowly for {} Hz", client.base(), self.options.hz);
                self.rows.faults.gather(Reason::Late, missed, detail);
            }
            let answer = client.get(&path)?;
            match answer.body.as_object() {
                Some(document) if answer.status == 200 => {
                    failures = 0;
                    let taken = Taken::Within(answer.sent_ns, answer.received_ns);
                    self.document(context, device, document, taken);
                }
                _ if answer.status == 401 || failures + 1 == FAILURES => {
                    return Err(refusal(client, &path, &answer));
                }
                _ => {
                    failures += 1;
                    let reason =
                        if answer.status == 504 { Reason::Timeout } else { Reason::Malformed };
                    let detail = format!("{}: no readings: {}", device.name, answer.complaint());
                    self.rows.faults.note(reason, 1, detail);
                }
            }
            self.rows.faults.tell(context);
        }
        Ok(())
    }
}

impl Source for KitSource {
    fn name(&self) -> String {
        NAME.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let outcome = self.record(context);
        self.rows.faults.tell_all(context);
        if context.stopping() { Ok(()) } else { outcome }
    }
}

fn client(options: &KitOptions, stop: &Stop) -> Client {
    let KitOptions { endpoint, api_key, device_timeout, .. } = options;
    Client::new(endpoint, api_key.clone(), *device_timeout + MARGIN, stop)
}

/// Whether an answer means that a route does not exist: a device that does not exist is named in a document.
fn has_no_such_route(answer: &Answer) -> bool {
    matches!(answer.status, 404 | 405 | 501) && answer.body.is_null()
}

fn broken(client: &Client, why: &str) -> SourceError {
    SourceError::Retry(format!("the stream of {} broke off: {why}", client.base()))
}

/// An answer that is none to go on with.
fn refusal(client: &Client, path: &str, answer: &Answer) -> SourceError {
    let route = path.split('?').next().unwrap_or(path);
    let text = format!("{}{route}: {}", client.base(), answer.complaint());
    match answer.status {
        401 => SourceError::Fatal(format!(
            "{text}: the service wants its key, set benchlab_sdk.api_key or benchlab_sdk.api_key_file"
        )),
        403 => SourceError::Retry(format!(
            "{text}: the board is unplugged, another program has it, or the service may not open it"
        )),
        _ => SourceError::Retry(text),
    }
}

#[cfg(test)]
mod tests;
