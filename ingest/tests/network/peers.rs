//! The real benchlab-pytools 3.4.0 over a virtual board: its server, and its publisher at a real broker.
//!
//! Needs a Python that has benchlab-pytools with `restapi` and paho-mqtt, and mosquitto:
//! `BL_PYCORE_PYTHON=/path/to/python cargo test -p bl-ingest --test network -- --ignored`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use arrow_array::RecordBatch;
use bl_ingest::network::{FastApiSource, MqttOptions, MqttSource};
use bl_ingest::serial::emulator::{BoardOptions, SentSample, VirtualBoard};
use bl_ingest::serial::protocol::{Contract, Model};
use bl_ingest::serial::{SampleColumns, SampleRow, Stamp};
use bl_store::Rows;

use super::recording::{Recording, await_true};
use super::told;

/// What the tools do not hand on, and what is of the way and not of the board.
const NOT_COMPARED: [&str; 9] = [
    "ts",
    "source",
    "rtt_ns",
    "ts_err_ns",
    "fan_switch",
    "rgb_switch",
    "rgb_ext",
    "fault_status",
    "fault_log",
];

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A board, and what shows it to the tools.
struct Bench {
    board: VirtualBoard,
    contract: &'static Contract,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A board of that firmware, which is one that greets nobody who opens its port: now and then the tools take the
    /// greeting of a newer one for its identity or its readings.
    fn new(model: Model, firmware: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board");
        let wanted = |c: &&Contract| c.model == model && c.firmware == firmware;
        let contract = Contract::all().iter().find(wanted).unwrap();
        let mut options = BoardOptions::of(contract, 21);
        options.link = Some(path.clone());
        options.keep_sent = 100_000;
        let board = VirtualBoard::start(options).unwrap();
        Self { board, contract, path, _folder: folder }
    }

    fn pytools(&self) -> Command {
        let python = std::env::var("BL_PYCORE_PYTHON").expect("BL_PYCORE_PYTHON names a Python");
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/pytools.py"));
        command.arg(&self.path).env("LOG_LEVEL", "ERROR");
        command
    }

    fn api(&self, websockets: &str) -> (Process, u16) {
        let port = free_port();
        let mut command = self.pytools();
        command.args(["api", &port.to_string(), websockets]);
        // The scan opens the port that the server reads from at the same time, and takes its replies.
        command.env("POLL_INTERVAL", "0.1").env("SCAN_INTERVAL", "3600");
        let process = Process::start(&mut command);
        await_listener(port);
        (process, port)
    }

    /// The row that a sample makes when the board is read at USB.
    fn row(&self, sent: &SentSample) -> RecordBatch {
        let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
        let columns = SampleColumns::new(&rows);
        let (uid, stamp) = (self.board.uid().to_string(), Stamp::of_exchange(0, 0, 0));
        let (source, uid, contract) = ("x", uid.as_str(), self.contract);
        let (sample, repeats) = (&sent.sample, None);
        columns.push(&mut rows, &SampleRow { source, uid, stamp, contract, sample, repeats });
        rows.finish()
    }

    /// Every row is one of the samples that the board has sent, digit by digit, each once and in order.
    fn assert_recorded_as_sent(&self, recording: &Recording) {
        let rows = recording.table("benchlab");
        let sent: Vec<RecordBatch> = self.board.take_sent().iter().map(|s| self.row(s)).collect();
        let mut next = 0;
        for i in 0..rows.num_rows() {
            let row = rows.slice(i, 1);
            let found = sent[next..].iter().position(|sent| differences(&row, sent).is_empty());
            let Some(at) = found else {
                let nearest = sent.iter().map(|s| differences(&row, s)).min_by_key(Vec::len);
                panic!(
                    "row {i} of {} is none of the samples from {next} on: {nearest:?}",
                    rows.num_rows()
                );
            };
            next += at + 1;
        }
    }
}

fn differences(a: &RecordBatch, b: &RecordBatch) -> Vec<String> {
    let schema = a.schema();
    let names = schema.fields().iter().map(|f| f.name().clone());
    names
        .filter(|n| !NOT_COMPARED.contains(&n.as_str()) && *a[n.as_str()] != *b[n.as_str()])
        .collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn await_listener(port: u16) {
    await_true("a server to listen", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

fn await_more(recording: &Recording, more: usize) {
    recording.await_rows("benchlab", recording.rows("benchlab") + more);
}

#[test]
#[ignore = "needs BL_PYCORE_PYTHON, a Python with benchlab-pytools 3.4.0"]
fn the_real_server_is_recorded_as_the_board_sends_and_a_pulled_cable_is_a_gap() {
    for (model, firmware) in [(Model::Original, 3), (Model::Benchlab2, 4)] {
        for websockets in ["auto", "none"] {
            let bench = Bench::new(model, firmware);
            let (_server, port) = bench.api(websockets);
            let source = FastApiSource::new(format!("http://127.0.0.1:{port}"), 20.0);
            let mut recording = Recording::start(source);
            await_more(&recording, 10);
            bench.board.unplug();
            await_true("the loss to be told", || recording.health("down") > 0);
            let before = recording.rows("benchlab");
            std::thread::sleep(std::time::Duration::from_millis(700));
            assert_eq!(recording.rows("benchlab"), before, "rows while the board was away");
            bench.board.replug();
            await_more(&recording, 10);
            recording.stop().unwrap();
            bench.assert_recorded_as_sent(&recording);
            assert_eq!(told(&recording, "unsupported").len(), usize::from(websockets == "none"));
            assert_eq!(recording.health("malformed"), 0);
            let devices = recording.devices.lock().unwrap();
            assert_eq!(devices.len(), 1);
            assert_eq!(devices[0]["model"], model.to_string());
            assert_eq!(devices[0]["firmware"], bench.contract.firmware);
        }
    }
}

#[test]
#[ignore = "needs BL_PYCORE_PYTHON, a Python with benchlab-pytools 3.4.0, and mosquitto"]
fn the_real_publisher_is_recorded_as_the_board_sends() {
    let bench = Bench::new(Model::Benchlab2, 4);
    let port = free_port();
    let broker = || Process::start(Command::new("mosquitto").args(["-p", &port.to_string()]));
    let first_broker = broker();
    await_listener(port);
    let options =
        MqttOptions { broker: format!("localhost:{port}"), prefix: "benchlab".into(), login: None };
    let mut recording = Recording::start(MqttSource::new(options));
    let mut publisher = bench.pytools();
    publisher.arg("mqtt").env("MQTT_BROKER", "127.0.0.1").env("MQTT_PORT", port.to_string());
    let _publisher = Process::start(publisher.env("MQTT_POLL_RATE", "0.1"));
    await_more(&recording, 10);
    // The broker dies and comes back: both sides find it again.
    drop(first_broker);
    let _broker = broker();
    await_listener(port);
    await_more(&recording, 10);
    bench.board.unplug();
    await_true("the board to be missed", || recording.health("down") > 0);
    assert!(recording.stop().unwrap() >= 1);
    bench.assert_recorded_as_sent(&recording);
    let devices = recording.devices.lock().unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["id"], bench.board.uid().to_string());
    assert_eq!(devices[0]["model"], Model::Benchlab2.to_string());
}
