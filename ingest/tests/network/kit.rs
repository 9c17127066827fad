//! LinuxSupportKit's service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use bl_ingest::Supervisor;
use bl_ingest::network::{KitOptions, KitScanner, KitSource};
use bl_ingest::source::{Sink, SourceError};
use serde_json::json;

use super::recording::{Recording, await_true, i64_at, ts_at};
use super::server::{Connection, Server};
use super::{assert_stops_at_once, decimals, told};

const UID: &str = "00112233445566778899AABB";

fn options(server: &Server) -> KitOptions {
    KitOptions {
        endpoint: server.url(),
        api_key: None,
        device_timeout: Duration::from_millis(100),
        hz: 50.0,
    }
}

/// A line of the stream of a service without the fault: EPS1 has so many watts.
fn line(watts: i32) -> String {
    let reading = json!({
        "device": "/dev/ttyACM0", "timestamp": "2025-11-12T10:20:30.1234567Z", "voltages": [1_005],
        "chipTemp": 41.5, "ambientTemp": 23.5, "humidity": null,
        "power": [{"v": 10.0, "a": f64::from(watts) / 10.0, "w": watts}],
        "fans": [{"enabled": true, "duty": 40, "rpm": 900}],
    });
    reading.to_string() + "\n"
}

/// Answers what is asked before the stream; hands the connection back if it is something else.
fn introduce(connection: Connection, path: &str) -> Option<Connection> {
    let body = match path.split('?').next().unwrap() {
        "/devices" => json!([
            {"device": "/dev/serial/by-id/usb-X-if00", "isBenchlab": true, "info": "x"},
            {"device": "/dev/ttyS0", "isBenchlab": false, "info": "x"},
            {"device": "/dev/ttyACM0", "isBenchlab": true, "info": "x"},
        ]),
        "/devices/ttyACM0/info" => json!({
            "device": "/dev/ttyACM0", "name": "bench", "vendorId": "0xEE", "productId": "0x10",
            "firmwareVersion": 6, "isValid": true,
        }),
        "/devices/ttyACM0/uid" => json!({"device": "/dev/ttyACM0", "uid": UID}),
        _ => return Some(connection),
    };
    connection.answer(200, &body.to_string());
    None
}

#[test]
fn a_stream_is_recorded_and_begun_anew_after_an_error_line() {
    let streams = AtomicUsize::new(0);
    let server = Server::start(move |connection| {
        let path = connection.request().path;
        let Some(mut connection) = introduce(connection, &path) else { return };
        assert_eq!(path, "/stream?device=/dev/ttyACM0&timeout=100");
        let first = streams.fetch_add(1, Ordering::SeqCst) == 0;
        connection.begin_chunks();
        let number = if first { 100 } else { 200 };
        // Lines come as they like to: half a one, two at once.
        let (one, two) = (line(number), line(number + 1));
        connection.chunk(&one[..50]);
        connection.chunk(&format!("{}{two}", &one[50..]));
        if first {
            connection.chunk("{not json\n\n");
            connection.chunk(&("x".repeat(100_000) + "\n"));
            connection.chunk("{\"device\":\"/dev/ttyACM0\",\"error\":\"Input/output error\"}\n");
        }
        connection.wait_for_end();
    });
    let mut recording = Recording::start(KitSource::new(options(&server), None));
    let began = recording.context.anchor().now();
    recording.await_rows("benchlab", 4);
    assert_eq!(recording.stop().unwrap(), 1);
    let watts = [100_000, 101_000, 200_000, 201_000].map(Some);
    assert_eq!(decimals(&recording, "eps1_w"), watts);
    assert_eq!(decimals(&recording, "vin0_v"), [Some(1_005); 4]);
    assert_eq!(decimals(&recording, "humidity_pct"), [None; 4]);
    assert_eq!(decimals(&recording, "sys_w"), [None; 4]);
    let rows = recording.table("benchlab");
    let stamps: Vec<i64> = (0..4).map(|i| ts_at(&rows, i)).collect();
    assert!(stamps.is_sorted() && stamps[0] >= began, "{stamps:?}");
    assert!((0..4).all(|i| i64_at(&rows, "ts_err_ns", i).is_none()));
    assert!((0..4).all(|i| i64_at(&rows, "rtt_ns", i).is_none()));
    assert_eq!(rows["source"].as_string::<i32>().value(0), "benchlab.kit");
    assert_eq!(rows["device_uid"].as_string::<i32>().value(0), UID);
    assert_eq!(recording.health("malformed"), 2);
    let devices = recording.devices.lock().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!((&devices[0]["id"], &devices[0]["firmware"]), (&json!(UID), &json!(6)));
    assert_eq!(devices[0]["model"], "BENCHLAB ORIGINAL");
    assert_eq!((&devices[0]["vendor_id"], &devices[0]["product_id"]), (&json!(238), &json!(16)));
    assert!(devices[0]["calibration_valid"].is_null(), "nobody asked it");
}

#[test]
fn the_key_is_sent_and_a_wrong_one_ends_the_source() {
    let server = Server::start(|connection| {
        let request = connection.request();
        if request.authorization.as_deref() != Some("Bearer right") {
            return connection.answer(401, r#"{"error":"Unauthorized. Provide a key."}"#);
        }
        let Some(mut connection) = introduce(connection, &request.path) else { return };
        connection.begin_chunks();
        connection.chunk(&line(7));
        connection.wait_for_end();
    });
    let with_key = |key: &str| KitOptions { api_key: Some(key.into()), ..options(&server) };
    let mut recording = Recording::start(KitSource::new(with_key("right"), None));
    recording.await_rows("benchlab", 1);
    recording.stop().unwrap();
    let mut recording = Recording::start(KitSource::new(with_key("wrong"), None));
    await_true("the source to give up", || recording.ended());
    let Err(SourceError::Fatal(why)) = recording.stop() else { panic!("it was let in") };
    assert!(why.contains("Unauthorized") && why.contains("benchlab_sdk.api_key"), "{why}");
    assert!(!why.contains("wrong"), "{why}");
    assert_eq!(recording.rows("benchlab"), 0);
}

#[test]
fn a_board_that_cannot_be_opened_is_waited_for() {
    let streams = AtomicUsize::new(0);
    let server = Server::start(move |connection| {
        let path = connection.request().path;
        let Some(mut connection) = introduce(connection, &path) else { return };
        if streams.fetch_add(1, Ordering::SeqCst) < 2 {
            let body = r#"{"error":"Access denied to device","device":"/dev/ttyACM0"}"#;
            return connection.answer(403, body);
        }
        connection.begin_chunks();
        connection.chunk(&line(7));
        connection.wait_for_end();
    });
    let mut recording = Recording::start(KitSource::new(options(&server), Some("ttyACM0".into())));
    recording.await_rows("benchlab", 1);
    assert_eq!(recording.stop().unwrap(), 2);
}

#[test]
fn without_a_stream_readings_are_asked_for() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |connection| {
        let path = connection.request().path;
        let Some(connection) = introduce(connection, &path) else { return };
        if path.starts_with("/stream") {
            return connection.answer(404, "");
        }
        assert_eq!(path, "/devices/ttyACM0/sensors?timeout=100");
        match asked.fetch_add(1, Ordering::SeqCst) {
            1 => {
                connection.answer(504, r#"{"title":"Timeout","status":504,"detail":"no response"}"#)
            }
            2 => connection.answer(200, "<html>"),
            n => connection.answer(200, &line(n as i32)),
        }
    });
    let mut recording = Recording::start(KitSource::new(options(&server), None));
    recording.await_rows("benchlab", 3);
    assert_eq!(recording.stop().unwrap(), 0);
    assert_eq!(decimals(&recording, "eps1_w")[..3], [0, 3_000, 4_000].map(Some));
    let rows = recording.table("benchlab");
    for i in 0..3 {
        let (rtt, err) = (i64_at(&rows, "rtt_ns", i), i64_at(&rows, "ts_err_ns", i));
        let rtt = rtt.unwrap();
        assert!(rtt > 0 && err == Some((rtt + 1) / 2), "{rtt} {err:?}");
    }
    assert_eq!((recording.health("timeout"), recording.health("malformed")), (1, 1));
    assert!(told(&recording, "timeout")[0].contains("no response (504)"));
    assert!(told(&recording, "unsupported")[0].contains("has no stream"));
}

#[test]
fn a_silent_service_is_given_up_and_never_keeps_a_recording_from_ending() {
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&streams);
    let server = Server::start(move |connection| {
        let path = connection.request().path;
        let Some(mut connection) = introduce(connection, &path) else { return };
        counted.fetch_add(1, Ordering::SeqCst);
        connection.begin_chunks();
        connection.wait_for_end();
    });
    let mut recording = Recording::start(KitSource::new(options(&server), None));
    await_true("a second try", || streams.load(Ordering::SeqCst) == 2);
    assert_stops_at_once(&mut recording);
    assert_eq!(recording.rows("benchlab"), 0);
}

#[test]
fn every_board_of_a_service_is_recorded_once() {
    let server = Server::start(|connection| {
        let path = connection.request().path;
        let (route, query) = path.split_once('?').unwrap_or((&path, ""));
        match route {
            "/devices" => connection.answer(
                200,
                &json!([
                    {"device": "/dev/ttyACM0", "isBenchlab": true},
                    {"device": "/dev/serial/by-id/usb-X-if00", "isBenchlab": true},
                    {"device": "/dev/ttyS0", "isBenchlab": false},
                    // Firmware that the service does not recognise.
                    {"device": "/dev/ttyACM1", "isBenchlab": false},
                ])
                .to_string(),
            ),
            "/devices/ttyACM1/info" => connection.answer(200, r#"{"vendorId":"0xEE"}"#),
            "/stream" => {
                let mut connection = connection;
                connection.begin_chunks();
                connection.chunk(&line(if query.contains("ttyACM0") { 1 } else { 2 }));
                connection.wait_for_end();
            }
            _ => connection.answer(500, r#"{"title":"Device communication failed"}"#),
        }
    });
    struct Never;
    impl bl_ingest::Source for Never {
        fn name(&self) -> String {
            "never".into()
        }
        fn run(&mut self, context: &bl_ingest::Context) -> Result<(), SourceError> {
            context.stop().sleep_ns(60_000_000_000);
            Ok(())
        }
    }
    let recording = Recording::start(Never);
    let sink: Arc<dyn Sink> = recording.memory.clone();
    let supervisor = Supervisor::new(sink, recording.stop.clone());
    let scanner = KitScanner::new(options(&server), supervisor.clone());
    supervisor.start(Box::new(scanner)).unwrap();
    recording.await_rows("benchlab", 2);
    recording.stop.stop();
    assert_eq!(supervisor.join(Duration::from_secs(1)), Vec::<String>::new());
    let rows = recording.table("benchlab");
    let uids = rows["device_uid"].as_string::<i32>();
    let mut uids: Vec<&str> = (0..rows.num_rows()).map(|i| uids.value(i)).collect();
    uids.sort_unstable();
    assert_eq!(uids, ["/dev/ttyACM0", "/dev/ttyACM1"]);
}
