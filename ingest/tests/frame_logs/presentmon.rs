//! PresentMon's forms that the gold set has not, and logs of tools that write its columns.

use bl_ingest::import::{FrameLogFormat, ProcessChoice, ReadOptions, read_frame_log};

use super::{Kept, file, fixture, read, read_text, refused};

/// Three frames in the columns of one generation, whose time column is `clock`: presents at 20, 30 and 50 ms, where the
/// processor began 8 ms earlier.
fn log(clock: &str, times: [&str; 3]) -> String {
    let starts = clock.starts_with("CPU");
    let frametimes = if starts { ["10", "20", "7"] } else { ["7", "10", "20"] };
    let name = if starts { "FrameTime" } else { "MsBetweenPresents" };
    let mut text = format!("Application,ProcessID,SwapChainAddress,{clock},{name},CPUBusy\n");
    for (time, frametime) in times.into_iter().zip(frametimes) {
        text += &format!("game.exe,7,0xAB,{time},{frametime},8\n");
    }
    text
}

fn at_ms(text: &str) -> Vec<f64> {
    let (log, report) = read_text("p.csv", text);
    assert_eq!(report.bad, 0, "{report}");
    log.frames.iter().map(|frame| frame.at_ns as f64 / 1e6).collect()
}

#[test]
fn every_clock_column_is_read() {
    let seconds = ["0.020", "0.030", "0.050"];
    let ms = ["20.0000", "30.0000", "50.0000"];
    let ticks = ["70000200000", "70000300000", "70000500000"];
    let dates = ["2026-1-31 7:59:59.990", "2026-1-31 8:00:00.000000000", "2026-1-31 8:00:00.020"];
    let all = [
        // `--qpc_time_ms` leaves the name TimeInSeconds and writes milliseconds.
        ("TimeInSeconds", vec![seconds, ms, dates]),
        ("TimeInMs", vec![ms]),
        ("TimeInQPC", vec![ticks]),
        ("TimeInDateTime", vec![dates]),
        ("QPCTime", vec![ticks]),
        ("CPUStartTimeInSeconds", vec![seconds]),
        ("CPUStartTimeInMs", vec![ms]),
        ("CPUStartQPCTimeInMs", vec![ms]),
        ("CPUStartQPCTime", vec![ms]),
        ("CPUStartTime", vec![ms, seconds]),
        ("CPUStartQPC", vec![ticks]),
        ("CPUStartDateTime", vec![dates]),
    ];
    for (clock, forms) in all {
        for times in forms {
            assert_eq!(at_ms(&log(clock, times)), [0.0, 10.0, 30.0], "{clock} {times:?}");
        }
    }
}

#[test]
fn a_present_is_its_start_and_the_processors_work() {
    let text = "Application,SwapChainAddress,CPUStartTime,FrameTime,CPUBusy\n\
                g.exe,0x1,100,10,9\ng.exe,0x1,110,10,4\ng.exe,0x1,120,10,NA\n";
    let (log, report) = read_text("p.csv", text);
    let at: Vec<i64> = log.frames.iter().map(|frame| frame.at_ns).collect();
    assert_eq!(at, [0, 5_000_000]);
    assert_eq!((report.bad, report.bad_lines[0].line), (1, 4));
    assert!(report.bad_lines[0].why.contains("no CPUBusy"), "{report}");
}

#[test]
fn dates_tell_when_a_log_began() {
    let dates = ["2026-1-31 7:59:59.990", "2026-1-31 8:00:00", "2026-1-31 8:00:00.020"];
    let (log, _) = read_text("p.csv", &log("TimeInDateTime", dates));
    let began = log.began.unwrap();
    assert!(began.from.contains("time zone") && began.err_ns > 0, "{began:?}");
    // Whatever this machine's zone is, it is whole quarters of an hour away from UTC.
    let as_utc_ns: i64 = 1_769_846_399_990_000_000;
    assert_eq!((began.ns - as_utc_ns) % 900_000_000_000, 0);
}

#[test]
fn ticks_go_by_the_rate_that_is_told_or_confirmed_and_by_no_other() {
    // An older counter, of 3.579545 MHz (the ACPI timer).
    let ticks = ["0", "35795", "107386"];
    let found = at_ms(&log("TimeInQPC", ticks));
    assert!((found[2] - 30.0).abs() < 0.001, "{found:?}");

    let lonely = "Application,ProcessID,SwapChainAddress,TimeInQPC,MsBetweenPresents\n\
                  a.exe,1,0x1,1000000,16\nb.exe,2,0x1,1200000,16\n";
    let why = refused(FrameLogFormat::PresentMon, "p.csv", lonely);
    assert!(why.contains("whose rate the log does not tell") && why.contains("--qpc-hz"), "{why}");
    let (_folder, path) = file("p.csv", lonely);
    let told = ReadOptions { qpc_hz: Some(1e7), ..ReadOptions::default() };
    assert_eq!(read_frame_log(&path, &told).unwrap().0.frames[1].at_ns, 20_000_000);

    // What is told and what the frame times say must agree.
    let (_folder, path) = file("p.csv", &log("TimeInQPC", ticks));
    let why = read_frame_log(&path, &told).unwrap_err().to_string();
    assert!(why.contains("by the frame times it has 35"), "{why}");
}

#[test]
fn frames_of_one_process_are_taken_by_name_or_number() {
    let path = fixture("presentmon/test_case_1.csv");
    let all = read(&path).0;
    for (choice, frames) in [("devenv", 3), ("24944", 3), ("DWM.exe", 40)] {
        let options =
            ReadOptions { process: Some(ProcessChoice::new(choice)), ..ReadOptions::default() };
        let (log, report) = read_frame_log(&path, &options).unwrap();
        assert_eq!((log.frames.len(), report.left_out), (frames, 50 - frames as u64), "{choice}");
        assert_eq!(log.length_ns, all.length_ns);
        // They stay where they are in the log.
        assert!(log.frames.iter().all(|frame| all.frames.contains(frame)));
    }
    let options =
        ReadOptions { process: Some(ProcessChoice::new("game")), ..ReadOptions::default() };
    let why = read_frame_log(&path, &options).unwrap_err().to_string();
    assert!(why.contains("no frame of process game, but of Presenter.exe 24560"), "{why}");
}

#[test]
fn ocat_with_system_columns_on_its_first_row_is_read_whole() {
    let path = fixture("capframex/OCAT-MetroExodus.exe-2019-02-20T101522.csv");
    let (log, report) = read(&path);
    let lines = std::fs::read_to_string(&path).unwrap().lines().count();
    assert_eq!((report.bad, log.frames.len()), (0, lines - 1), "{report}");
    assert_eq!(log.frames[0].stream.to_string(), "MetroExodus.exe 13840 0x215D7910");
    assert_eq!(log.info["Processor"], "Intel(R) Core(TM) i9-9900K CPU @ 3.60GHz");
    assert_eq!(log.info["GPU"], "GeForce RTX 2080 Ti");
    let board = "Micro-Star International Co. Ltd. MPG Z390 GAMING PRO CARBON (MS-7B17)";
    assert_eq!(log.info["Motherboard"], board);
    assert!(log.info.get("GPU Memory Clock (MHz)").is_none(), "it is '-'");
    assert!(!log.frames[0].attrs.as_ref().unwrap().contains("Motherboard"));
    let second = &log.frames[1];
    assert_eq!((second.at_ns, second.frametime_ms), (12_166_000, Some(12.166)));
    assert_eq!((second.latency_ms, second.display_ms), (Some(20.021), Some(18.668)));
    // A row that is cut off within the columns of frames is bad all the same.
    let text = std::fs::read_to_string(&path).unwrap() + "MetroExodus.exe,13840,0x00\n";
    assert_eq!(read_text("o.csv", &text).1.bad, 1);
}

#[test]
fn captures_of_capframexs_own_tests_are_read() {
    let (log, report) = read(&fixture("capframex/ShortFile.csv"));
    assert_eq!((report.bad, log.streams().len()), (0, 1));
    // Without a time column, frame times are summed up.
    let (log, report) = read(&fixture("capframex/InvalidColumnFile.csv"));
    assert_eq!(report.bad, 0, "{report}");
    let ms: f64 = log.frames.iter().skip(1).map(|frame| frame.frametime_ms.unwrap()).sum();
    assert!((log.length_ns as f64 / 1e6 - ms).abs() < 1e-3);
    assert_eq!(log.frames[0].latency_ms, Some(14.347));
}

#[test]
fn lines_before_the_header_are_kept_and_name_the_game() {
    let text = "//GameName=A game\n//ProcessName=game.exe\n//CreationDate=2019-02-20\n//Comment=\n\
                MsBetweenPresents,MsUntilDisplayed\n5,2\n6,2\n";
    let (log, report) = read_text("c.csv", text);
    assert_eq!((report.bad, report.lines), (0, 3));
    assert_eq!(log.frames[0].stream.application.as_deref(), Some("game.exe"));
    assert_eq!(log.info["GameName"], "A game");
    assert_eq!(log.info.len(), 3);
}

#[test]
fn the_linux_layer_of_capframex_tells_no_latency() {
    // capframex-linux repeats the frame time in MsUntilDisplayed.
    let text = "MsBetweenPresents,MsUntilRenderComplete,MsUntilDisplayed,MsActualPresent\n\
                16.66,16.66,16.66,0.00\n16.70,16.70,16.70,0.00\n";
    let (log, _) = read_text("game.csv", text);
    let kept = Kept::rows_of(&log, 0);
    assert_eq!(kept.floats("frames", "latency_ms"), [None, None]);
    assert_eq!(kept.floats("frames", "frametime_ms"), [Some(16.66), Some(16.7)]);
    assert!(!kept.texts("frames", "attrs")[0].contains("MsUntilDisplayed"));
}

#[test]
fn streams_without_a_clock_are_not_laid_beside_each_other() {
    let text = "Application,ProcessID,SwapChainAddress,MsBetweenPresents\na,1,0x1,5\nb,2,0x1,5\n";
    let why = refused(FrameLogFormat::PresentMon, "p.csv", text);
    assert!(why.contains("a 1 0x1 and b 2 0x1"), "{why}");
}
