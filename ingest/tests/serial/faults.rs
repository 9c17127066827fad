//! Whatever a board does wrong, the source recovers and records nothing that the board did not measure.

use std::collections::HashMap;
use std::time::Duration;

use bl_ingest::serial::emulator::{BoardOptions, Fault, FaultKind, SentSample, VirtualBoard};
use bl_ingest::serial::protocol::{Model, RAILS};
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};

use super::recording::{Recording, await_true, decimal, i64_at, ts_at};

const TIMEOUT: Duration = Duration::from_millis(150);

fn start(model: Model, faults: &str) -> (VirtualBoard, Recording, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = BoardOptions::new(model, 11);
    options.keep_sent = 100_000;
    options.link = Some(folder.path().join("board"));
    let board = VirtualBoard::start(options).unwrap();
    let options = ConnectOptions { timeout: TIMEOUT, ..Default::default() };
    let roster = Roster::new(Roots::default(), options);
    let selector = Selector::Path(board.path().unwrap());
    let recording = Recording::start(BenchlabSource::new(selector, roster, 250.0).simulated());
    recording.await_rows("benchlab", 5);
    board.set_faults(faults.split_terminator(' ').map(|f| f.parse().unwrap()).collect());
    (board, recording, folder)
}

/// Each row is a snapshot that was sent whole, at most once, within the bounds of its stamp.
fn assert_true(recording: &Recording, sent: &[SentSample]) {
    let rows = recording.table("benchlab");
    let anchor = recording.context.anchor();
    let mut at: HashMap<i32, Vec<&SentSample>> = HashMap::new();
    for sample in sent.iter().filter(|s| !s.spoilt) {
        let sys_mw = sample.sample.system_mw().unwrap() as i32;
        at.entry(sys_mw).or_default().push(sample);
    }
    for row in 0..rows.num_rows() {
        let (ts, err) = (ts_at(&rows, row), i64_at(&rows, "ts_err_ns", row).unwrap());
        let sys_mw = decimal(&rows, "sys_w", row).unwrap();
        let truth = at
            .get(&sys_mw)
            .and_then(|s| s.iter().find(|s| (anchor.ts(s.sampled_ns) - ts).abs() <= err + 1))
            .unwrap_or_else(|| panic!("row {row} was never measured"));
        for (rail, reading) in RAILS.iter().zip(truth.sample.rails()) {
            assert_eq!(decimal(&rows, &format!("{rail}_w"), row), Some(reading.power_mw));
        }
    }
}

fn survives(model: Model, faults: &str, reason: &str) {
    let (board, mut recording, _folder) = start(model, faults);
    await_true(&format!("{reason} to be counted 5 times"), || recording.health(reason) >= 5);
    board.set_faults(Vec::new());
    let rows = recording.rows("benchlab");
    recording.await_rows("benchlab", rows + 50);
    recording.stop().unwrap();
    assert_true(&recording, &board.take_sent());
}

#[test]
fn stalls() {
    survives(Model::Original, "stall@20", "timeout");
}

#[test]
fn short_replies() {
    survives(Model::Benchlab2, "short@20", "malformed");
}

#[test]
fn stray_bytes() {
    survives(Model::Original, "stray@15", "malformed");
}

#[test]
fn garbage() {
    survives(Model::Benchlab2, "garbage@15", "malformed");
}

#[test]
fn replies_later_than_the_timeout() {
    survives(Model::Benchlab2, "delay@25", "timeout");
}

#[test]
fn everything_at_once() {
    survives(Model::Benchlab2, "stall@53 short@31 stray@23 garbage@41 delay@67", "malformed");
}

#[test]
fn a_board_that_falls_silent_for_long() {
    let (board, mut recording, _folder) = start(Model::Original, "stall");
    // It does not even say who it is: the port is opened anew, again and again.
    await_true("the board to be given up", || recording.health("down") >= 1);
    board.set_faults(Vec::new());
    let rows = recording.rows("benchlab");
    recording.await_rows("benchlab", rows + 20);
    assert!(recording.stop().unwrap() >= 1);
    assert_eq!(recording.health("up"), 1 + recording.health("down"));
    assert_true(&recording, &board.take_sent());
}

#[test]
fn a_board_that_leaves_in_the_middle_of_a_reply() {
    let (board, mut recording, _folder) = start(Model::Benchlab2, "unplug@40");
    await_true("two departures", || recording.health("unplugged") >= 2);
    board.set_faults(Vec::new());
    await_true("its return", || recording.health("up") > recording.health("unplugged"));
    let rows = recording.rows("benchlab");
    recording.await_rows("benchlab", rows + 20);
    recording.stop().unwrap();
    assert_true(&recording, &board.take_sent());
}

#[test]
fn uneven_delays_stay_within_the_stamps_bounds() {
    let mut options = BoardOptions::new(Model::Original, 3);
    options.delay = "4ms..40ms".parse().unwrap();
    options.keep_sent = 1000;
    let board = VirtualBoard::start(options).unwrap();
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let source = BenchlabSource::new(Selector::Path(board.path().unwrap()), roster, 50.0);
    let mut recording = Recording::start(source);
    recording.await_rows("benchlab", 60);
    recording.stop().unwrap();
    assert_true(&recording, &board.take_sent());
    let rows = recording.table("benchlab");
    let rtt: Vec<i64> = (0..rows.num_rows()).map(|i| i64_at(&rows, "rtt_ns", i).unwrap()).collect();
    assert!(rtt.iter().all(|rtt| *rtt >= 4_000_000), "{rtt:?}");
    assert!(rtt.iter().any(|rtt| *rtt >= 25_000_000), "{rtt:?}");
    // What the board cannot answer in time is counted.
    assert!(recording.health("late") > 0);
    // The running minimum is in `clock`, and is the minimum.
    let clock = recording.table("clock");
    let floors: Vec<i64> =
        (0..clock.num_rows()).map(|i| i64_at(&clock, "rtt_min_ns", i).unwrap()).collect();
    assert!(floors.is_sorted_by(|a, b| a >= b), "{floors:?}");
    assert_eq!(floors.last(), rtt.iter().min());
}

#[test]
fn a_reply_that_trickles_in_is_bounded_by_its_first_byte() {
    let (board, mut recording, _folder) = start(Model::Benchlab2, "trickle");
    let rows = recording.rows("benchlab");
    recording.await_rows("benchlab", rows + 30);
    recording.stop().unwrap();
    assert_true(&recording, &board.take_sent());
    let table = recording.table("benchlab");
    let trickled = rows + 1..table.num_rows();
    let of = |column| -> Vec<i64> {
        trickled.clone().map(|row| i64_at(&table, column, row).unwrap()).collect()
    };
    // 384 bytes are six packets: the last one comes 25 ms after the first.
    assert!(of("rtt_ns").iter().all(|rtt_ns| *rtt_ns >= 25_000_000));
    // A busy machine may be late for some.
    let mut errors_ns = of("ts_err_ns");
    errors_ns.sort_unstable();
    assert!(errors_ns[errors_ns.len() / 4] < 10_000_000, "{errors_ns:?}");
}

#[test]
fn repeated_snapshots_are_kept_and_counted() {
    let mut options = BoardOptions::new(Model::Original, 3);
    options.refresh = Some(Duration::from_millis(100));
    options.keep_sent = 1000;
    let board = VirtualBoard::start(options).unwrap();
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let source = BenchlabSource::new(Selector::Path(board.path().unwrap()), roster, 100.0);
    let mut recording = Recording::start(source);
    recording.await_rows("benchlab", 60);
    recording.stop().unwrap();
    let sent = board.take_sent();
    let rows = recording.rows("benchlab");
    let same = sent[..rows].windows(2).filter(|pair| pair[0].sample == pair[1].sample).count();
    assert!(same >= 30, "{same}");
    assert_eq!(recording.health("repeated"), same as i64);
}

#[test]
fn faults_are_written_as_text() {
    for kind in FaultKind::ALL {
        let fault = Fault { kind, every: 7 };
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
    assert_eq!("stall".parse(), Ok(Fault { kind: FaultKind::Stall, every: 1 }));
    for wrong in ["", "stal", "stall@", "stall@0", "stall@x"] {
        assert!(wrong.parse::<Fault>().is_err(), "{wrong:?}");
    }
}
