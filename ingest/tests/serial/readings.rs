//! What a board says is kept: one odd field is null in its row, and no more than that.

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use bl_ingest::serial::emulator::{BoardOptions, Quirk, Shape, Signal, VirtualBoard};
use bl_ingest::serial::protocol::{Model, RAILS};
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};

use super::recording::{Recording, await_true, decimal};

fn record(options: BoardOptions, hz: f64) -> (VirtualBoard, Recording) {
    let board = VirtualBoard::start(options).unwrap();
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let source = BenchlabSource::new(Selector::Path(board.path().unwrap()), roster, hz);
    (board, Recording::start(source.simulated()))
}

fn options(quirk: Quirk) -> BoardOptions {
    let mut options = BoardOptions::new(Model::Benchlab2, 5);
    options.quirk = Some(quirk);
    options.keep_sent = 100_000;
    options
}

/// Rows of a recording of `quirk`, how many snapshots were asked for, and the recording.
fn with(quirk: Quirk) -> (RecordBatch, usize, Recording) {
    let (board, mut recording) = record(options(quirk), 200.0);
    recording.await_rows("benchlab", 40);
    assert_eq!(recording.stop().unwrap(), 0, "it never had to connect again");
    (recording.table("benchlab"), board.take_sent().len(), recording)
}

fn nulls(rows: &RecordBatch, column: &str) -> usize {
    rows.column_by_name(column).unwrap().null_count()
}

#[test]
fn power_that_the_board_filters_is_kept_under_load_steps() {
    let mut options = BoardOptions::new(Model::Benchlab2, 5);
    let (mean_w, amplitude_w, period_ns) = (300.0, 250.0, 200_000_000);
    options.signal = Signal { shape: Shape::Step, mean_w, amplitude_w, period_ns, seed: 5 };
    options.power_filter = Some(Duration::from_millis(50));
    options.keep_sent = 100_000;
    let (board, mut recording) = record(options, 100.0);
    recording.await_rows("benchlab", 200);
    assert_eq!(recording.stop().unwrap(), 0);
    assert_eq!(recording.health("malformed"), 0);
    let (rows, sent) = (recording.table("benchlab"), board.take_sent());
    assert!(sent.len() - rows.num_rows() <= 1, "{} of {}", rows.num_rows(), sent.len());
    let mut lagging = 0;
    for (i, sent) in sent.iter().take(rows.num_rows()).enumerate() {
        for (rail, reading) in RAILS.iter().zip(sent.sample.rails()) {
            let cell = |unit: &str| decimal(&rows, &format!("{rail}_{unit}"), i);
            assert_eq!(cell("v"), Some(i32::from(reading.voltage_mv)));
            assert_eq!(cell("a"), Some(reading.current_ma));
            assert_eq!(cell("w"), Some(reading.power_mw));
            let product_mw = i64::from(reading.voltage_mv) * i64::from(reading.current_ma) / 1000;
            let gap_mw = (product_mw - i64::from(reading.power_mw)).abs();
            lagging += usize::from(gap_mw > 2_000 + product_mw.abs() / 4);
        }
    }
    assert!(lagging > 100, "the filter shows: {lagging}");
}

#[test]
fn a_fan_beyond_all_of_it_costs_its_duty_and_nothing_else() {
    let (rows, sent, recording) = with(|sample| sample.fans[2].duty_pct = 101);
    assert!(sent - rows.num_rows() <= 1, "none is refused");
    assert_eq!(nulls(&rows, "fan3_duty_pct"), rows.num_rows());
    for column in ["fan3_rpm", "fan3_enabled", "fan2_duty_pct", "sys_w", "vdd_v", "eps1_a"] {
        assert_eq!(nulls(&rows, column), 0, "{column}");
    }
    // Told once when it begins and once, with the rest of its count, when the recording ends.
    let told = recording.details("odd_reading");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("fan3_duty_pct cannot be 101"), "{told:?}");
    assert_eq!(recording.health("odd_reading"), rows.num_rows() as i64);
    assert_eq!(recording.health("malformed"), 0);
}

#[test]
fn a_supply_a_little_low_is_a_reading() {
    let (rows, sent, recording) = with(|sample| sample.vdd_mv = 2_990);
    assert!(sent - rows.num_rows() <= 1);
    assert_eq!(decimal(&rows, "vdd_v", 0), Some(2_990));
    assert_eq!(recording.health("odd_reading") + recording.health("malformed"), 0);
}

#[test]
fn a_board_that_is_odd_in_several_ways_is_asked_again_once_and_then_believed() {
    let (rows, sent, recording) = with(|sample| {
        sample.fan_switch = 3;
        sample.rgb_ext = 2;
        sample.rails[1].power_mw = i32::MAX;
    });
    assert!(sent - rows.num_rows() <= 2, "one is refused");
    assert_eq!(recording.health("malformed"), 1);
    for column in ["fan_switch", "rgb_ext", "eps2_w", "cpu_w", "sys_w"] {
        assert_eq!(nulls(&rows, column), rows.num_rows(), "{column}");
    }
    for column in ["rgb_switch", "eps2_a", "eps1_w", "gpu_w", "mb_w"] {
        assert_eq!(nulls(&rows, column), 0, "{column}");
    }
    let told = recording.details("odd_reading");
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn temperatures_that_no_probe_measures_are_null() {
    let (rows, sent, recording) = with(|sample| {
        sample.chip = -1_001;
        sample.probes_dc = [1_001, -1_001, 1_000, -1_000, i16::MIN, 1_500, 250, 1_000];
    });
    assert!(sent - rows.num_rows() <= 1);
    for column in ["chip_c", "ts1_c", "ts2_c", "ts_hpwr1_in_c", "ts_hpwr1_out_c"] {
        assert_eq!(nulls(&rows, column), rows.num_rows(), "{column}");
    }
    let kept = ["ts3_c", "ts4_c", "ts_hpwr2_in_c", "ts_hpwr2_out_c"];
    assert_eq!(kept.map(|c| decimal(&rows, c, 0)), [1_000, -1_000, 250, 1_000].map(Some));
    assert!(recording.details("odd_reading")[0].contains("chip_c cannot be"));
}

#[test]
fn whether_the_calibration_is_valid_is_not_claimed() {
    let (_board, mut recording) = record(BoardOptions::new(Model::Original, 2), 100.0);
    recording.await_rows("benchlab", 2);
    recording.stop().unwrap();
    let device = recording.devices.lock().unwrap()[0].clone();
    assert!(device["calibration_valid"].is_null(), "{device}");
    // What the board itself says stays, so that a change shows.
    let crc = device["calibration_crc"].as_str().unwrap();
    assert!(crc.len() == 6 && crc.starts_with("0x"), "{crc}");
}

#[test]
fn a_repeated_snapshot_is_told_by_its_row_and_the_period_is_learned() {
    let mut options = BoardOptions::new(Model::Original, 3);
    options.refresh = Some(Duration::from_millis(70));
    options.keep_sent = 10_000;
    let (board, mut recording) = record(options, 100.0);
    recording.await_rows("benchlab", 300);
    let refresh = |recording: &Recording| {
        let devices = recording.devices.lock().unwrap();
        (devices[0]["refresh_ms"].as_f64(), devices[0]["refresh_err_ms"].as_f64())
    };
    await_true("the period to be learned", || refresh(&recording).0.is_some());
    recording.stop().unwrap();
    let (rows, sent) = (recording.table("benchlab"), board.take_sent());
    let repeat = rows.column_by_name("repeat").unwrap().as_boolean();
    assert!(repeat.is_null(0), "there is none before the first");
    for (i, pair) in sent[..rows.num_rows()].windows(2).enumerate() {
        assert!(repeat.is_valid(i + 1));
        assert_eq!(repeat.value(i + 1), pair[0].sample == pair[1].sample, "row {}", i + 1);
    }
    let (Some(period_ms), Some(err_ms)) = refresh(&recording) else { panic!() };
    assert!((period_ms - 70.0).abs() <= err_ms, "{period_ms} +/- {err_ms}");
    assert!(err_ms < 5.0, "{err_ms}");
    let told = recording.details("repeated").join("\n");
    assert!(told.contains("measures anew every"), "{told}");
}

#[test]
fn a_board_that_keeps_up_repeats_nothing_and_no_period_is_claimed() {
    let (_board, mut recording) = record(BoardOptions::new(Model::Original, 3), 100.0);
    recording.await_rows("benchlab", 60);
    recording.stop().unwrap();
    let rows = recording.table("benchlab");
    let repeat = rows.column_by_name("repeat").unwrap().as_boolean();
    assert!((1..rows.num_rows()).all(|i| repeat.is_valid(i) && !repeat.value(i)));
    assert!(recording.devices.lock().unwrap()[0]["refresh_ms"].is_null());
}
