//! An MQTT broker.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bl_ingest::network::{MqttOptions, MqttSource};
use bl_ingest::source::SourceError;
use serde_json::json;

use super::recording::{Recording, await_true, i64_at};
use super::server::{Connection, Server};
use super::{assert_stops_at_once, decimals, told};

const UID: &str = "00112233445566778899AABB";

fn options(server: &Server) -> MqttOptions {
    MqttOptions { broker: server.authority(), prefix: "lab/bench".into(), login: None }
}

/// The next packet of the client, all of which are short. `None` at the end.
fn packet(connection: &mut Connection) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    connection.stream.read_exact(&mut head).ok()?;
    assert!(head[1] < 0x80);
    let mut body = vec![0; head[1].into()];
    connection.stream.read_exact(&mut body).ok()?;
    Some([head.to_vec(), body].concat())
}

fn publish(connection: &mut Connection, first: u8, topic: &str, payload: &str) {
    let body =
        [&(topic.len() as u16).to_be_bytes()[..], topic.as_bytes(), payload.as_bytes()].concat();
    let size = [(body.len() & 0x7F) as u8 | 0x80, (body.len() >> 7) as u8];
    // In two pieces, as a network may deliver it.
    let bytes = [&[first][..], &size, &body].concat();
    let (one, two) = bytes.split_at(bytes.len() / 2);
    connection.stream.write_all(one).unwrap();
    connection.stream.flush().unwrap();
    connection.stream.write_all(two).unwrap();
}

/// Lets the client in and takes its subscription.
fn admit(connection: &mut Connection) {
    let connect = packet(connection).unwrap();
    assert_eq!(connect[..2], [0x10, connect.len() as u8 - 2]);
    connection.stream.write_all(&[0x20, 2, 0, 0]).unwrap();
    let subscribe = String::from_utf8_lossy(&packet(connection).unwrap()).into_owned();
    assert!(subscribe.contains("lab/bench/+/telemetry") && subscribe.contains("lab/bench/+/info"));
    connection.stream.write_all(&[0x90, 4, 0, 1, 0, 0]).unwrap();
}

fn readings(watts: i32) -> String {
    // Long enough for two bytes of size.
    let spaces = " ".repeat(100);
    json!({"EPS1_Power": watts, "TS_1": null, "timestamp": 1_764_000_000_000_i64}).to_string()
        + &spaces
}

#[test]
fn what_is_published_is_recorded_but_for_what_the_broker_has_kept() {
    let server = Server::start(|mut connection| {
        admit(&mut connection);
        let telemetry = format!("lab/bench/{UID}/telemetry");
        if connection.number == 0 {
            let info = json!({"uid": UID, "com_port": "/dev/ttyACM0", "firmware": 6, "VendorId": 238,
                              "ProductId": 16, "FwVersion": 6, "variant": "ORIGINAL"});
            let kept = 0x31;
            publish(&mut connection, kept, &format!("lab/bench/{UID}/info"), &info.to_string());
            publish(&mut connection, kept, &telemetry, &readings(99));
            publish(&mut connection, 0x30, &telemetry, &readings(1));
            publish(&mut connection, 0x30, &telemetry, &"{".repeat(200));
            publish(&mut connection, 0x30, &telemetry, &readings(2));
        } else {
            publish(&mut connection, 0x30, &telemetry, &readings(3));
            while packet(&mut connection).is_some() {}
        }
    });
    let mut recording = Recording::start(MqttSource::new(options(&server)));
    recording.await_rows("benchlab", 3);
    assert_eq!(recording.stop().unwrap(), 1);
    assert_eq!(decimals(&recording, "eps1_w"), [1_000, 2_000, 3_000].map(Some));
    let rows = recording.table("benchlab");
    assert!((0..3).all(|i| i64_at(&rows, "ts_err_ns", i).is_none()));
    assert_eq!(recording.health("malformed"), 1);
    let devices = recording.devices.lock().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["model"], "BENCHLAB ORIGINAL");
    assert_eq!((&devices[0]["vendor_id"], &devices[0]["product_id"]), (&json!(238), &json!(16)));
    assert!(devices[0]["calibration_valid"].is_null(), "nobody asked it");
}

#[test]
fn a_refused_login_ends_the_source_and_a_busy_broker_is_waited_for() {
    let server = Server::start(|mut connection| {
        let connect = packet(&mut connection).unwrap();
        let login = String::from_utf8_lossy(&connect).contains("me\0\u{6}secret");
        let code = if login { 3 } else { 5 };
        connection.stream.write_all(&[0x20, 2, 0, code]).unwrap();
        connection.wait_for_end();
    });
    let mut recording = Recording::start(MqttSource::new(options(&server)));
    await_true("the source to give up", || recording.ended());
    let Err(SourceError::Fatal(why)) = recording.stop() else { panic!("it goes on") };
    assert!(why.contains("benchlab_sdk.mqtt_user"), "{why}");
    let login = Some(("me".to_owned(), "secret".to_owned()));
    let mut recording =
        Recording::start(MqttSource::new(MqttOptions { login, ..options(&server) }));
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert!(recording.stop().unwrap() >= 2);
}

#[test]
fn a_silent_broker_is_pinged_and_a_silent_board_is_told() {
    let pings = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pings);
    let server = Server::start(move |mut connection| {
        admit(&mut connection);
        publish(&mut connection, 0x30, &format!("lab/bench/{UID}/telemetry"), &readings(1));
        while let Some(packet) = packet(&mut connection) {
            if packet == [0xC0, 0] {
                counted.fetch_add(1, Ordering::SeqCst);
                connection.stream.write_all(&[0xD0, 0]).unwrap();
            }
        }
    });
    let mut recording = Recording::start(MqttSource::new(options(&server)));
    await_true("the board to be missed", || recording.health("down") == 1);
    assert!(pings.load(Ordering::SeqCst) >= 2);
    assert!(told(&recording, "down")[0].contains("nothing came for 10 s"));
    assert_eq!(decimals(&recording, "eps1_w"), [Some(1_000)]);
    assert_stops_at_once(&mut recording);
}
