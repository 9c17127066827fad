//! What is recorded is what the board sent.

use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::{Contract, RAILS};
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};

use super::recording::{Recording, decimal, i64_at, ts_at};

fn record(board: &VirtualBoard, hz: f64) -> Recording {
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let selector = Selector::Path(board.path().unwrap());
    Recording::start(BenchlabSource::new(selector, roster, hz).simulated())
}

#[test]
fn every_firmware_is_recorded_as_sent() {
    for contract in Contract::all() {
        let mut options = BoardOptions::of(contract, 7);
        options.keep_sent = 10_000;
        let board = VirtualBoard::start(options).unwrap();
        let mut recording = record(&board, 200.0);
        recording.await_rows("benchlab", 40);
        assert_eq!(recording.stop().unwrap(), 0, "{contract}");
        let rows = recording.table("benchlab");
        let sent = board.take_sent();
        assert!(sent.len() >= rows.num_rows() && sent.len() <= rows.num_rows() + 1, "{contract}");
        let anchor = recording.context.anchor();
        for (i, sent) in sent.iter().take(rows.num_rows()).enumerate() {
            let (ts, err) = (ts_at(&rows, i), i64_at(&rows, "ts_err_ns", i).unwrap());
            let sampled = anchor.ts(sent.sampled_ns);
            assert!((ts - sampled).abs() <= err + 1, "{contract}: row {i}");
            assert_eq!(decimal(&rows, "sys_w", i).map(i64::from), sent.sample.system_mw());
            for (rail, reading) in RAILS.iter().zip(sent.sample.rails()) {
                let cell = |unit: &str| decimal(&rows, &format!("{rail}_{unit}"), i);
                assert_eq!(cell("v"), Some(i32::from(reading.voltage_mv)));
                assert_eq!(cell("a"), Some(reading.current_ma));
                assert_eq!(cell("w"), Some(reading.power_mw));
            }
        }
        board.stop();
    }
}
