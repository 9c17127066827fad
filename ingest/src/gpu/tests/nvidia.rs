//! NVIDIA's cards, by a library that stands in for NVML.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_array::{Array, RecordBatch};

use super::{card, known, plug, whether};
use crate::gpu::NvidiaSource;
use crate::gpu::card::Choice;
use crate::source::kept::*;
use crate::source::{Source, SourceError, SourceState};

/// Compiles the stand-in for NVIDIA's library.
pub(super) fn stub(dir: &Path, defines: &[&str]) -> PathBuf {
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

pub(super) const FIRST: &str = "GPU-00000000-0000-0000-0000-000000000000";
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
        ("encoder_pct", 12.0),
    ];
    for (column, value) in floats {
        assert_eq!(float(&new, column), Some(value), "{column}");
    }
    assert_eq!(strings(&new, "power_method"), ["instant"]);
    assert_eq!([int(&new, "mem_used_bytes"), int(&new, "throttle")], [Some(3 << 30), Some(4)]);
    // The decoder answers every second time; PCIe is asked once a second, one counter a sample.
    assert_eq!(float(&new, "decoder_pct"), None);
    assert_eq!(float(&card(&batches[1], FIRST), "decoder_pct"), Some(3.0));
    let second = card(&batches[1], FIRST);
    let pcie = ["pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s"].map(|c| float(&second, c));
    assert_eq!(pcie, [None, Some(1e6)]);

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
    assert!(unsupported[0].2.ends_with("does not support: fan 2 rpm, fan rpm"), "{unsupported:?}");
    let of_old: i64 = unsupported.iter().filter(|u| u.2.contains(SECOND)).map(|u| u.1).sum();
    // What each sample asks for: energy, two fields, two of the fan, the state of a decoder that is there; and, in its
    // turn, two PCIe counters and what is asked once a second.
    assert_eq!(of_old, 13, "{unsupported:?}");

    // Once a second, what changes slowly.
    let floats = [("power_average_w", 400.125), ("fan2_pct", 56.0)];
    for (column, value) in floats {
        assert_eq!(float(&new, column), Some(value), "{column}");
        assert_eq!(float(&card(&batches[1], FIRST), column), None, "{column}");
    }
    let ints = [
        ("held_by_power_ns", 7_000_000_000),
        ("held_by_heat_ns", 3_000),
        ("ecc_corrected", 17),
        ("ecc_uncorrected", 1),
    ];
    for (column, value) in ints {
        assert_eq!(int(&new, column), Some(value), "{column}");
    }
    assert_eq!(new["fan3_pct"].null_count() + new["fan2_rpm"].null_count(), 2);
}

#[test]
fn memory_of_drivers_before_510() {
    let (kept, context) = kept();
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), &["-DOLD_MEMORY"]);
    let mut source = NvidiaSource::new(20.0, Choice::default()).with_library(library);
    run_until(&mut source, &kept, &context, |kept| !kept.of("gpu").is_empty());
    let first = card(&kept.of("gpu")[0], FIRST);
    assert_eq!(int(&first, "mem_used_bytes"), Some(4 << 30));
    assert_eq!(int(&first, "mem_total_bytes"), Some(24 << 30));
    assert!(!kept.health().iter().any(|told| told.2.contains("memory,")), "{:?}", kept.health());
}

/// A tree with NVIDIA's cards at buses 1, 2 and so on.
fn bus_of_nvidia(statuses: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (i, status) in statuses.iter().enumerate() {
        plug(root.path(), &format!("0000:{:02x}:00.0", i + 1), "0x10de", "nvidia", status);
    }
    root
}

fn set_status(root: &Path, bus: u8, status: &str) {
    let file = format!("sys/bus/pci/devices/0000:{bus:02x}:00.0/power/runtime_status");
    std::fs::write(root.join(file), format!("{status}\n")).unwrap();
}

/// Waits until it is so, at most 15 s.
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(15), "waited for {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_sleeping_nvidia_card_is_not_called() {
    let (kept, context) = kept();
    let root = bus_of_nvidia(&["suspended"]);
    let calls = root.path().join("calls");
    let library = stub(root.path(), &[&format!("-DCALLS=\"{}\"", calls.display())]);
    let count = || std::fs::metadata(&calls).map_or(0, |file| file.len());
    let mut source =
        NvidiaSource::new(50.0, Choice::default()).with_library(library).with_root(root.path());
    std::thread::scope(|scope| {
        scope.spawn(|| source.run(&context).unwrap());
        wait_until("the state to be told", || context.status().state().0 == SourceState::Waiting);
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        assert_eq!(count(), 0, "NVML was called though the only card sleeps");
        let text = context.status().state().1;
        assert_eq!(text, "asleep, and not woken: nvidia card at 0000:01:00.0");

        // Somebody else wakes it.
        set_status(root.path(), 1, "active");
        wait_until("rows", || kept.of("gpu").len() > 3);
        assert!(count() > 0);

        // And it falls asleep again.
        set_status(root.path(), 1, "suspended");
        let is_asleep = || {
            let last = kept.of("gpu").pop().unwrap();
            whether(&last, "asleep") == Some(true)
        };
        wait_until("the card to sleep", is_asleep);
        let (called, rows) = (count(), kept.of("gpu").len());
        wait_until("more rows", || kept.of("gpu").len() > rows + 10);
        assert_eq!(count(), called, "NVML was called though the card sleeps");
        context.stop().stop();
    });
    let batches = kept.of("gpu");
    assert_eq!(float(&batches[0], "util_pct"), Some(98.0));
    let last = batches.last().unwrap().slice(0, 1);
    assert_eq!(known(&last), ["asleep"]);
    assert_eq!(strings(&last, "uuid"), [FIRST], "the same card, though it is not asked who it is");
}

#[test]
fn a_card_that_is_awake_is_sampled_beside_one_that_sleeps() {
    let (kept, context) = kept();
    let root = bus_of_nvidia(&["active", "suspended"]);
    let library = stub(root.path(), &[]);
    let mut source =
        NvidiaSource::new(20.0, Choice::default()).with_library(library).with_root(root.path());
    run_until(&mut source, &kept, &context, |kept| kept.of("gpu").len() >= 3);
    assert!(kept.of("gpu").iter().all(|batch| strings(batch, "uuid") == [FIRST]));
}

#[test]
fn a_card_that_comes_to_nvml_is_seen_within_ten_seconds() {
    let (kept, context) = kept();
    let root = bus_of_nvidia(&["active"]);
    let library = stub(root.path(), &[]);
    let mut source =
        NvidiaSource::new(20.0, Choice::default()).with_library(library).with_root(root.path());
    std::thread::scope(|scope| {
        scope.spawn(|| source.run(&context).unwrap());
        wait_until("rows", || kept.of("gpu").len() > 2);
        plug(root.path(), "0000:02:00.0", "0x10de", "nvidia", "active");
        let begin = std::time::Instant::now();
        let both = || kept.of("gpu").iter().any(|batch| strings(batch, "uuid") == [FIRST, SECOND]);
        wait_until("the second card", both);
        assert!(begin.elapsed() < std::time::Duration::from_secs(11), "{:?}", begin.elapsed());
        context.stop().stop();
    });
    let mut told = kept.health();
    told.retain(|(reason, _, text)| reason == "down" && !text.starts_with("decoder of"));
    assert!(told.is_empty(), "nothing went down for it: {told:?}");
}

/// A PCIe counter blocks for 20 ms: sixteen of them in one sample would be 320 ms.
#[test]
fn of_eight_cards_one_pcie_counter_a_sample_is_asked() {
    let (kept, context) = kept();
    let dir = tempfile::tempdir().unwrap();
    let library = stub(dir.path(), &["-DCOUNT=8", "-DSLOW_PCIE"]);
    let mut source = NvidiaSource::new(10.0, Choice::default()).with_library(library);
    run_until(&mut source, &kept, &context, |kept| kept.of("gpu").len() >= 18);
    let mut seen = std::collections::BTreeMap::new();
    for batch in kept.of("gpu") {
        let known = |column: &str| 8 - batch[column].null_count();
        assert_eq!(batch.num_rows(), 8);
        let asked = known("pcie_rx_bytes_per_s") + known("pcie_tx_bytes_per_s");
        assert!(asked <= 1, "{asked} counters in one sample");
        assert!(known("ecc_corrected") <= 1);
        for (i, uuid) in strings(&batch, "uuid").into_iter().enumerate() {
            let row = batch.slice(i, 1);
            let of = |column: &str| usize::from(row[column].is_valid(0));
            let seen: &mut [usize; 2] = seen.entry(uuid).or_default();
            seen[0] += of("pcie_rx_bytes_per_s");
            seen[1] += of("pcie_tx_bytes_per_s");
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|[rx, tx]| *rx >= 1 && *tx >= 1), "{seen:?}");
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
    let (_, context) = crate::source::kept::kept();
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
