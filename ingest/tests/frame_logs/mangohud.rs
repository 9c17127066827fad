//! MangoHud's generations (MangoHud, `src/logging.cpp`): what they write, and what damage does to it.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bl_ingest::import::{Content, FrameLogFormat};

use super::{file, read, read_text, refused};

const SYSTEM: &str =
    "os,cpu,gpu,ram,kernel,driver,cpuscheduler\nArch,A CPU,A GPU,32,6.1,,performance\n";

/// To 2022: integers of microseconds.
const AT_END: &str = "fps,frametime,cpu_load,gpu_load,cpu_temp,gpu_temp,gpu_core_clock,gpu_mem_clock,gpu_vram_used,\
                      gpu_power,ram_used,elapsed\n";

/// Since then: milliseconds.
const AT_ONCE: &str = "fps,frametime,cpu_load,cpu_power,gpu_load,cpu_temp,gpu_temp,gpu_core_clock,gpu_mem_clock,\
                       gpu_vram_used,gpu_power,ram_used,swap_used,process_rss,cpu_mhz,elapsed\n";

/// Ten frames of 20 ms; `first_fps` is what the first row says.
fn at_end(first_fps: &str) -> String {
    let row = |i: u64| {
        let fps = if i == 0 { first_fps } else { "50" };
        format!("{fps},20000,5,90,60,70,1800,7000,4.2,200,9.5,{}\n", 5_000_000 + i * 20_000_000)
    };
    format!("{SYSTEM}{AT_END}{}", (0..10).map(row).collect::<String>())
}

fn at_once(first_fps: &str) -> String {
    let row = |i: u64| {
        let fps = if i == 0 { first_fps } else { "50" };
        let elapsed = 5_000_000 + i * 20_000_000;
        format!("{fps},20.0163,5,30,90,60,70,1800,7000,4.2,200,9.5,0,0.5,4000,{elapsed}\n")
    };
    format!("{SYSTEM}{AT_ONCE}{}", (0..10).map(row).collect::<String>())
}

#[test]
fn the_unit_is_that_of_the_generation_whatever_the_first_row_says() {
    // In the first row `fps` is of a counter that has not begun: 0, or anything.
    for first_fps in ["50", "0", "0.05", "50000", "inf"] {
        let (log, report) = read_text("g_2021-02-03_04-05-06.csv", &at_end(first_fps));
        assert_eq!(report.bad, 0);
        assert!(log.frames.iter().all(|f| f.frametime_ms == Some(20.0)), "{first_fps}");
        let (log, _) = read_text("g_2024-02-03_04-05-06.csv", &at_once(first_fps));
        assert!(log.frames.iter().all(|f| f.frametime_ms == Some(20.0163)), "{first_fps}");
        assert_eq!((log.length_ns, log.info["cpu"].as_str()), (180_000_000, Some("A CPU")));
    }
}

#[test]
fn a_log_whose_header_and_elapsed_contradict_is_refused() {
    let text = at_once("50").replace("20.0163", "20016");
    let why = refused(FrameLogFormat::MangoHud, "g.csv", &text);
    assert!(why.contains("milliseconds by the header and in microseconds by elapsed"), "{why}");
}

#[test]
fn elapsed_that_no_log_has_is_refused() {
    for absurd in ["1e23", "-1", "NaN", "99999999999999999999", "3000000000000000"] {
        let text = at_once("50")
            + &format!("50,20,5,30,90,60,70,1800,7000,4.2,200,9.5,0,0.5,4000,{absurd}\n");
        let (log, report) = read_text("g.csv", &text);
        assert_eq!(
            (log.length_ns, report.bad, report.bad_lines[0].line),
            (180_000_000, 1, 14),
            "{absurd}"
        );
        assert!(report.bad_lines[0].why.contains("elapsed"), "{report}");
    }
    let (log, report) =
        read_text("g.csv", &(at_once("50") + "50,20,5,30,90,60,70,1,7,4,2,9,0,0,4,7000000\n"));
    assert_eq!((log.frames.len(), report.bad_lines[0].why.as_str()), (10, "elapsed goes back"));
}

fn set_modified(path: &Path, at: SystemTime) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(FileTimes::new().set_modified(at))
        .unwrap();
}

/// The instant at which clocks of this machine show a time, by the system's `date`.
fn local_ns(text: &str) -> i64 {
    let out = std::process::Command::new("date").args(["-d", text, "+%s"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse::<i64>().unwrap() * 1_000_000_000
}

#[test]
fn a_copied_log_is_of_the_time_in_its_name() {
    let named_ns = local_ns("2021-02-03 04:05:06");
    // Written and named when logging ended: the last frame was then.
    let (log, _) = read_text("g_2021-02-03_04-05-06.csv", &at_end("50"));
    let began = log.began.unwrap();
    assert_eq!((began.ns, began.err_ns), (named_ns - 180_000_000, 1_000_000_000));
    // Named when logging began: the first frame was `elapsed` later.
    let (log, _) = read_text("g_2021-02-03_04-05-06.csv", &at_once("50"));
    assert_eq!(log.began.map(|began| began.ns), Some(named_ns + 5_000_000));
    // No time in the name: nothing but the file's age tells.
    assert_eq!(read_text("g.csv", &at_once("50")).0.began, None);
}

#[test]
fn the_age_of_a_file_that_its_name_confirms_is_more_exact() {
    let (_folder, path) = file("g_2021-02-03_04-05-06.csv", &at_once("50"));
    let named_ns = local_ns("2021-02-03 04:05:06");
    let written_ns = named_ns + 642_000_000;
    set_modified(&path, UNIX_EPOCH + Duration::from_nanos(written_ns as u64));
    let began = read(&path).0.began.unwrap();
    assert_eq!(began.ns, written_ns - 180_000_000);
    assert!(began.err_ns < 1_000_000_000 && began.from.contains("confirms"), "{began:?}");
}

#[test]
fn a_log_of_2020_without_frame_times_is_told_apart() {
    let text = "os,cpu,gpu,ram,kernel,driver\nx,x,x,x,x,x\nfps,cpu_load,gpu_load,cpu_temp,gpu_temp,gpu_core_clock,\
                gpu_mem_clock,gpu_vram_used,ram_used,elapsed\n60,5,90,60,70,1800,7000,4,9,100000\n";
    let why = refused(FrameLogFormat::MangoHud, "g.csv", text);
    assert!(why.contains("g.csv:3: this log of 2020 has no frame times"), "{why}");
}

#[test]
fn content_is_known_again_under_any_name() {
    let ((_a, a), (_b, b)) = (file("a.csv", &at_once("50")), file("b.csv", &at_once("50")));
    assert_eq!(read(&a).0.content, read(&b).0.content);
    assert_eq!(read(&a).0.content, Content::of(&b).unwrap());
    let (_c, c) = file("a.csv", &at_once("49"));
    assert_ne!(read(&a).0.content, read(&c).0.content);
}
