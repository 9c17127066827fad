use std::io::Write;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, Int32Type};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::source::kept::{ANCHOR, Kept};

/// Imports files of these contents.
fn import(texts: &[&str]) -> (Kept, ImportReport) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(i, text): (usize, &&str)| {
        let path = folder.path().join(format!("{i}.jsonl"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let files: Vec<_> = texts.iter().enumerate().map(write).collect();
    let kept = Kept::default();
    let report = import_jsonl(&files, &kept, &mut |_| ()).unwrap();
    (kept, report)
}

#[test]
fn the_short_form_of_every_source() {
    let (kept, report) = import(&[
        r#"{"ts_ns": 1000000000, "source":"benchlab.usb","kv":{"p_sys": 240.0}}"#,
        concat!(
            r#"{"ts_ns":2000000000,"source":"gpu.nvml","kv":{"gpu_util":10,"mem_util":2.5,"gpu_mem_used":16000000000,"power_w":200.0,"temp_c":55.0}}"#,
            "\n\n",
            r#"{"ts_ns":3000000000,"source":"cpu.psutil","kv":{"cpu_util":12.5,"mem_percent":40.0}}"#,
        ),
        r#"{"ts_ns":4000000000,"source":"pipeline","kv":{"stage":"ingress","frame":7,"qp":31}}"#,
    ]);
    assert_eq!(report.bad_lines, []);
    assert_eq!(report.unknown_keys, []);
    assert_eq!((report.files, report.lines, report.total_rows()), (3, 4, 5));
    assert_eq!(kept.stamps("benchlab"), [ANCHOR.ts(1_000_000_000)]);
    assert_eq!(kept.texts("benchlab", "source"), ["benchlab.usb"]);
    assert_eq!(kept.decimals("benchlab", "sys_w"), [Some(240_000)]);
    assert_eq!(kept.decimals("benchlab", "cpu_w"), [None]);
    assert_eq!(kept.texts("gpu", "vendor"), ["nvidia"]);
    assert_eq!(kept.numbers("gpu", "mem_used_bytes"), [Some(16_000_000_000)]);
    assert_eq!(kept.floats("gpu", "power_w"), [Some(200.0)]);
    assert_eq!(kept.texts("cpu", "cpu"), ["all"]);
    let busy = kept.each("cpu", |b, i| {
        b.column_by_name("busy_pct").unwrap().as_primitive::<Float32Type>().value(i)
    });
    assert_eq!(busy, [12.5]);
    assert_eq!(kept.stamps("memory"), [ANCHOR.ts(3_000_000_000)]);
    assert_eq!(kept.texts("pipeline", "stage"), ["ingress"]);
    assert_eq!(kept.numbers("pipeline", "frame"), [Some(7)]);
    assert_eq!(kept.texts("pipeline", "attrs"), [r#"{"qp":31}"#]);
}

/// A line in the long form; `watts` of each of the first rails.
fn long_form(watts: &[&str]) -> String {
    let rails: Vec<_> = watts
        .iter()
        .enumerate()
        .map(|(i, w)| format!(r#"{{"rail":{i},"voltage":12.{i},"current":2.5,"power":{w}}}"#))
        .collect();
    let kv = format!(
        r#"{{"voltages":[12.001,11.5],"power":[{}],"fans":[{{"fan":0,"enabled":true,"duty":255,"rpm":1500}},{{"fan":8,"enabled":false,"duty":128,"rpm":0}}],"temps":{{"chip":45.3,"ambient":25.0,"ext4":52.5,"vrm":60.0}},"humidity":45.55,"vdd":3.3,"vref":1.25}}"#,
        rails.join(",")
    );
    format!(
        r#"{{"ts_ns":5,"source":"benchlab.usb","kv":{kv},"device_info":{{"uid":"0123456789ABCDEF01234567"}},"calibration":{{"status":"valid"}}}}"#
    )
}

#[test]
fn the_long_form() {
    let all = ["1.5", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0", "8.0", "9.0", "10.0", "11.125"];
    let (kept, report) = import(&[&long_form(&all)]);
    assert_eq!(report.bad_lines, []);
    let one = |column: &str| kept.decimals("benchlab", column)[0];
    assert_eq!((one("vin0_v"), one("vin1_v"), one("vin2_v")), (Some(12_001), Some(11_500), None));
    assert_eq!(
        (one("atx3v_v"), one("atx3v_a"), one("atx3v_w")),
        (Some(12_200), Some(2_500), Some(3_000))
    );
    assert_eq!(
        (one("cpu_w"), one("mb_w"), one("gpu_w")),
        (Some(3_500), Some(18_000), Some(45_125))
    );
    assert_eq!(one("sys_w"), Some(66_625));
    assert_eq!((one("chip_c"), one("ts4_c"), one("ts1_c")), (Some(453), Some(525), None));
    assert_eq!((one("vdd_v"), one("vref_v")), (Some(3_300), Some(1_250)));
    assert_eq!(one("humidity_pct"), Some(456), "45.55 is rounded to even");
    assert_eq!(kept.texts("benchlab", "device_uid"), ["0123456789ABCDEF01234567"]);
    let duty = |column: &str| {
        kept.each("benchlab", |b, i| {
            b.column_by_name(column).unwrap().as_primitive::<Int16Type>().value(i)
        })[0]
    };
    assert_eq!((duty("fan1_duty_pct"), duty("fan9_duty_pct")), (100, 50));
    let rpm = kept.each("benchlab", |b, i| {
        let rpm = |name| b.column_by_name(name).unwrap().as_primitive::<Int32Type>().clone();
        (rpm("fan1_rpm").value(i), rpm("fan9_rpm").value(i), rpm("fan2_rpm").is_null(i))
    });
    assert_eq!(rpm, [(1500, 0, true)]);
    // 45.55 and the duty of 128/255.
    assert_eq!(report.rounded, 2);
    let unknown: Vec<_> = report.unknown_keys.iter().map(|u| u.key.as_str()).collect();
    assert_eq!(unknown, ["temps.vrm", "calibration"]);
}

#[test]
fn a_sum_without_all_its_rails_is_missing() {
    let (kept, _) = import(&[&long_form(&["1.5", "2.0", "null"])]);
    assert_eq!(kept.decimals("benchlab", "cpu_w"), [Some(3_500)]);
    assert_eq!(kept.decimals("benchlab", "mb_w"), [None]);
    assert_eq!(kept.decimals("benchlab", "sys_w"), [None]);
}

#[test]
fn other_shapes_of_the_long_form() {
    let (kept, report) = import(&[
        r#"{"ts_ns":1,"source":"benchlab.usb","kv":{"voltages":[12001,5002],"power":[{"v":12.0,"a":1.0,"w":12.0}],"chipTemp":40.5}}
{"ts_ns":2,"source":"benchlab.usb","kv":{"voltages":[{"channel":3,"millivolts":3300,"volts":3.3}],"power":[{"channel":2,"voltage":3.3,"current":1.0,"power":3.3}]}}"#,
    ]);
    assert_eq!(report.bad_lines, []);
    assert_eq!(kept.decimals("benchlab", "vin0_v"), [Some(12_001), None]);
    assert_eq!(kept.decimals("benchlab", "vin3_v"), [None, Some(3_300)]);
    assert_eq!(kept.decimals("benchlab", "eps1_w"), [Some(12_000), None]);
    assert_eq!(kept.decimals("benchlab", "atx3v_w"), [None, Some(3_300)]);
    assert_eq!(kept.decimals("benchlab", "chip_c"), [Some(405), None]);
}

#[test]
fn made_up_readings_are_marked_where_the_line_says_so() {
    let line = long_form(&["1.0"]).replace("0123456789ABCDEF01234567", "simulated");
    let (kept, _) = import(&[&line]);
    assert_eq!(kept.texts("benchlab", "source"), ["sim.benchlab.usb"]);
    assert_eq!(kept.texts("benchlab", "device_uid"), ["-"]);
}

#[test]
fn bad_lines_are_all_counted_and_the_first_shown() {
    let good = r#"{"ts_ns":1,"source":"benchlab.usb","kv":{"p_sys":1.0,"v_sys":12.0}}"#;
    let mut text = format!("{good}\nnot json\n{good}\n[]\n");
    text += "{\"ts_ns\":1,\"source\":\"benchlab.usb\",\"kv\":{\"p_sys\":\"high\"}}\n";
    text += "{\"ts_ns\":1,\"source\":\"metric.latency\",\"kv\":{}}\n";
    text += "{\"ts_ns\":1.5,\"source\":\"pipeline\",\"kv\":{\"stage\":\"x\"}}\n";
    text += "{\"ts_ns\":1,\"source\":\"pipeline\",\"kv\":{}}\n";
    text += "{\"ts_ns\":1,\"source\":\"gpu.nvml\",\"kv\":{}}\n";
    text += &"{\"source\":\"pipeline\",\"kv\":{}}\n".repeat(30);
    let (kept, report) = import(&[&text]);
    assert_eq!((report.lines, report.bad, report.empty), (39, 36, 1));
    assert_eq!(kept.decimals("benchlab", "sys_w"), [Some(1_000); 2]);
    assert!(kept.stamps("gpu").is_empty());
    assert_eq!(report.bad_lines.len(), 20);
    let numbers: Vec<_> = report.bad_lines.iter().map(|b| b.line).take(7).collect();
    assert_eq!(numbers, [2, 4, 5, 6, 7, 8, 10]);
    let whys: Vec<_> = report.bad_lines.iter().map(|b| b.why.as_str()).collect();
    assert!(whys[2].contains("p_sys is not a number"), "{}", whys[2]);
    assert!(whys[3].contains("metric.latency"), "{}", whys[3]);
    let unknown = &report.unknown_keys[..];
    assert_eq!((unknown.len(), unknown[0].key.as_str(), unknown[0].count), (1, "v_sys", 2));
}

#[test]
fn compressed_files_are_read_and_cut_off_ones_reported() {
    let line = "{\"ts_ns\":1,\"source\":\"pipeline\",\"kv\":{\"stage\":\"x\"}}\n";
    let lines: String =
        (0..40_000).map(|i| line.replace('x', &format!("s{}", i * 7919 % 40_009))).collect();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(lines.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.jsonl");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let kept = Kept::default();
        let report = import_jsonl(std::slice::from_ref(&path), &kept, &mut |_| ()).unwrap();
        assert_eq!(report.total_rows(), kept.stamps("pipeline").len() as u64);
        report
    };
    let whole = read(&gz);
    assert_eq!((whole.total_rows(), whole.bad), (40_000, 0));
    let cut = read(&gz[..gz.len() / 2]);
    assert!((1..40_000).contains(&cut.total_rows()));
    assert!(cut.bad_lines[0].why.contains("cannot read on"), "{:?}", cut.bad_lines);
    let missing = import_jsonl(&[folder.path().join("none")], &Kept::default(), &mut |_| ());
    assert!(missing.unwrap_err().to_string().contains("none: cannot read"));
}

/// Any JSON, with keys that mean something.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-50.0..300.0f64).prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "p_sys",
        "power",
        "fans",
        "temps",
        "voltages",
        "rail",
        "channel",
        "fan",
        "duty",
        "rpm",
        "v",
        "w",
        "chip",
        "stage",
        "frame",
        "attrs",
        "gpu_util",
        "gpu_mem_used",
        "cpu_util",
        "volts",
        "other",
    ]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let object = prop::collection::btree_map(key.clone(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|o| json!(o)),
        ]
    })
}

proptest! {
    #[test]
    fn every_line_is_accounted_for(
        lines in prop::collection::vec(
            (0i64.., prop::sample::select(vec!["benchlab.usb", "gpu.nvml", "pipeline", "x"]), json_value()),
            0..5,
        ),
    ) {
        let texts = lines.iter().map(|(ts, source, kv)| json!({"ts_ns": ts, "source": source, "kv": kv}).to_string());
        let text = texts.collect::<Vec<_>>().join("\n");
        let (kept, report) = import(&[&text]);
        prop_assert_eq!(report.lines, lines.len() as u64);
        prop_assert_eq!(report.lines, report.total_rows() + report.bad + report.empty);
        let kept: usize = ["benchlab", "gpu", "pipeline"].iter().map(|t| kept.stamps(t).len()).sum();
        prop_assert_eq!(report.total_rows(), kept as u64);
    }
}
