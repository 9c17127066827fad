//! The HTTP server of the vendor's benchlab-pytools (3.4.0, `restapi/telemetry_api.py`).

use std::collections::HashMap;
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use serde_json::{Map, Value, json};

use super::board::{BoardRows, Taken};
use super::http::{Answer, Client};
use super::presence::Presence;
use super::readings::{Names, is_placeholder};
use super::websocket::Socket;
use crate::serial::protocol::Model;
use crate::source::{Context, Reason, Source, SourceError, Stop, Ticker};

const NAME: &str = "benchlab.api";

/// How long the server may be silent before it is pinged.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may be silent at all.
const SILENCE_NS: i64 = 10_000_000_000;

/// Records the boards of one server, pushed by its WebSocket `/events`, else by asking again and again. Rows have the
/// source `benchlab.api`.
///
/// While the server has lost a board, it gives zeros in place of readings; these are not recorded.
#[derive(Debug)]
pub struct FastApiSource {
    endpoint: String,
    hz: f64,
    only: Vec<String>,
    rows: BoardRows,
    names: Names,
    presence: Presence,
}

impl FastApiSource {
    /// Records every board of the server at `endpoint`, such as `http://localhost:8000`. Where it has no WebSocket, it
    /// is asked `hz` times a second.
    pub fn new(endpoint: impl Into<String>, hz: f64) -> Self {
        Self {
            endpoint: endpoint.into(),
            hz,
            only: Vec::new(),
            rows: BoardRows::new(NAME),
            names: Names::new(),
            presence: Presence::default(),
        }
    }

    /// Records only the boards of these UIDs, where there are any.
    pub fn only(mut self, uids: Vec<String>) -> Self {
        self.only = uids;
        self
    }

    /// Asks the server which boards it has, and returns how many are connected, without recording any.
    ///
    /// # Errors
    /// When it does not answer, or not as that server does.
    pub fn check(endpoint: &str, stop: &Stop) -> Result<usize, SourceError> {
        let devices = devices(&Client::new(endpoint, None, PATIENCE, stop))?;
        Ok(devices.iter().filter(|device| device["connected"] == true).count())
    }

    fn record(&mut self, context: &Context) -> Result<(), SourceError> {
        self.presence = Presence::default();
        match Socket::open(&self.endpoint, "/events", PATIENCE, context.stop())? {
            Ok(mut socket) => {
                let outcome = self.follow(context, &mut socket);
                if context.stopping() {
                    // The server notices by itself, too.
                    let _ = socket.close();
                }
                outcome
            }
            Err(status) => {
                let detail = format!(
                    "{} has no WebSocket /events (status {status}); it is asked at {} Hz",
                    self.endpoint, self.hz
                );
                context.health(Reason::Unsupported, 1, detail);
                self.poll(context)
            }
        }
    }

    /// Records what the server pushes.
    fn follow(&mut self, context: &Context, socket: &mut Socket) -> Result<(), SourceError> {
        let mut heard_ns = monotonic_ns();
        while !context.stopping() {
            let text = socket.next()?;
            let now_ns = monotonic_ns();
            match text {
                Some(text) => {
                    heard_ns = now_ns;
                    self.frame(context, &text, now_ns);
                }
                None if now_ns - heard_ns > SILENCE_NS => {
                    let seconds = SILENCE_NS / 1_000_000_000;
                    return Err(SourceError::Retry(format!(
                        "{} said nothing for {seconds} s; connecting anew",
                        self.endpoint
                    )));
                }
                None => socket.send(r#"{"type":"ping"}"#)?,
            }
            self.presence.expire(context, now_ns, SILENCE_NS);
            self.rows.faults.tell(context);
        }
        Ok(())
    }

    fn frame(&mut self, context: &Context, text: &str, now_ns: i64) {
        let Ok(frame) = serde_json::from_str::<Map<String, Value>>(text) else {
            return self.rows.malformed(context, "a message of /events is no JSON object");
        };
        let uid = frame.get("uid").and_then(Value::as_str).unwrap_or_default();
        match frame.get("type").and_then(Value::as_str) {
            Some("hello") => {
                let devices = frame.get("devices").and_then(Value::as_array);
                devices.into_iter().flatten().for_each(|d| self.announce(context, d));
            }
            Some("telemetry") => match frame.get("v").and_then(Value::as_object) {
                Some(readings) if !uid.is_empty() => {
                    self.readings(context, uid, readings, now_ns);
                }
                _ => self.rows.malformed(context, "a message of /events lacks uid or v"),
            },
            Some("device") => {
                if let Some(device) = frame.get("device") {
                    self.announce(context, device);
                }
                if frame.get("event").is_some_and(|event| event == "disconnected") {
                    self.presence.away(context, uid, LOST);
                }
            }
            _ => {}
        }
    }

    fn readings(
        &mut self,
        context: &Context,
        uid: &str,
        readings: &Map<String, Value>,
        now_ns: i64,
    ) {
        if !self.wants(uid) || readings.is_empty() {
            return;
        }
        if is_placeholder(readings) {
            return self.presence.away(context, uid, LOST);
        }
        self.presence.seen(context, uid, now_ns);
        let names = &self.names;
        self.rows.push(context, uid, Taken::Before(now_ns), |draft| names.fill(readings, draft));
    }

    /// Asks again and again. The server answers with the readings that it has, so that the same come again: they are
    /// recorded once.
    fn poll(&mut self, context: &Context) -> Result<(), SourceError> {
        let client = Client::new(&self.endpoint, None, PATIENCE, context.stop());
        let mut ticker = Ticker::new(self.hz);
        let mut last: HashMap<String, Value> = HashMap::new();
        while let Some(missed) = ticker.wait(context.stop()) {
            if missed > 0 {
                let detail = format!("{} answers too slowly for {} Hz", self.endpoint, self.hz);
                self.rows.faults.gather(Reason::Late, missed, detail);
            }
            for device in &devices(&client)? {
                let Some(uid) = device["uid"].as_str().filter(|uid| self.wants(uid)) else {
                    continue;
                };
                if device["connected"] != Value::Bool(true) {
                    self.presence.away(context, uid, LOST);
                } else {
                    self.ask(context, &client, device, uid, &mut last)?;
                }
            }
            self.presence.expire(context, monotonic_ns(), SILENCE_NS);
            self.rows.faults.tell(context);
        }
        Ok(())
    }

    fn ask(
        &mut self,
        context: &Context,
        client: &Client,
        device: &Value,
        uid: &str,
        last: &mut HashMap<String, Value>,
    ) -> Result<(), SourceError> {
        let answer = client.get(&format!("/device/{uid}/telemetry"))?;
        let Some(readings) = answer.body.as_object().filter(|_| answer.status == 200) else {
            let detail = format!("{uid}: no readings: {}", answer.complaint());
            self.rows.malformed(context, detail);
            return Ok(());
        };
        if last.get(uid) == Some(&answer.body) {
            return Ok(());
        }
        if last.is_empty() || !last.contains_key(uid) {
            self.announce(context, device);
        }
        self.readings(context, uid, readings, answer.received_ns);
        last.insert(uid.to_owned(), answer.body);
        Ok(())
    }

    fn wants(&self, uid: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(uid))
    }

    /// Notes a device of `/devices`, or of a message of `/events`. What the server does not know is null, not what it
    /// fills in.
    fn announce(&self, context: &Context, device: &Value) {
        let Some(uid) = device["uid"].as_str().filter(|uid| self.wants(uid)) else { return };
        let either = |a: &str, b: &str| device.get(a).or_else(|| device.get(b)).cloned();
        let product = either("productId", "ProductId").and_then(|p| u8::try_from(p.as_u64()?).ok());
        let model = product.and_then(Model::of_product);
        // Of a board that newly greets who opens its port, the server may take the greeting for these numbers.
        let of_board = |a: &str, b: &str| either(a, b).filter(|_| model.is_some());
        context.device(json!({
            "id": uid,
            "kind": "benchlab",
            "model": model.map(|m| m.to_string()),
            "firmware": of_board("firmwareVersion", "firmware"),
            "vendor_id": of_board("vendorId", "VendorId"),
            "product_id": of_board("productId", "ProductId"),
            "path": device["port"],
            "server": self.endpoint,
            "simulated": false,
        }));
    }
}

/// The boards that the server knows.
fn devices(client: &Client) -> Result<Vec<Value>, SourceError> {
    let answer = client.get("/devices")?;
    let text = format!("{}/devices: {}", client.base(), answer.complaint());
    match answer {
        Answer { status: 200, body: Value::Array(devices), .. } => Ok(devices),
        Answer { status: 401 | 403, .. } => Err(SourceError::Denied(text)),
        _ => Err(SourceError::Retry(text)),
    }
}

const LOST: &str = "the server has lost it";

impl Source for FastApiSource {
    fn name(&self) -> String {
        NAME.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let outcome = self.record(context);
        self.rows.faults.tell_all(context);
        if context.stopping() { Ok(()) } else { outcome }
    }
}
