//! The official client against our virtual board, for every firmware that it knows.
//!
//! Needs a Python that has benchlab-pycore 0.8.0:
//! `BL_PYCORE_PYTHON=/path/to/python cargo test -p bl-ingest --test pycore -- --ignored`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::process::Command;

use bl_ingest::serial::emulator::{BoardOptions, Fault, FaultKind, VirtualBoard};
use bl_ingest::serial::protocol::{Contract, DeviceConfig, PROBES, RAILS, decode, encode};
use serde_json::Value;

fn check(python: &str, contract: &'static Contract) -> (VirtualBoard, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = BoardOptions::of(contract, 21);
    options.link = Some(folder.path().join("board"));
    options.keep_sent = 10;
    let board = VirtualBoard::start(options).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pycore/check.py"))
        .arg(board.path().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{contract}: {said}{complaint}");
    (board, serde_json::from_str(&said).unwrap_or_else(|e| panic!("{contract}: {e}: {said}")))
}

fn bytes_of(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
#[ignore = "needs BL_PYCORE_PYTHON, a Python with benchlab-pycore 0.8.0"]
fn the_official_client_is_content() {
    let python = std::env::var("BL_PYCORE_PYTHON").expect("BL_PYCORE_PYTHON names a Python");
    for contract in Contract::all() {
        let (board, read) = check(&python, contract);
        assert_eq!(read["device"]["VendorId"], 0xEE);
        assert_eq!(read["device"]["ProductId"], contract.model.product());
        assert_eq!(read["device"]["FwVersion"], contract.firmware);
        assert_eq!(read["uid"], board.uid().to_string());
        assert_eq!(read["name"], contract.model.to_string());

        let sent = board.take_sent();
        assert_eq!(sent.len(), 1, "{contract}");
        let sample = sent[0].sample;
        assert_eq!(bytes_of(&read["sensors"]), encode(&sample), "{contract}");
        let milli = |name: &str| (read["translated"][name].as_f64().unwrap() * 1000.0).round();
        assert_eq!(milli("SYS_Power"), sample.system_mw().unwrap() as f64, "{contract}");
        assert_eq!(milli("CPU_Power"), sample.cpu_mw().unwrap() as f64);
        assert_eq!(milli("GPU_Power"), sample.gpu_mw().unwrap() as f64);
        assert_eq!(milli("MB_Power"), sample.mainboard_mw().unwrap() as f64);
        for (rail, reading) in RAILS.iter().zip(sample.rails()) {
            let name = rail.to_uppercase().replace("WIRE", "W");
            assert_eq!(milli(&format!("{name}_Voltage")), f64::from(reading.voltage_mv), "{name}");
            assert_eq!(milli(&format!("{name}_Current")), f64::from(reading.current_ma), "{name}");
        }
        let chip_dc = f64::from(sample.chip) * f64::from(contract.chip_unit_dc);
        assert_eq!(milli("Chip_Temp"), chip_dc * 100.0, "{contract}");
        assert!(read["translated"]["TS_4"].is_null() && read["translated"]["VIN_12"].is_null());
        assert_eq!(sample.probes().len(), contract.model.probes());
        assert!(PROBES.len() >= sample.probes().len());

        assert_eq!(read.get("default_config").is_some(), contract.default_config, "{contract}");
        if let Some(hex) = read.get("default_config") {
            let blank = DeviceConfig::blank(contract.model);
            let config = decode("default", blank, &bytes_of(hex)).unwrap();
            assert!(config.name.starts_with(contract.model.to_string().as_bytes()));
        }
    }
}

/// The check can fail.
#[test]
#[ignore = "needs BL_PYCORE_PYTHON, a Python with benchlab-pycore 0.8.0"]
fn the_official_client_complains_about_a_bad_board() {
    let python = std::env::var("BL_PYCORE_PYTHON").expect("BL_PYCORE_PYTHON names a Python");
    let board = VirtualBoard::start(BoardOptions::of(&Contract::all()[0], 1)).unwrap();
    board.set_faults(vec![Fault { kind: FaultKind::Garbage, every: 3 }]);
    let status = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pycore/check.py"))
        .arg(board.path().unwrap())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
}
