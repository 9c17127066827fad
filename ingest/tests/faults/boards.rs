//! Boards at USB, over PTYs.

use bl_ingest::Source;
use bl_ingest::alert::with_shipped;
use bl_ingest::serial::emulator::{BoardOptions, Quirk, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_ingest::source::SourceState;

use super::bench::{Bench, as_nobody, board_source, named, wait_for};

/// A board whose port has a name that stays when it is plugged in anew.
fn board(folder: &tempfile::TempDir, name: &str, seed: u64) -> VirtualBoard {
    let mut options = BoardOptions::new(Model::Original, seed);
    options.link = Some(folder.path().join(name));
    VirtualBoard::start(options).unwrap()
}

fn set_mode(board: &VirtualBoard, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(board.path().unwrap(), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The rules that come along, in a real recording of a board whose pins, rails and wire are made faulty one by one.
#[test]
fn alerts_tell_the_faults_of_a_board() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = BoardOptions::new(Model::Benchlab2, 3);
    options.link = Some(folder.path().join("alerts"));
    let board = VirtualBoard::start(options).unwrap();
    let bench = Bench::start(vec![named("alerts", Box::new(board_source(&board)))]);
    bench.start_alerts(with_shipped(&[]).unwrap());
    bench.await_rows("alerts", 20);
    let faults: [(&str, Quirk); 3] = [
        // Pin 3 of the first connector takes what pins 1 and 2 do not.
        ("hpwr1_pin_imbalance", |sample| {
            let currents_ma = [600, 700, 7_900, 3_000, 3_100, 3_000];
            sample.rails[11..17].iter_mut().zip(currents_ma).for_each(|(r, ma)| r.current_ma = ma);
        }),
        ("hpwr2_pin_above_rating", |sample| {
            sample.rails[17..23].iter_mut().for_each(|rail| rail.current_ma = 9_300);
        }),
        ("atx5v_out_of_tolerance", |sample| {
            (sample.rails[3].voltage_mv, sample.rails[3].current_ma) = (4_700, 2_000);
        }),
    ];
    for (rule, quirk) in faults {
        board.set_quirk(Some(quirk));
        bench.await_told("alert", "alert", rule);
        board.set_quirk(None);
        bench.await_told("alert", "alert_cleared", rule);
    }
    board.unplug();
    bench.await_told("alert", "alert", "source_stalled: no row for");
    board.replug();
    bench.await_told("alert", "alert_cleared", "source_stalled is over: rows come again");
    // Each once, of the board that it is about; the one beside it is in order.
    for reason in ["alert", "alert_cleared"] {
        let told = bench.details("alert", reason);
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(told.iter().all(|words| words.contains(&board.uid().to_string())), "{told:#?}");
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}

#[test]
fn each_fault_of_a_board_is_its_own() {
    const NAMES: [&str; 4] = ["unplugged", "hung", "denied", "malformed"];
    let folder = tempfile::tempdir().unwrap();
    let boards: Vec<_> = NAMES.iter().zip(1..).map(|(n, seed)| board(&folder, n, seed)).collect();
    let [unplugged, hung, denied, malformed] = &boards[..] else { panic!() };
    set_mode(denied, 0);
    let source = |i: usize| Box::new(board_source(&boards[i])) as Box<dyn Source>;
    let others = [0, 1, 3].map(|i| named(NAMES[i], source(i)));
    let mut sources = Vec::from(others);
    sources.push(as_nobody("denied", source(2)));
    let bench = Bench::start(sources);
    for name in ["unplugged", "hung", "malformed"] {
        bench.await_rows(name, 10);
    }
    unplugged.unplug();
    hung.set_faults(vec!["stall".parse().unwrap()]);
    malformed.set_faults(vec!["garbage@2".parse().unwrap()]);
    bench.await_told("unplugged", "unplugged", folder.path().join("unplugged").to_str().unwrap());
    bench.await_told("hung", "timeout", "");
    bench.await_told("hung", "down", "");
    bench.await_told("denied", "denied", "dialout");
    bench.await_told("malformed", "malformed", "");
    for name in ["unplugged", "hung", "denied"] {
        assert_eq!(bench.state(name), SourceState::Waiting, "{name}");
        let rows = bench.rows(name);
        bench.assert_goes_on();
        assert_eq!(bench.rows(name), rows, "{name}");
    }
    assert_eq!(bench.rows("denied"), 0);
    // And each is recorded again when it is in order again.
    unplugged.replug();
    hung.set_faults(Vec::new());
    malformed.set_faults(Vec::new());
    set_mode(denied, 0o666);
    for name in NAMES {
        let rows = bench.rows(name);
        bench.await_rows(name, rows + 10);
        wait_for(name, || bench.state(name) == SourceState::Up);
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}
