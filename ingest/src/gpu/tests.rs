use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_array::{Array, RecordBatch};

use super::card::{Choice, GpuTable};
use super::drm::{DrmSource, Opened, Vendor, find, open_new};
use super::{NvidiaSource, amd, intel};
use crate::source::kept::*;
use crate::source::{Context, Faults, Source, SourceError, SourceState};

fn open(vendor: &Vendor, root: &Path, context: &Context) -> Vec<Opened> {
    let mut cards = Vec::new();
    let found = find(root, vendor.drivers);
    open_new(vendor, root, &Choice::default(), found, &mut cards, context);
    cards
}

fn sample(cards: &mut Vec<Opened>, context: &Context) -> RecordBatch {
    let (mut table, mut faults) = (GpuTable::new(), Faults::default());
    cards.retain_mut(|card| card.sample("gpu.test", &mut table, context, &mut faults));
    faults.tell_all(context);
    table.rows.finish()
}

fn card(batch: &RecordBatch, uuid: &str) -> RecordBatch {
    row(batch, "uuid", uuid)
}

/// Columns of the card itself that are not null.
fn known(row: &RecordBatch) -> Vec<String> {
    let schema = row.schema();
    let names = schema.fields().iter().map(|f| f.name().clone()).skip(6);
    names.filter(|name| row[name.as_str()].is_valid(0)).collect()
}

#[test]
fn amd_cards_of_a_workstation() {
    let (kept, context) = kept();
    let mut cards = open(&amd::VENDOR, &fixture("gpu/amd-workstation"), &context);
    let batch = sample(&mut cards, &context);
    assert_eq!(strings(&batch, "name"), ["Radeon RX 7900 XTX", "PCI 1002:164E"]);
    let big = card(&batch, "0000:03:00.0");
    let floats = [
        ("util_pct", 97.0),
        ("mem_util_pct", 41.0),
        ("power_w", 312.0),
        ("power_limit_w", 339.0),
        ("temp_c", 61.0),
        ("hotspot_c", 83.0),
        ("mem_temp_c", 78.0),
        ("core_mhz", 2485.0),
        ("mem_mhz", 1249.0),
        ("fan_pct", 40.0),
    ];
    for (column, value) in floats {
        assert_eq!(float(&big, column), Some(value), "{column}");
    }
    assert_eq!(strings(&big, "power_method"), ["average"]);
    assert_eq!(int(&big, "mem_total_bytes"), Some(25_753_026_560));
    assert_eq!(int(&big, "throttle"), Some(1 << 36 | 2));
    assert_eq!(float(&big, "energy_j"), None);
    // The second one sleeps, and was left asleep.
    assert!(known(&card(&batch, "0000:13:00.0")).is_empty());
    assert!(kept.health().is_empty());
}

#[test]
fn an_old_amd_card_lacks_much() {
    let (_, context) = kept();
    let batch = sample(&mut open(&amd::VENDOR, &fixture("gpu/amd-old"), &context), &context);
    assert_eq!(
        known(&batch),
        [
            "util_pct",
            "mem_used_bytes",
            "mem_total_bytes",
            "power_w",
            "power_method",
            "power_limit_w",
            "temp_c",
            "core_mhz",
            "fan_pct",
            "fan_rpm"
        ]
    );
    assert_eq!(strings(&batch, "power_method"), ["instant"]);
    assert_eq!([float(&batch, "power_w"), float(&batch, "temp_c")], [Some(33.123), Some(-5.0)]);
}

#[test]
fn intel_cards_of_both_drivers() {
    let (kept, context) = kept();
    let root = changeable("gpu/intel");
    let mut cards = open(&intel::VENDOR, root.path(), &context);
    let first = sample(&mut cards, &context);
    assert_eq!(strings(&first, "uuid"), ["0000:07:00.0", "0000:03:00.0"]);
    let xe = card(&first, "0000:07:00.0");
    assert_eq!(known(&xe), ["energy_j", "temp_c", "mem_temp_c", "core_mhz", "fan_rpm"]);
    assert_eq!([float(&xe, "core_mhz"), float(&xe, "mem_temp_c")], [Some(2850.0), Some(60.0)]);
    let i915 = card(&first, "0000:03:00.0");
    assert_eq!(float(&i915, "core_mhz"), Some(2100.0));
    assert_eq!(float(&i915, "power_limit_w"), Some(190.0));

    std::thread::sleep(std::time::Duration::from_millis(2));
    let energy = "sys/class/drm/card1/device/hwmon/hwmon2/energy1_input";
    replace(root.path(), energy, "987654321000", "987654331000");
    let second = sample(&mut cards, &context);
    let i915 = card(&second, "0000:03:00.0");
    let power = float(&i915, "power_w").unwrap();
    assert!(power > 0.0 && power <= 5.0, "10 mJ in 2 ms or more: {power} W");
    assert_eq!(strings(&i915, "power_method"), ["energy"]);
    assert_eq!(float(&i915, "energy_j"), Some(987_654.331));
    assert!(kept.health().is_empty());
}

#[test]
fn a_vendor_without_cards_is_one_line() {
    let (_, context) = kept();
    let root = fixture("gpu/intel");
    let error = DrmSource::amd(&root, 10.0, Choice::default()).run(&context).unwrap_err();
    assert_eq!(error.to_string(), "this machine shows no amd card to sample (driver amdgpu)");
    assert!(matches!(error, SourceError::Retry(_)));
    let error = DrmSource::intel(&root, 10.0, Choice::only(vec!["7".into()])).run(&context);
    assert!(matches!(error, Err(SourceError::Retry(_))));
}

#[test]
fn a_recording_of_one_chosen_card() {
    let (kept, context) = kept();
    let choice = Choice::only(vec!["0000:03:00.0".into()]);
    let mut source = DrmSource::amd(fixture("gpu/amd-workstation"), 20.0, choice);
    run_until(&mut source, &kept, &context, |kept| kept.of("gpu").len() >= 3);
    let batches = kept.of("gpu");
    assert!(batches.len() >= 3);
    assert!(batches.iter().all(|b| strings(b, "source") == ["gpu.amd"]));
    assert_eq!(context.status().state().0, SourceState::Up);
}

/// Compiles the stand-in for NVIDIA's library.
fn stub(dir: &Path, defines: &[&str]) -> PathBuf {
    let library = dir.join("libnvidia-ml-stub.so");
    let source = fixture("nvml").join("stub.c");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(defines)
        .output()
        .expect("a C compiler, which linking Rust needs too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

const FIRST: &str = "GPU-00000000-0000-0000-0000-000000000000";
const SECOND: &str = "GPU-00000000-0000-0000-0000-000000000001";

#[test]
fn two_nvidia_cards_and_what_one_does_not_support() {
    let (kept, context) = kept();
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), &[]);
    let mut source = NvidiaSource::new(20.0, Choice::default()).with_library(library);
    run_until(&mut source, &kept, &context, |kept| kept.of("gpu").len() >= 4);
    let batches = kept.of("gpu");
    assert!(batches.len() >= 4);

    let new = card(&batches[0], FIRST);
    assert_eq!(strings(&new, "name"), ["NVIDIA GeForce RTX 4090"]);
    let floats = [
        ("util_pct", 98.0),
        ("power_w", 431.25),
        ("power_limit_w", 450.0),
        ("energy_j", 1000.002),
        ("temp_c", 60.0),
        ("mem_temp_c", 84.0),
        ("core_mhz", 2520.0),
        ("mem_mhz", 10501.0),
        ("fan_pct", 55.0),
        ("pcie_rx_bytes_per_s", 2e6),
        ("pcie_tx_bytes_per_s", 1e6),
        ("encoder_pct", 12.0),
    ];
    for (column, value) in floats {
        assert_eq!(float(&new, column), Some(value), "{column}");
    }
    assert_eq!(strings(&new, "power_method"), ["instant"]);
    assert_eq!([int(&new, "mem_used_bytes"), int(&new, "throttle")], [Some(3 << 30), Some(4)]);
    // The decoder answers every second time, and PCIe is asked once a second.
    assert_eq!(float(&new, "decoder_pct"), None);
    assert_eq!(float(&card(&batches[1], FIRST), "decoder_pct"), Some(3.0));
    assert_eq!(float(&card(&batches[1], FIRST), "pcie_rx_bytes_per_s"), None);

    for batch in &batches {
        let old = card(batch, SECOND);
        for never in
            ["energy_j", "mem_temp_c", "fan_pct", "fan_rpm", "pcie_rx_bytes_per_s", "pstate"]
        {
            assert_eq!(old[never].null_count(), 1, "{never}");
        }
        assert_eq!(float(&old, "power_w"), Some(42.5));
        assert_eq!(strings(&old, "power_method"), ["driver"]);
    }
    let unsupported: Vec<_> =
        kept.health().into_iter().filter(|(reason, ..)| reason == "unsupported").collect();
    assert_eq!(unsupported.len(), 2, "once a card: {unsupported:?}");
    assert!(unsupported[0].2.ends_with("does not support: fan rpm"), "{unsupported:?}");
    assert_eq!(unsupported[1].1, 7, "{unsupported:?}");
}

#[test]
fn a_card_that_falls_off_the_bus_leaves_the_other_alone() {
    let (kept, context) = kept();
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), &["-DLOSE_AFTER=2", "-DNO_INSTANT_POWER"]);
    let mut source = NvidiaSource::new(20.0, Choice::default()).with_library(&library);
    run_until(&mut source, &kept, &context, |kept| kept.of("gpu").len() >= 6);
    let batches = kept.of("gpu");
    let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows[..6], [2, 2, 1, 1, 1, 1]);
    // Without instant power, the energy counter tells it: 2 mJ a sample, but for the first.
    assert_eq!(float(&card(&batches[0], FIRST), "power_w"), None);
    let later = card(&batches[3], FIRST);
    assert!(float(&later, "power_w").is_some_and(|w| w > 0.0 && w <= 2000.0), "{later:?}");
    assert_eq!(strings(&later, "power_method"), ["energy"]);
    let gone: Vec<_> =
        kept.health().into_iter().filter(|(reason, ..)| reason == "unplugged").collect();
    assert_eq!(gone.len(), 1);
    assert!(gone[0].2.contains(SECOND), "{gone:?}");

    // Alone, it leaves nothing to sample: NVML is to be started anew.
    let (_, context) = super::tests::kept();
    let choice = Choice::only(vec![SECOND.to_owned()]);
    let error = NvidiaSource::new(20.0, choice).with_library(&library).run(&context).unwrap_err();
    assert!(matches!(error, SourceError::Retry(_)), "{error}");
}

#[test]
fn a_machine_without_nvml_is_one_line() {
    let (_, context) = kept();
    let mut source = NvidiaSource::new(10.0, Choice::default()).with_library("/nowhere/nvml.so");
    let error = source.run(&context).unwrap_err();
    assert!(matches!(error, SourceError::Retry(_)));
    assert!(!error.to_string().contains('\n') && error.to_string().contains("libnvidia-ml"));
}
