use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};

use super::card::{Choice, GpuTable};
use super::drm::{DrmSource, Opened, Seek, Vendor, find, open_new};
use super::pci::Roster;
use super::{NvidiaSource, amd, intel};
use crate::source::kept::*;
use crate::source::{Context, Faults, Source, SourceError, SourceState};
use nvidia::{FIRST, stub};

mod nvidia;

fn open(vendor: &Vendor, root: &Path, context: &Context) -> Vec<Opened> {
    let mut cards = Vec::new();
    let found = find(root, vendor.drivers);
    let (choice, mut roster) = (Choice::default(), Roster::default());
    let mut seek = Seek { vendor, root, choice: &choice, roster: &mut roster };
    open_new(&mut seek, found, &mut cards, context);
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

fn whether(row: &RecordBatch, column: &str) -> Option<bool> {
    let column = row[column].as_boolean();
    column.is_valid(0).then(|| column.value(0))
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
    assert_eq!(whether(&big, "asleep"), Some(false));
    // The second one sleeps, and was left asleep.
    let asleep = card(&batch, "0000:13:00.0");
    assert_eq!(known(&asleep), ["asleep"]);
    assert_eq!(whether(&asleep, "asleep"), Some(true));
    assert!(kept.health().is_empty());
}

/// Kernels since 6.3 show both of some cards: the mean of a time that the firmware chooses, and the power now.
#[test]
fn of_two_powers_the_instant_one_wins_and_both_are_kept() {
    let (kept, context) = kept();
    let root = changeable("gpu/amd-workstation");
    let device = root.path().join("sys/class/drm/card0/device");
    let write = |file: &str, text: &str| std::fs::write(device.join(file), text).unwrap();
    write("hwmon/hwmon3/power1_input", "287000000\n");
    write("mem_info_gtt_used", "104857600\n");
    write("mem_info_gtt_total", "33554432000\n");
    write("vcn_busy_percent", "12\n");
    let batch = sample(&mut open(&amd::VENDOR, root.path(), &context), &context);
    let card = card(&batch, "0000:03:00.0");
    assert_eq!(float(&card, "power_w"), Some(287.0));
    assert_eq!(strings(&card, "power_method"), ["instant"]);
    assert_eq!(float(&card, "power_average_w"), Some(312.0));
    assert_eq!(int(&card, "gtt_used_bytes"), Some(100 << 20));
    assert_eq!(int(&card, "gtt_total_bytes"), Some(33_554_432_000));
    assert_eq!(float(&card, "media_pct"), Some(12.0));
    assert!(kept.health().is_empty());
}

/// A card on the bus of a tree, as the kernel shows it.
fn plug(root: &Path, address: &str, vendor: &str, driver: &str, status: &str) {
    let folder = root.join("sys/bus/pci/devices").join(address);
    std::fs::create_dir_all(folder.join("power")).unwrap();
    std::fs::write(folder.join("class"), "0x030000\n").unwrap();
    std::fs::write(folder.join("vendor"), format!("{vendor}\n")).unwrap();
    std::fs::write(folder.join("power/runtime_status"), format!("{status}\n")).unwrap();
    let driver = format!("../../../../bus/pci/drivers/{driver}");
    std::os::unix::fs::symlink(driver, folder.join("driver")).unwrap();
}

#[test]
fn an_index_chooses_one_card_of_all_vendors() {
    let (kept, context) = kept();
    let root = changeable("gpu/amd-workstation");
    plug(root.path(), "0000:00:02.0", "0x8086", "i915", "active");
    plug(root.path(), "0000:01:00.0", "0x10de", "nvidia", "active");
    plug(root.path(), "0000:03:00.0", "0x1002", "amdgpu", "active");
    plug(root.path(), "0000:13:00.0", "0x1002", "amdgpu", "suspended");
    let only = |index: &str| Choice::only(vec![index.to_owned()]);
    let error = DrmSource::amd(root.path(), 20.0, only("0")).run(&context).unwrap_err();
    assert!(matches!(error, SourceError::Retry(_)), "0 is Intel's: {error}");
    let library = stub(root.path(), &[]);
    let nvml = || NvidiaSource::new(20.0, only("1")).with_library(&library).with_root(root.path());
    run_until(&mut nvml(), &kept, &context, |kept| !kept.of("gpu").is_empty());
    let (kept_amd, context) = super::tests::kept();
    let mut amd = DrmSource::amd(root.path(), 20.0, only("2"));
    run_until(&mut amd, &kept_amd, &context, |kept| !kept.of("gpu").is_empty());
    let identity = |batch: &RecordBatch| {
        use arrow_array::types::Int16Type;
        let index = batch["gpu"].as_primitive::<Int16Type>().value(0);
        (batch.num_rows(), index, strings(batch, "uuid").remove(0))
    };
    assert_eq!(identity(&kept.of("gpu")[0]), (1, 1, FIRST.to_owned()));
    assert_eq!(identity(&kept_amd.of("gpu")[0]), (1, 2, "0000:03:00.0".to_owned()));
}

#[test]
fn what_is_not_there_is_looked_for_every_ten_seconds() {
    let ten = std::time::Duration::from_secs(10);
    let sources: [Box<dyn Source>; 3] = [
        Box::new(NvidiaSource::new(10.0, Choice::default())),
        Box::new(DrmSource::amd("/", 10.0, Choice::default())),
        Box::new(DrmSource::intel("/", 10.0, Choice::default())),
    ];
    for source in sources {
        assert_eq!(source.back_off(), (ten, ten), "{}", source.name());
    }
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
    assert_eq!(known(&xe), ["asleep", "energy_j", "temp_c", "mem_temp_c", "core_mhz", "fan_rpm"]);
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
