use arrow_array::RecordBatch;

use super::*;
use crate::source::kept::*;

fn chips(root: &Path) -> Chips {
    let mut chips = Chips::new(10.0, Rates::default());
    chips.search(root, |_, _| {});
    chips
}

fn sample(chips: &mut Chips, context: &Context) -> RecordBatch {
    let (mut table, mut faults) = (Table::new(), Faults::default());
    for watched in &mut chips.list {
        (watched.rests_until_ns, watched.due_ns) = (0, 0);
        watched.sample(&mut table, context, &mut faults);
    }
    faults.tell_all(context);
    table.rows.finish()
}

#[test]
fn sensors_of_a_desktop() {
    let (kept, context) = kept();
    let batch = sample(&mut chips(&fixture("hwmon/desktop")), &context);
    let columns = ["chip", "sensor", "unit"].map(|c| strings(&batch, c));
    let found: Vec<_> = (0..batch.num_rows())
        .map(|i| {
            let value = float(&batch.slice(i, 1), "value");
            (columns[0][i].as_str(), columns[1][i].as_str(), columns[2][i].as_str(), value)
        })
        .collect();
    let expected = [
        ("nct6798@nct6775.656", "temp1", "degC", Some(41.5)),
        ("nct6798@nct6775.656", "temp2", "degC", None), // its diode is not plugged in
        ("nct6798@nct6775.656", "temp10", "degC", Some(38.0)),
        ("nct6798@nct6775.656", "in0", "V", Some(1.232)),
        ("nct6798@nct6775.656", "fan1", "rpm", Some(812.0)),
        ("nct6798@nct6775.656", "pwm1", "pct", Some(40.0)),
        ("nvme@nvme0", "temp1", "degC", Some(43.85)),
        ("k10temp@0000:00:18.3", "temp1", "degC", Some(52.125)),
        ("k10temp@0000:00:18.3", "temp3", "degC", None),
        ("corsairpsu@psu", "power1", "W", Some(187.5)),
        ("corsairpsu@psu", "curr1", "A", Some(15.25)),
        ("corsairpsu@psu", "energy1", "J", Some(1234.56789)),
        ("corsairpsu@psu", "humidity1", "pct", Some(40.5)),
        ("corsairpsu@psu", "freq1", "Hz", Some(50.0)),
    ];
    assert_eq!(found, expected);
    assert_eq!(strings(&row(&batch, "sensor", "fan1"), "label"), ["CPU fan"]);
    let health = kept.health();
    assert_eq!(health.len(), 1, "{health:?}");
    assert!(health[0].2.ends_with("temp3_input: its text makes no sense"), "{health:?}");
}

#[test]
fn chips_come_and_go() {
    let root = changeable("hwmon/desktop");
    let class = root.path().join(CLASS);
    let (there, away) = (class.join("hwmon1"), root.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let mut chips = chips(root.path());
    assert_eq!(chips.list.len(), 3);
    std::fs::rename(&away, &there).unwrap();
    std::fs::rename(class.join("hwmon2"), &away).unwrap();
    let mut told = Vec::new();
    chips.search(root.path(), |reason, text| told.push(format!("{reason} {text}")));
    assert_eq!(told, ["unplugged chip k10temp@0000:00:18.3", "up chip nvme@nvme0"]);
    assert_eq!(chips.list.len(), 3);

    chips.list[0].gone = true;
    chips.search(root.path(), |reason, text| told.push(format!("{reason} {text}")));
    assert_eq!(told[2..], ["unplugged chip nct6798@nct6775.656", "up chip nct6798@nct6775.656"]);
}

#[test]
fn a_slow_chip_rests() {
    let (kept, context) = kept();
    let mut chips = chips(&fixture("hwmon/desktop"));
    let (mut table, mut faults) = (Table::new(), Faults::default());
    let chip = &mut chips.list[0];
    chip.rests_until_ns = i64::MAX;
    chip.sample(&mut table, &context, &mut faults);
    assert_eq!(table.rows.len(), 0);
    faults.tell_all(&context);
    assert_eq!(kept.health()[0].0, "late");
    chip.rests_until_ns = 0;
    let before = monotonic_ns();
    chip.sample(&mut table, &context, &mut faults);
    let took = monotonic_ns() - before;
    assert_eq!(table.rows.len(), 6);
    assert!(chip.rests_until_ns > before && chip.rests_until_ns <= monotonic_ns() + 9 * took);
}

#[test]
fn a_machine_without_sensors_is_one_line() {
    let (_, context) = kept();
    let empty = tempfile::tempdir().unwrap();
    let error = HwmonSource::new(empty.path(), 1.0).run(&context).unwrap_err();
    assert!(matches!(error, SourceError::Retry(text) if text.contains("sensors-detect")));
}

/// How often each chip was read in a second and a half at 100 Hz: the NVMe drive, and the fastest of the others.
fn readings(rates: Rates) -> [usize; 2] {
    let (kept, context) = kept();
    let mut source = HwmonSource::new(fixture("hwmon/desktop"), 100.0).with_rates(rates);
    let begin = monotonic_ns();
    run_until(&mut source, &kept, &context, |_| monotonic_ns() - begin > 1_500_000_000);
    let names: Vec<_> = kept.of("hwmon").iter().flat_map(|b| strings(b, "chip")).collect();
    let of = |name: &str| names.iter().filter(|chip| *chip == name).count();
    assert!(
        !kept
            .health()
            .iter()
            .any(|told| told.2.contains("answers slowly") && told.2.contains("nvme"))
    );
    [of("nvme@nvme0"), of("k10temp@0000:00:18.3") / 2]
}

#[test]
fn a_drive_is_read_every_five_seconds_whatever_the_rate() {
    let [nvme, k10temp] = readings(Rates::default());
    assert_eq!(nvme, 1);
    assert!(k10temp > 10, "{k10temp}");
}

#[test]
fn a_chip_can_be_given_a_rate_or_left_out() {
    let rates = |hz| Rates::new(vec![("nvme".to_owned(), hz)]);
    assert_eq!(readings(rates(0.0))[0], 0);
    let often = readings(rates(4.0))[0];
    assert!((4..=8).contains(&often), "{often}");
}

#[test]
fn a_recording_goes_on_at_its_rate() {
    let (kept, context) = kept();
    let mut source = HwmonSource::new(fixture("hwmon/desktop"), 100.0);
    run_until(&mut source, &kept, &context, |kept| kept.of("hwmon").len() >= 3);
    assert!(kept.of("hwmon").len() >= 3);
    let text = context.status().state().1;
    assert_eq!(text, "14 sensors of 4 chips at 100 Hz");
}
