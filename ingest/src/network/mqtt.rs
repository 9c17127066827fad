//! What the MQTT publisher of the vendor's benchlab-pytools sends (3.4.0, `mqtt/mqtt_publisher.py`).

mod packet;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use serde_json::{Map, Value, json};

use super::board::{BoardRows, Taken};
use super::link::Link;
use super::presence::Presence;
use super::readings::{Names, is_placeholder};
use crate::serial::protocol::Model;
use crate::source::{Context, Source, SourceError, Stop};
use packet::{Packet, connect, parse, subscribe};

const NAME: &str = "benchlab.mqtt";

/// How long the broker may be silent before it is pinged.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may be silent at all, and a board too.
const SILENCE_NS: i64 = 10_000_000_000;

/// A broker, and what to listen to.
#[derive(Debug, Clone)]
pub struct MqttOptions {
    /// Its `host:port`.
    pub broker: String,
    /// The part of the topics before the UID, `benchlab` unless the publisher was told otherwise.
    pub prefix: String,
    /// User and password, where it wants them.
    pub login: Option<(String, String)>,
}

/// Records every board that is published under a prefix. Rows have the source `benchlab.mqtt`.
#[derive(Debug)]
pub struct MqttSource {
    options: MqttOptions,
    rows: BoardRows,
    names: Names,
    presence: Presence,
}

impl MqttSource {
    /// Listens at a broker.
    pub fn new(options: MqttOptions) -> Self {
        Self {
            options,
            rows: BoardRows::new(NAME),
            names: Names::new(),
            presence: Presence::default(),
        }
    }

    /// Connects to the broker and leaves it again, without listening to anything.
    ///
    /// # Errors
    /// When it does not answer or lets nobody in; [`SourceError::Fatal`] when it wants another login.
    pub fn check(options: &MqttOptions, stop: &Stop) -> Result<(), SourceError> {
        let failure = |why: &dyn std::fmt::Display| trouble(options, why);
        let mut inbox = Inbox::open(options, stop)?;
        match inbox.next().map_err(|e| failure(&e))? {
            Some(Packet::ConnAck(0)) => {
                // The broker notices by itself, too.
                let _ = inbox.link.write_all(&packet::DISCONNECT);
                Ok(())
            }
            Some(Packet::ConnAck(code)) => Err(refusal(options, code)),
            Some(_) => Err(failure(&"it does not answer as an MQTT broker does")),
            None => Err(failure(&format!("it said nothing for {PATIENCE:?}"))),
        }
    }

    fn record(&mut self, context: &Context) -> Result<(), SourceError> {
        self.presence = Presence::default();
        let mut inbox = Inbox::open(&self.options, context.stop())?;
        let prefix = &self.options.prefix;
        let topics = [format!("{prefix}/+/telemetry"), format!("{prefix}/+/info")];
        let mut heard_ns = monotonic_ns();
        while !context.stopping() {
            let packet = inbox.next().map_err(|e| trouble(&self.options, &e))?;
            let now_ns = monotonic_ns();
            let silent_ns = now_ns - heard_ns;
            let reply = match packet {
                Some(packet) => {
                    heard_ns = now_ns;
                    self.packet(context, packet, now_ns, &topics)?
                }
                None if silent_ns > SILENCE_NS => {
                    return Err(trouble(&self.options, &"it does not answer; connecting anew"));
                }
                None => Some(packet::PING.to_vec()),
            };
            if let Some(reply) = reply {
                inbox.link.write_all(&reply).map_err(|e| trouble(&self.options, &e))?;
            }
            self.presence.expire(context, now_ns, SILENCE_NS);
            self.rows.faults.tell(context);
        }
        // The broker notices by itself, too.
        let _ = inbox.link.write_all(&packet::DISCONNECT);
        Ok(())
    }

    /// Takes a packet; returns what to send.
    fn packet(
        &mut self,
        context: &Context,
        packet: Packet,
        now_ns: i64,
        topics: &[String],
    ) -> Result<Option<Vec<u8>>, SourceError> {
        match packet {
            Packet::ConnAck(0) => return Ok(Some(subscribe(topics))),
            Packet::ConnAck(code) => return Err(refusal(&self.options, code)),
            Packet::SubAck(codes) if codes.contains(&0x80) => {
                return Err(SourceError::Fatal(format!(
                    "the MQTT broker at {} refuses to hand out {}",
                    self.options.broker,
                    topics.join(" and ")
                )));
            }
            Packet::Publish { topic, retained, payload } => {
                self.message(context, &topic, retained, &payload, now_ns);
            }
            Packet::SubAck(_) | Packet::Other => {}
        }
        Ok(None)
    }

    fn message(
        &mut self,
        context: &Context,
        topic: &str,
        retained: bool,
        payload: &[u8],
        now_ns: i64,
    ) {
        let below = topic.strip_prefix(&self.options.prefix).and_then(|t| t.strip_prefix('/'));
        let Some((uid, kind)) = below.and_then(|below| below.split_once('/')) else { return };
        let Ok(document) = serde_json::from_slice::<Map<String, Value>>(payload) else {
            let detail = format!("a message of {topic} is no JSON object");
            return self.rows.malformed(context, detail);
        };
        match kind {
            "info" => self.announce(context, uid, &document),
            // One that the broker has kept is of nobody knows when.
            "telemetry" if !retained => {
                if is_placeholder(&document) {
                    return self.presence.away(context, uid, "its readings are all zero");
                }
                self.presence.seen(context, uid, now_ns);
                let names = &self.names;
                let taken = Taken::Before(now_ns);
                self.rows.push(context, uid, taken, |draft| names.fill(&document, draft));
            }
            _ => {}
        }
    }

    fn announce(&self, context: &Context, uid: &str, info: &Map<String, Value>) {
        let integer = |key: &str| info.get(key).and_then(Value::as_u64);
        // The publisher fills in a product where the board told none; then there is no vendor either.
        let model = integer("ProductId")
            .filter(|_| integer("VendorId") > Some(0))
            .and_then(|product| Model::of_product(u8::try_from(product).ok()?));
        context.device(json!({
            "id": uid,
            "kind": "benchlab",
            "model": model.map(|m| m.to_string()),
            "firmware": integer("FwVersion").filter(|_| model.is_some()),
            "vendor_id": integer("VendorId").filter(|_| model.is_some()),
            "product_id": integer("ProductId").filter(|_| model.is_some()),
            "path": info.get("com_port"),
            "server": self.options.broker,
            "simulated": false,
        }));
    }
}

impl Source for MqttSource {
    fn name(&self) -> String {
        NAME.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let outcome = self.record(context);
        self.rows.faults.tell_all(context);
        if context.stopping() { Ok(()) } else { outcome }
    }
}

fn trouble(options: &MqttOptions, why: &dyn std::fmt::Display) -> SourceError {
    SourceError::Retry(format!("the MQTT broker at {}: {why}", options.broker))
}

/// What a CONNACK means whose code is not 0.
fn refusal(options: &MqttOptions, code: u8) -> SourceError {
    match code {
        4 | 5 => SourceError::Fatal(format!(
            "the MQTT broker at {} refuses the login (code {code}): set benchlab_sdk.mqtt_user and \
             benchlab_sdk.mqtt_password",
            options.broker
        )),
        code => trouble(options, &format!("it refuses the connection (code {code})")),
    }
}

/// What has arrived from the broker.
#[derive(Debug)]
struct Inbox {
    link: Link,
    bytes: Vec<u8>,
}

impl Inbox {
    /// Connects, and asks to be let in.
    fn open(options: &MqttOptions, stop: &Stop) -> Result<Self, SourceError> {
        let failure = |e: std::io::Error| trouble(options, &e);
        let mut link = Link::open(&options.broker, PATIENCE, stop).map_err(failure)?;
        let client = format!("bl-{}-{:x}", std::process::id(), monotonic_ns() as u32);
        link.write_all(&connect(&client, options.login.as_ref())).map_err(failure)?;
        Ok(Self { link, bytes: Vec::new() })
    }

    /// The next packet; `None` when nothing came for as long as the patience.
    fn next(&mut self) -> std::io::Result<Option<Packet>> {
        loop {
            if let Some((packet, used)) = parse(&self.bytes)? {
                self.bytes.drain(..used);
                return Ok(Some(packet));
            }
            let mut chunk = [0; 8 << 10];
            match self.link.read(&mut chunk) {
                Ok(0) => return Err(std::io::Error::new(ErrorKind::UnexpectedEof, "it closed")),
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}
