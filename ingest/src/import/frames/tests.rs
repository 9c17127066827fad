use std::io::Write;
use std::path::PathBuf;

use bl_store::clock::realtime_ns;

use super::*;
use crate::import::{FollowMangoHud, follow_mangohud};
use crate::source::Stop;
use crate::source::kept::Kept;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn read(name: &str, text: &str) -> (FrameLog, ImportReport) {
    let folder = Folder::new();
    read_frame_log(&folder.write(name, text), &ReadOptions::default()).unwrap()
}

fn error(name: &str, text: &str) -> String {
    let folder = Folder::new();
    read_frame_log(&folder.write(name, text), &ReadOptions::default()).unwrap_err().to_string()
}

fn at(log: &FrameLog) -> Vec<i64> {
    log.frames.iter().map(|f| f.at_ns).collect()
}

const NEW_MANGOHUD: &str = "\
os,cpu,gpu,ram,kernel,driver,cpuscheduler
Linux,A CPU,A GPU,1000,6.1,,performance
fps,frametime,cpu_load,cpu_power,gpu_load,gpu_power,elapsed
100,10,5.5,20,90,200,1000000
50,20,5.5,20,90,,21000000
";

#[test]
fn mangohud_of_both_generations() {
    let (log, report) = read("a game_2025-11-11_14-30-00.csv", NEW_MANGOHUD);
    assert_eq!((log.format, report.bad), (FrameLogFormat::MangoHud, 0));
    assert_eq!(at(&log), [0, 20_000_000]);
    assert_eq!(log.frames[0].frametime_ms, Some(10.0));
    assert_eq!(log.frames[0].stream.application.as_deref(), Some("a game"));
    assert_eq!(
        log.frames[1].attrs.as_deref(),
        Some(r#"{"cpu_load":5.5,"cpu_power":20,"fps":50,"gpu_load":90}"#)
    );
    assert_eq!(log.coverage(), Some(1.0));

    let old = "v1\n0.6.8\n---SYSTEM INFO---\nos,cpu,gpu,ram,kernel,driver,cpuscheduler\nx,x,x,x,x,x,x\n\
        ---FRAME METRICS---\nfps,frametime,cpu_load,elapsed\n59.9988,16667,3,500\n119.99,8334,3,8334500\n";
    let (log, _) = read("old.csv", old);
    assert_eq!(at(&log), [0, 8_334_000]);
    assert_eq!(log.frames[0].frametime_ms, Some(16.667));
    assert_eq!(log.frames[1].frametime_ms, Some(8.334));
    assert_eq!(log.frames[0].stream.application, None);

    // Frame generation triples fps.
    let (log, _) = read("fg.csv", "fps,frametime\n300,10\n300,10\n");
    assert_eq!((at(&log), log.frames[1].frametime_ms), (vec![0, 10_000_000], Some(10.0)));
}

#[test]
fn a_mangohud_log_of_samples_is_told_apart() {
    let samples = "fps,frametime,elapsed\n100,10,0\n100,10,100000000\n100,10,200000000\n";
    let (log, _) = read("s.csv", samples);
    assert!(log.coverage().unwrap() < 0.2);
}

#[test]
fn mangohud_that_is_damaged() {
    let (log, report) = read("a.csv", &format!("{NEW_MANGOHUD}33.3,thirty,1,1,1,1,4\n33.3,30"));
    assert_eq!(log.frames.len(), 2);
    assert_eq!(report.bad, 2);
    assert_eq!((report.bad_lines[0].line, report.bad_lines[1].line), (6, 7));
    assert!(report.bad_lines[0].why.contains("'thirty' is not a number"));
    let text = error("a_summary.csv", "0.1% Min FPS,1% Min FPS\n1,2\n");
    assert!(text.contains("a_summary.csv:1: neither"), "{text}");
    let folder = Folder::new();
    let summary = folder.write("a_summary.csv", "0.1% Min FPS,1% Min FPS\n1,2\n");
    let options = ReadOptions { format: Some(FrameLogFormat::MangoHud), ..ReadOptions::default() };
    let text = read_frame_log(&summary, &options).unwrap_err().to_string();
    assert!(text.contains("summary of a MangoHud log"), "{text}");
    assert!(error("a.csv", "fps,frametime\n").contains("no frame"));
}

#[test]
fn a_growing_mangohud_log_is_followed() {
    let folder = Folder::new();
    let path = folder.write("game_2025-11-11_14-30-00.csv", "");
    let mut follow = FollowMangoHud::open(&path).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    let mut frames = Vec::new();
    for piece in NEW_MANGOHUD.as_bytes().chunks(7) {
        file.write_all(piece).unwrap();
        frames.extend(follow.frames().unwrap());
    }
    let (whole, _) = read("game_2025-11-11_14-30-00.csv", NEW_MANGOHUD);
    assert_eq!(frames, whole.frames);
    assert_eq!(follow.log_name(), whole.log);
    assert_eq!(follow.frames().unwrap(), []);
    file.write_all(b"bad,line\n20,50,5,5,5,5,71000000\n").unwrap();
    assert_eq!(follow.frames().unwrap()[0].at_ns, 70_000_000);
    assert_eq!((follow.report.bad, follow.report.bad_lines[0].line), (1, 6));
    file.set_len(3).unwrap();
    assert!(follow.frames().unwrap_err().to_string().contains("shorter"));
}

#[test]
fn what_cannot_be_followed_is_told_and_what_was_there_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    // To open a pipe would wait for who writes it.
    let pipe = folder.0.path().join("pipe.csv");
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let why = FollowMangoHud::open(&pipe).unwrap_err().to_string();
    assert!(why.contains("pipe.csv") && why.contains("only files are followed"), "{why}");

    // Root reads whatever it likes, so this is asked by a thread whose file-system user is nobody.
    let path = folder.write("game_2025-11-11_14-30-00.csv", NEW_MANGOHUD);
    std::fs::set_permissions(folder.0.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o0)).unwrap();
    let open_as_nobody = || {
        // SAFETY: it takes a number, and changes nothing but this thread, which ends with the test.
        unsafe { libc::setfsuid(65_534) };
        FollowMangoHud::open(&path).unwrap_err().to_string()
    };
    let why = std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, open_as_nobody).unwrap().join().unwrap()
    });
    assert!(why.contains("14-30-00.csv") && why.contains("Permission denied"), "{why}");

    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let mut follow = FollowMangoHud::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(!follow.frames().unwrap().is_empty());
    let why = follow.frames().unwrap_err().to_string();
    assert!(why.contains("has been removed"), "{why}");
}

#[test]
fn followed_frames_become_rows_and_the_newest_is_from_now() {
    let folder = Folder::new();
    let path = folder.write("a.csv", NEW_MANGOHUD);
    let stop = Stop::new().unwrap();
    stop.stop();
    let kept = Kept::default();
    let before = realtime_ns();
    let mut report = ImportReport::default();
    follow_mangohud(&path, None, &kept, &stop, &mut report).unwrap();
    assert_eq!((report.rows.get("frames"), report.lines, report.bad), (Some(&2), 5, 0));
    let stamps = kept.stamps("frames");
    assert!((before - 1_000_000_000..=realtime_ns()).contains(&stamps[1]));
    assert_eq!(stamps[1] - stamps[0], 20_000_000);
    follow_mangohud(&path, Some(7), &kept, &stop, &mut report).unwrap();
    assert_eq!(kept.stamps("frames")[2..], [7, 20_000_007]);
}

#[test]
fn presentmon_1() {
    let (log, report) = read(
        "p.csv",
        "Application,ProcessID,SwapChainAddress,Runtime,SyncInterval,PresentFlags,Dropped,TimeInSeconds,msInPresentAPI,msBetweenPresents,AllowsTearing,PresentMode,msUntilRenderComplete,msUntilDisplayed,msBetweenDisplayChange\r\n\
         game.exe,12,0xAB,DXGI,0,0,0,1.5,0.25,16.5,0,Hardware: Independent Flip,5.5,20.5,16.625\r\n\
         game.exe,12,0xAB,DXGI,0,0,1,1.51,0.25,10,0,Hardware: Independent Flip,0,0,0\r\n\
         game.exe,12,0xAB,DXGI,0,0,maybe,1.52,0.25,10,0,Hardware: Independent Flip,0,0,0\r\n",
    );
    assert_eq!((log.format, log.frames.len(), report.bad), (FrameLogFormat::PresentMon, 2, 1));
    assert_eq!(report.bad_lines[0].line, 4);
    assert_eq!(at(&log), [0, 10_000_000]);
    let shown = &log.frames[0];
    assert_eq!(shown.stream.application.as_deref(), Some("game.exe"));
    assert_eq!((shown.frametime_ms, shown.dropped), (Some(16.5), Some(false)));
    assert_eq!((shown.latency_ms, shown.display_ms), (Some(20.5), Some(16.625)));
    assert!(
        shown.attrs.as_ref().unwrap().contains(r#""PresentMode":"Hardware: Independent Flip""#)
    );
    let dropped = &log.frames[1];
    assert_eq!((dropped.dropped, dropped.latency_ms, dropped.display_ms), (Some(true), None, None));
    assert_eq!(dropped.frametime_ms, Some(10.0));
}

#[test]
fn presentmon_2() {
    let header = "Application,ProcessID,SwapChainAddress,PresentRuntime,SyncInterval,PresentFlags,AllowsTearing,PresentMode,CPUStartTime,FrameTime,CPUBusy,CPUWait,GPULatency,GPUTime,GPUBusy,GPUWait,DisplayLatency,DisplayedTime,ClickToPhotonLatency";
    let row = |start: &str, shown: &str| {
        format!("g.exe,1,0xA,DXGI,0,0,0,Composed: Flip,{start},10,8,2,1,6,5,1,25,{shown},NA")
    };
    // Milliseconds, and the seconds of the first 2.x.
    for (first, second) in [("100", "110"), ("0.1", "0.11")] {
        let (log, report) =
            read("p.csv", &format!("{header}\n{}\n{}\n", row(first, "10"), row(second, "NA")));
        assert_eq!(report.bad_lines, []);
        assert_eq!(at(&log), [0, 10_000_000]);
        let frame = &log.frames[0];
        assert_eq!((frame.frametime_ms, frame.cpu_busy_ms), (Some(10.0), Some(8.0)));
        assert_eq!((frame.gpu_busy_ms, frame.latency_ms), (Some(5.0), None));
        assert_eq!(frame.display_latency_ms, Some(25.0));
        assert_eq!((frame.display_ms, frame.dropped), (Some(10.0), Some(false)));
        let dropped = &log.frames[1];
        assert_eq!((dropped.dropped, dropped.display_ms), (Some(true), None));
    }
}

#[test]
fn presentmon_2_5() {
    let (log, _) = read(
        "p.csv",
        "Application,ProcessID,SwapChainAddress,PresentRuntime,SyncInterval,PresentFlags,AllowsTearing,PresentMode,TimeInMs,MsBetweenSimulationStart,MsBetweenPresents,MsBetweenDisplayChange,MsInPresentAPI,MsRenderPresentLatency,MsUntilDisplayed,CPUStartTimeInMs,MsBetweenAppStart,MsCPUBusy,MsCPUWait,MsGPULatency,MsGPUTime,MsGPUBusy,MsGPUWait\n\
         \"g, x.exe\",1,0xA,DXGI,0,0,0,Flip,45.5,NA,16.5,NA,0.05,0.5,16.25,29,16.75,16.5,0.05,1,2,1.5,0.5\n\
         \"g, x.exe\",1,0xA,DXGI,0,0,0,Flip,62,NA,16.5,16.5,0.05,0.5,NA,45.75,16.75,16.25,0.05,1,2,1.5,0.5\n",
    );
    assert_eq!(at(&log), [0, 16_500_000]);
    let frame = &log.frames[0];
    assert_eq!(frame.stream.application.as_deref(), Some("g, x.exe"));
    assert_eq!((frame.dropped, frame.display_ms), (Some(false), None));
    assert_eq!((frame.frametime_ms, frame.latency_ms), (Some(16.5), Some(16.25)));
    assert_eq!(log.frames[1].dropped, Some(true));
}

#[test]
fn columns_of_presentmon_without_a_time_are_summed_up() {
    let (log, _) = read(
        "CapFrameX-layer.csv",
        "//GameName=x\nMsBetweenPresents,MsUntilRenderComplete,MsUntilDisplayed,MsActualPresent\n5,1,2,3\n6,1,2,3\n7.5,1,2,3\n",
    );
    assert_eq!(at(&log), [0, 6_000_000, 13_500_000]);
    assert_eq!(log.frames[0].stream.application.as_deref(), Some("x"));
    // The layer repeats the frame time there.
    assert_eq!((log.frames[0].latency_ms, log.frames[0].dropped), (None, None));
}

#[test]
fn capframex() {
    let json = r#"{"Hash":"x","Info":{"ProcessName":"game.exe","GameName":"A game","CreationDate":"1970-01-01T00:00:07Z"},
        "Runs":[{"Hash":"y","CaptureData":{"TimeInSeconds":[0.5,0.51],"MsBetweenPresents":[16.5,10.0],
        "MsBetweenDisplayChange":[16.0,0.0],"MsUntilDisplayed":[20.0,0.0],"GpuActive":[5.0,"NaN"],"CpuActive":[],
        "Dropped":[false,true],"PresentMode":[3,3]}},
        {"CaptureData":{"TimeInSeconds":[1.0],"MsBetweenPresents":[7.0]}}]}"#;
    let (log, report) = read("CapFrameX-game.json", json);
    assert_eq!((log.format, report.bad), (FrameLogFormat::CapFrameX, 0));
    assert_eq!(at(&log), [0, 10_000_000, 500_000_000]);
    // Saved then, after the 0.5 s of the capture.
    assert_eq!(
        log.began.map(|began| (began.ns, began.err_ns)),
        Some((6_500_000_000, 3_000_000_000))
    );
    let [shown, dropped, second_run] = &log.frames[..] else { panic!("three frames") };
    assert_eq!(shown.stream.application.as_deref(), Some("game.exe"));
    assert_eq!((shown.frametime_ms, shown.display_ms), (Some(16.5), Some(16.0)));
    assert_eq!((shown.latency_ms, shown.gpu_busy_ms), (Some(20.0), Some(5.0)));
    assert_eq!(shown.attrs.as_deref(), Some(r#"{"PresentMode":3}"#));
    assert_eq!((dropped.dropped, dropped.display_ms), (Some(true), None));
    assert_eq!((dropped.latency_ms, dropped.gpu_busy_ms), (None, None));
    assert_eq!((second_run.frametime_ms, second_run.dropped), (Some(7.0), None));
    assert_eq!(second_run.attrs.as_deref(), Some(r#"{"Run":1}"#));

    let text = error("a.json", &json.replace("[16.5,10.0]", "[16.5]"));
    assert!(text.contains("MsBetweenPresents has 1 values where TimeInSeconds has 2"), "{text}");
    assert!(error("a.json", "{\"Runs\":\n7}").contains("a.json:2: not a record"));
    assert!(error("a.json", "{\"Runs\":[]}").contains("no frame"));
}

#[test]
fn frames_become_rows() {
    let (log, mut report) = read("game_2025-11-11_14-30-00.csv", NEW_MANGOHUD);
    let kept = Kept::default();
    import_frames(&log, 1_000_000_000, &kept, &mut report).unwrap();
    assert_eq!(report.rows.get("frames"), Some(&2));
    assert_eq!(kept.stamps("frames"), [1_000_000_000, 1_020_000_000]);
    assert_eq!(kept.texts("frames", "source"), ["mangohud"; 2]);
    assert_eq!(kept.texts("frames", "application"), ["game"; 2]);
    assert_eq!(kept.texts("frames", "log"), ["game_2025-11-11_14-30-00.csv"; 2]);
    assert_eq!(kept.numbers("frames", "frame"), [Some(0), Some(1)]);
    assert_eq!(kept.floats("frames", "frametime_ms"), [Some(10.0), Some(20.0)]);
    assert_eq!(kept.floats("frames", "latency_ms"), [None; 2]);
}

#[test]
fn frames_are_stage_events_too() {
    let frame = |at_ms: i64, frametime_ms, dropped| Frame {
        at_ns: at_ms * 1_000_000,
        frametime_ms,
        dropped,
        ..Frame::default()
    };
    let log = FrameLog {
        format: FrameLogFormat::PresentMon,
        log: "a.csv".into(),
        frames: vec![
            frame(0, None, Some(false)),
            frame(10, Some(10.0), Some(true)),
            frame(30, Some(20.0), None),
        ],
        content: Content { sha256: String::new(), bytes: 0 },
        length_ns: 30_000_000,
        began: None,
        info: Default::default(),
        readings: Vec::new(),
    };
    let kept = Kept::default();
    import_frames(&log, 1_000_000_000, &kept, &mut ImportReport::default()).unwrap();
    let stages = kept.texts("pipeline", "stage");
    assert_eq!(stages, ["presented", "frame_start", "frame_start", "presented"]);
    let stamps = kept.stamps("pipeline");
    assert_eq!(stamps, [1_000_000_000, 1_000_000_000, 1_010_000_000, 1_030_000_000]);
    assert_eq!(kept.numbers("pipeline", "frame"), [Some(0), Some(1), Some(2), Some(2)]);
    assert_eq!(kept.texts("pipeline", "pipeline"), ["a.csv"; 4]);
    assert_eq!(kept.texts("pipeline", "source"), ["presentmon"; 4]);
}

#[test]
fn what_is_no_log_is_refused_by_name() {
    let text = error("notes.txt", "hello\nworld\n");
    assert!(text.contains("notes.txt:1: neither a MangoHud nor a PresentMon header"), "{text}");
}
