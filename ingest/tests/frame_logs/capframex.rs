//! Records of CapFrameX. The names are those of its `SessionRun`, `SessionSensorData2` and `SessionInfo`.

use bl_ingest::import::FrameLogFormat;

use super::{Kept, read_text, refused};

/// A capture of 0.6 s by a Windows machine with a BENCHLAB, saved at 12:00:10 UTC.
const RECORD: &str = r#"{"Hash":"x","Info":{"AppVersion":"1.8.4.6","Id":"8f0","ProcessName":"game.exe","GameName":"A game",
    "CreationDate":"2026-01-31T12:00:10Z","Processor":"A CPU","GPU":"A card","Motherboard":"A board","Comment":"",
    "SystemRam":"32 GB DDR5"},
  "Runs":[{"Hash":"y","PresentMonRuntime":"DXGI","SampleTime":100,
    "PmdGpuPower":[200.5,201.25,202.0625],"PmdCpuPower":[80.0,"NaN",82.0],"PmdSystemPower":null,
    "CaptureData":{"TimeInSeconds":[0.0,0.2,0.6],"MsBetweenPresents":[16.5,200.0,400.0],
      "MsBetweenDisplayChange":[16.5,200.0,400.0],"MsUntilDisplayed":[0.0,0.0,0.0],"MsInPresentAPI":[0.25,0.5,0.75],
      "CpuActive":[1.0,2.0,3.0],"GpuActive":[0,0,0],"AnimationError":["NaN",0.5,-0.5],"PresentMode":[3,3,3],
      "QPCTime":[0.0,0.0,0.0],"Dropped":[false,true,false]},
    "SensorData2":{
      "MeasureTime":{"Name":"MeasureTime","Type":"Time","Values":[0.0,0.25]},
      "BetweenMeasureTime":{"Name":"BetweenMeasureTime","Type":"Time","Values":[0.0,0.25]},
      "/intelcpu/0/power/0":{"Name":"CPU Package","Type":"Power","StableIdentifier":"/intelcpu/0/power/0","Values":[80.5,"NaN"]},
      "/gpu-nvidia/0/clock/0":{"Name":"GPU Core","Type":"Clock","StableIdentifier":"/gpu-nvidia/0/clock/0","Values":[2500.0,2510.0]}}}]}"#;

#[test]
fn the_first_frame_was_a_capture_before_it_was_saved() {
    let (log, report) = read_text("cx.json", RECORD);
    assert_eq!(report.bad, 0, "{report}");
    // `date -u -d 2026-01-31T12:00:10Z +%s`, less 0.6 s.
    let began = log.began.unwrap();
    assert_eq!(began.ns, 1_769_860_810_000_000_000 - 600_000_000);
    // CapFrameX waits 2.5 s for late frames before it saves.
    assert!(began.err_ns >= 2_500_000_000 && began.from.contains("CreationDate"), "{began:?}");
    let never = RECORD.replace("2026-01-31T12:00:10Z", "0001-01-01T00:00:00");
    assert_eq!(read_text("cx.json", &never).0.began, None);
}

#[test]
fn what_a_record_does_not_tell_is_null() {
    let (log, _) = read_text("cx.json", RECORD);
    let kept = Kept::rows_of(&log, 0);
    // All zeros, or the frame times again, stand for want of values.
    for unknown in ["latency_ms", "display_ms", "gpu_busy_ms", "display_latency_ms"] {
        assert_eq!(kept.floats("frames", unknown), [None; 3], "{unknown}");
    }
    assert_eq!(kept.floats("frames", "cpu_busy_ms"), [Some(1.0), Some(2.0), Some(3.0)]);
    assert_eq!(kept.floats("frames", "animation_error_ms"), [None, Some(0.5), Some(-0.5)]);
    assert_eq!(kept.texts("frames", "attrs")[0], r#"{"MsInPresentAPI":0.25,"PresentMode":3}"#);
    assert_eq!(kept.texts("frames", "application"), ["game.exe"; 3]);
}

#[test]
fn power_of_a_meter_is_rows_of_benchlab() {
    let (log, _) = read_text("cx.json", RECORD);
    let kept = Kept::rows_of(&log, 1_000_000_000);
    assert_eq!(kept.stamps("benchlab"), [1_000_000_000, 1_100_000_000, 1_200_000_000]);
    assert_eq!(kept.texts("benchlab", "source"), ["capframex.pmd"; 3]);
    assert_eq!(kept.texts("benchlab", "device_uid"), ["cx.json"; 3]);
    assert_eq!(kept.milli("benchlab", "gpu_w"), [Some(200_500), Some(201_250), Some(202_062)]);
    assert_eq!(kept.milli("benchlab", "cpu_w"), [Some(80_000), None, Some(82_000)]);
    assert_eq!(kept.milli("benchlab", "sys_w"), [None; 3]);
}

#[test]
fn sensors_are_rows_of_hwmon() {
    let (log, _) = read_text("cx.json", RECORD);
    let kept = Kept::rows_of(&log, 0);
    let each = |column| kept.texts("hwmon", column);
    let rows: Vec<_> = kept
        .stamps("hwmon")
        .into_iter()
        .zip(each("label").into_iter().zip(each("unit")))
        .zip(kept.floats("hwmon", "value"))
        .map(|((ts, (label, unit)), value)| format!("{ts} {label} {} {unit}", value.unwrap()))
        .collect();
    assert_eq!(
        rows,
        ["0 GPU Core 2500 MHz", "0 CPU Package 80.5 W", "250000000 GPU Core 2510 MHz"]
    );
    assert_eq!(each("source"), ["capframex"; 3]);
    assert_eq!(each("sensor")[1], "Power /intelcpu/0/power/0");
}

#[test]
fn hardware_and_game_are_kept_as_the_record_names_them() {
    let (log, _) = read_text("cx.json", RECORD);
    for (key, value) in [("Processor", "A CPU"), ("GPU", "A card"), ("SystemRam", "32 GB DDR5")] {
        assert_eq!(log.info[key], value);
    }
    assert!(log.info.get("Comment").is_none(), "what is empty is not known");
}

#[test]
fn sensors_of_our_own_export_go_where_they_came_from() {
    let sensor = |id: &str, value: &str| {
        format!(
            r#","{id}":{{"Name":"n","Type":"Power","StableIdentifier":"{id}","Values":[{value}]}}"#
        )
    };
    let ids = [
        ("/gpu/GPU-1/power_w", "200.5"),
        ("/gpu/GPU-1/temp_c", "61"),
        ("/gpu/0/power_w", "7"),
        ("/cpu/all/busy_pct", "12.5"),
        ("/rapl/package-0/power_w", "80.25"),
        ("/hwmon/nct6798 SYS TIN|degC/value", "38.5"),
        ("/benchlab/0011AA/eps1_w", "40.125"),
        ("/benchlab/0011AA/sys_w", "301"),
    ];
    let sensors: String = ids.iter().map(|(id, value)| sensor(id, value)).collect();
    let json = format!(
        r#"{{"Runs":[{{"SampleTime":25,"PmdSystemPower":[301.0,302.0],"CaptureData":{{"TimeInSeconds":[0,0.03],
        "MsBetweenPresents":[16,30]}},"SensorData2":{{"MeasureTime":{{"Values":[0]}}{sensors}}}}}]}}"#
    );
    let (log, report) = read_text("cx.json", &json);
    assert_eq!(report.bad, 0, "{report}");
    let kept = Kept::rows_of(&log, 0);
    assert_eq!(kept.texts("gpu", "uuid"), ["GPU-1", "-"]);
    assert_eq!(kept.floats("gpu", "power_w"), [Some(200.5), Some(7.0)]);
    assert_eq!(kept.texts("cpu", "cpu"), ["all"]);
    assert_eq!(kept.texts("rapl", "domain"), ["package-0"]);
    assert_eq!(kept.texts("hwmon", "chip"), ["nct6798"]);
    assert_eq!(kept.texts("hwmon", "label"), ["SYS TIN"]);
    // The board is one, and a sample is one row.
    assert_eq!(kept.texts("benchlab", "device_uid"), ["0011AA"; 2]);
    assert_eq!(kept.milli("benchlab", "sys_w"), [Some(301_000), Some(302_000)]);
    assert_eq!(kept.milli("benchlab", "eps1_w"), [Some(40_125), None]);
}

#[test]
fn power_and_sensors_that_nothing_places_in_time_are_told() {
    let run = |rest: &str| {
        format!(
            r#"{{"Runs":[{{"CaptureData":{{"TimeInSeconds":[0],"MsBetweenPresents":[16]}},{rest}}}]}}"#
        )
    };
    for (rest, what) in [
        (r#""PmdCpuPower":[80]"#, "PmdCpuPower without SampleTime"),
        (r#""SampleTime":25,"PmdCpuPower":["much"]"#, "PmdCpuPower[0] is \"much\""),
        (r#""SensorData2":{"/a/b":{"Values":[1]}}"#, "SensorData2 has no MeasureTime"),
        (
            r#""SensorData2":{"MeasureTime":{"Values":[0,1]},"/a/b":{"Values":[1]}}"#,
            "SensorData2 /a/b has 1 values where MeasureTime has 2",
        ),
    ] {
        let (log, report) = read_text("cx.json", &run(rest));
        assert_eq!((log.frames.len(), report.bad), (1, 1), "{rest}");
        assert!(report.bad_lines[0].why.contains(what), "{report}");
    }
    let (_, report) = read_text("cx.json", &run(r#""SensorData":{"CpuUsage":[1]}"#));
    assert!(report.to_string().contains("no column for 'SensorData"), "{report}");
    let csv = "Application,MsBetweenPresents\ngame.exe,16\n";
    let why = refused(FrameLogFormat::CapFrameX, "cx.csv", csv);
    assert!(why.contains("bl import presentmon"), "{why}");
}
