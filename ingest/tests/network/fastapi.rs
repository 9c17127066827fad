//! The server of benchlab-pytools.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bl_ingest::network::FastApiSource;
use serde_json::{Value, json};
use tungstenite::{Message, accept};

use super::recording::{Recording, await_true, i64_at};
use super::server::Server;
use super::{assert_stops_at_once, decimals, told};

const UID: &str = "00112233445566778899AABB";
const OTHER: &str = "FFEEDDCCBBAA998877665544";

/// Readings with so many watts of EPS1.
fn readings(watts: i32) -> Value {
    json!({"EPS1_Voltage": 12.05, "EPS1_Power": watts, "TS_1": null, "timestamp": "2026-11-24T10:00:00"})
}

/// What the server has while a board is away.
fn zeros() -> Value {
    json!({"EPS1_Voltage": 0.0, "EPS1_Power": 0.0, "TS_1": 0.0, "timestamp": "2026-11-24T10:00:00", "connected": false})
}

fn telemetry(uid: &str, readings: &Value) -> Value {
    json!({"type": "telemetry", "uid": uid, "ts": "2026-11-24T10:00:00", "v": readings})
}

fn event(what: &str, status: &str) -> Value {
    json!({"type": "device", "uid": UID, "event": what, "device": device(status)})
}

fn device(status: &str) -> Value {
    json!({"uid": UID, "name": "", "productId": 17, "port": "/dev/ttyACM0", "status": status,
           "sensorCount": 3, "firmwareVersion": 7})
}

#[test]
fn what_is_pushed_is_recorded_and_a_lost_board_is_a_gap() {
    let sockets = AtomicUsize::new(0);
    let server = Server::start(move |connection| {
        assert_eq!(connection.peek_path(), "/events");
        let mut socket = accept(connection.stream).unwrap();
        let mut say = |frame: Value| socket.send(Message::text(frame.to_string())).unwrap();
        say(json!({"type": "hello", "serviceVersion": "3.4.0", "pollIntervalMs": 100,
                   "devices": [device("CONNECTED")]}));
        if sockets.fetch_add(1, Ordering::SeqCst) == 0 {
            say(telemetry(UID, &readings(1)));
            say(telemetry(OTHER, &readings(50)));
            say(event("disconnected", "DISCONNECTED"));
            say(telemetry(UID, &zeros()));
            say(event("connected", "CONNECTED"));
            say(json!({"type": "pong"}));
            say(telemetry(UID, &readings(2)));
            say(telemetry(UID, &json!({"EPS1_Power": "lots"})));
            say(json!({"type": "telemetry", "v": {"EPS1_Power": 3}}));
            socket.send(Message::text("no JSON")).unwrap();
            socket.close(None).unwrap();
            while socket.read().is_ok() {}
        } else {
            say(telemetry(UID, &readings(4)));
            while socket.read().is_ok() {}
        }
    });
    let source = FastApiSource::new(server.url(), 10.0).only(vec![UID.to_lowercase()]);
    let mut recording = Recording::start(source);
    recording.await_rows("benchlab", 3);
    assert_eq!(recording.stop().unwrap(), 1);
    assert_eq!(decimals(&recording, "eps1_w"), [1_000, 2_000, 4_000].map(Some));
    assert_eq!(decimals(&recording, "eps1_v"), [Some(12_050); 3]);
    assert_eq!(decimals(&recording, "ts1_c"), [None; 3]);
    let rows = recording.table("benchlab");
    assert!((0..3).all(|i| i64_at(&rows, "ts_err_ns", i).is_none()));
    assert_eq!(recording.health("malformed"), 3);
    let down = told(&recording, "down");
    assert_eq!(down, [format!("{UID} delivers nothing: the server has lost it")]);
    assert!(told(&recording, "up").contains(&format!("{UID} delivers again")));
    let devices = recording.devices.lock().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["model"], "BENCHLAB 2");
    assert_eq!(devices[0]["firmware"], 7);
}

#[test]
fn without_a_websocket_the_server_is_asked_and_each_reading_is_recorded_once() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |connection| {
        let path = connection.request().path;
        let turn = asked.load(Ordering::SeqCst);
        let away = (10..20).contains(&turn);
        match path.as_str() {
            "/devices" => {
                let known = json!({"uid": UID, "port": "/dev/ttyACM0", "firmware": 6,
                                   "variant": "ORIGINAL", "VendorId": 238, "ProductId": 16,
                                   "connected": !away});
                let unknown = json!({"uid": OTHER, "port": "x", "firmware": "?", "ProductId": 0,
                                     "connected": false});
                asked.fetch_add(1, Ordering::SeqCst);
                connection.answer(200, &json!([known, unknown]).to_string());
            }
            p if p == format!("/device/{UID}/telemetry") => {
                let body = match turn {
                    0..=2 => json!({}),
                    _ if away => zeros(),
                    // Five times the same.
                    turn => readings(turn as i32 / 5),
                };
                connection.answer(200, &body.to_string());
            }
            _ => connection.answer(404, r#"{"detail":"Not Found"}"#),
        }
    });
    let mut recording = Recording::start(FastApiSource::new(server.url(), 100.0));
    recording.await_rows("benchlab", 4);
    assert_eq!(recording.stop().unwrap(), 0);
    let watts: Vec<i32> = decimals(&recording, "eps1_w").into_iter().flatten().collect();
    assert_eq!(watts[..4], [0, 1_000, 4_000, 5_000]);
    assert_eq!(told(&recording, "down").len(), 1);
    assert_eq!(recording.health("malformed"), 0);
    assert!(told(&recording, "unsupported")[0].contains("status 404"));
    let devices = recording.devices.lock().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(
        (&devices[0]["model"], &devices[0]["firmware"]),
        (&json!("BENCHLAB ORIGINAL"), &json!(6))
    );
}

#[test]
fn a_silent_server_is_pinged_and_never_keeps_a_recording_from_ending() {
    let pings = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pings);
    let server = Server::start(move |connection| {
        let mut socket = accept(connection.stream).unwrap();
        while let Ok(message) = socket.read() {
            let is_ping = message.to_text().is_ok_and(|text| text == r#"{"type":"ping"}"#);
            counted.fetch_add(usize::from(is_ping), Ordering::SeqCst);
        }
    });
    let mut recording = Recording::start(FastApiSource::new(server.url(), 10.0));
    await_true("a ping", || pings.load(Ordering::SeqCst) > 0);
    assert_stops_at_once(&mut recording);
}
