use arrow_array::Array;

use super::*;
use crate::source::SourceState;
use crate::source::kept::*;

/// One sample of every domain that is open.
fn sample(domains: &mut [Domain], context: &Context) -> arrow_array::RecordBatch {
    let (mut table, mut faults) = (Table::new(), Faults::default());
    domains.iter_mut().for_each(|domain| {
        table.sample(domain, context, &mut faults);
    });
    faults.tell_all(context);
    table.rows.finish()
}

#[test]
fn a_server_with_two_packages() {
    let (kept, context) = kept();
    let root = changeable("rapl/server");
    let mut domains = open(root.path(), &context).unwrap();
    let first = sample(&mut domains, &context);
    let names = ["package-0", "package-0/dram", "package-1", "package-1/dram"];
    assert_eq!(strings(&first, "domain"), names);
    assert_eq!(first["power_w"].null_count(), 4);
    let package = row(&first, "domain", "package-0");
    assert_eq!(int(&package, "energy_uj"), Some(123_456_789_012));
    assert_eq!(float(&package, "energy_j"), Some(0.0));

    let energy = |zone: &str| format!("sys/class/powercap/{zone}/energy_uj");
    std::thread::sleep(std::time::Duration::from_millis(2));
    // One gains 100 uJ, one wraps and gains 950, one starts anew.
    replace(root.path(), &energy("intel-rapl:0"), "123456789012", "123456789112");
    replace(root.path(), &energy("intel-rapl:1"), "262143328000", "100");
    replace(root.path(), &energy("intel-rapl:1:0"), "1876543210", "17");
    let second = sample(&mut domains, &context);
    let of = |domain: &str, column: &str| float(&row(&second, "domain", domain), column);
    assert!(of("package-0", "power_w").is_some_and(|w| w > 0.0));
    assert_eq!(of("package-0", "energy_j"), Some(100.0 * 1e-6));
    assert_eq!(of("package-1", "energy_j"), Some(950.0 * 1e-6));
    assert_eq!(of("package-0/dram", "power_w"), Some(0.0));
    assert_eq!(of("package-1/dram", "power_w"), None);
    let told = ("counter_reset".to_owned(), 1, "energy of package-1/dram".to_owned());
    assert_eq!(kept.health(), [told]);

    std::fs::write(root.path().join(energy("intel-rapl:0")), "what\n").unwrap();
    assert_eq!(sample(&mut domains, &context).num_rows(), 3);
    assert!(kept.health()[1].2.ends_with("its text makes no sense"), "{:?}", kept.health());
}

#[test]
fn a_laptop_shows_each_counter_once() {
    let (kept, context) = kept();
    let mut domains = open(&fixture("rapl/laptop"), &context).unwrap();
    let batch = sample(&mut domains, &context);
    assert_eq!(strings(&batch, "domain"), ["package-0", "package-0/core", "psys"]);
    assert_eq!(strings(&batch, "method"), ["powercap"; 3]);
    assert!(kept.health().is_empty());
}

/// AMD's zone `core` is one physical core: 5.8 W of 130 W with 32 threads at work, as somebody has measured.
#[test]
fn the_core_zone_of_amd_is_named_as_what_it_is() {
    let (kept, context) = kept();
    let mut domains = open(&fixture("rapl/ryzen"), &context).unwrap();
    let batch = sample(&mut domains, &context);
    assert_eq!(strings(&batch, "domain"), ["package-0", "package-0/one_core"]);
    assert!(kept.health().is_empty());
    // Intel's is all cores, and stays what it was.
    let laptop = domains_of("rapl/laptop");
    assert!(laptop.contains(&"package-0/core".to_owned()), "{laptop:?}");
}

fn domains_of(name: &str) -> Vec<String> {
    super::domains(&fixture(name)).unwrap()
}

/// Adds a PMU whose event is the kernel's clock on each processor: a joule a second and processor.
fn clock_as_power_core(root: &Path, cpus: &str) {
    let pmu = root.join("sys/bus/event_source/devices/power_core");
    std::fs::create_dir_all(pmu.join("events")).unwrap();
    let write = |file: &str, text: &str| std::fs::write(pmu.join(file), text).unwrap();
    write("type", "1\n");
    write("cpumask", cpus);
    write("events/energy-core", "event=0x00\n");
    write("events/energy-core.unit", "Joules\n");
    write("events/energy-core.scale", "1e-9\n");
}

#[test]
fn all_cores_of_a_package_are_one_domain_where_perf_tells_each() {
    let (kept, context) = kept();
    let root = changeable("rapl/ryzen");
    clock_as_power_core(root.path(), "0-1\n");
    let mut domains = open(root.path(), &context).unwrap();
    if domains.len() < 3 {
        // Without the privilege, the refusal is what has to be told; powercap is read all the same.
        let told = kept.health();
        assert!(told[0].2.contains("energy-core") && told[0].2.contains("CAP_PERFMON"), "{told:?}");
        return;
    }
    sample(&mut domains, &context);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let batch = sample(&mut domains, &context);
    let names = ["package-0", "package-0/one_core", "package-0/core"];
    assert_eq!(strings(&batch, "domain"), names);
    assert_eq!(strings(&batch, "method"), ["powercap", "powercap", "perf"]);
    let power = float(&row(&batch, "domain", "package-0/core"), "power_w").unwrap();
    assert!((power - 2.0).abs() < 0.4, "two cores of 1 W each: {power}");
    // A search for zones that came or went leaves it alone.
    search(root.path(), &mut domains, &context);
    assert_eq!(domains.len(), 3);
}

#[test]
fn a_machine_without_any_is_one_line() {
    let (kept, context) = kept();
    let empty = tempfile::tempdir().unwrap();
    let error = RaplSource::new(empty.path(), 10.0).run(&context).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SourceError::Retry(_)) && text.contains("modprobe"), "{text}");
    assert!(kept.health().is_empty());
}

/// Root reads whatever it likes, so this is seen by a thread whose file-system user is nobody; anyone else is
/// refused by the mode of the file.
#[test]
fn a_refusal_names_the_rule_that_helps_and_is_tried_again() {
    use std::os::unix::fs::PermissionsExt;
    let root = changeable("rapl/server");
    let set_mode = |file: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(root.path().join(file), permissions).unwrap();
    };
    set_mode("", 0o755);
    for zone in ["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:1:0"] {
        set_mode(&format!("sys/class/powercap/{zone}/energy_uj"), 0);
    }
    let (kept, context) = kept();
    let run_as_nobody = || {
        // SAFETY: it takes a number, and changes nothing but this thread, which ends with the test.
        unsafe { libc::setfsuid(65_534) };
        RaplSource::new(root.path(), 10.0).run(&context).unwrap_err()
    };
    let error = std::thread::scope(|scope| {
        std::thread::Builder::new().spawn_scoped(scope, run_as_nobody).unwrap().join().unwrap()
    });
    let text = error.to_string();
    assert!(matches!(error, SourceError::Denied(_)), "{text}");
    assert!(text.contains("intel-rapl:0/energy_uj: Permission denied"), "{text}");
    assert!(text.contains("udevadm trigger -s powercap") && text.contains("chmod g+r"), "{text}");
    assert!(kept.health().is_empty(), "the supervisor tells it, once");
}

/// The energy events are those of a PMU that no virtual machine has; the kernel's own clock event (software PMU 1,
/// event 0, in nanoseconds) goes the same way, and counts a joule a second if its unit is called so.
#[test]
fn perf_counts_where_powercap_is_missing() {
    let (kept, context) = kept();
    let root = changeable("rapl/laptop");
    std::fs::remove_dir_all(root.path().join("sys/class/powercap")).unwrap();
    let pmu = "sys/bus/event_source/devices/power";
    replace(root.path(), &format!("{pmu}/type"), "32", "1");
    replace(root.path(), &format!("{pmu}/events/energy-pkg"), "0x02", "0x00");
    replace(
        root.path(),
        &format!("{pmu}/events/energy-pkg.scale"),
        "2.3283064365386962890625e-10",
        "1e-9",
    );
    for event in ["energy-cores", "energy-psys"] {
        std::fs::remove_file(root.path().join(pmu).join("events").join(event)).unwrap();
    }
    let mut domains = match open(root.path(), &context) {
        Ok(domains) => domains,
        Err(e) => {
            // Without the privilege, the refusal is what has to be told.
            assert!(e.to_string().contains("energy-pkg"), "{e}");
            return;
        }
    };
    sample(&mut domains, &context);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let batch = sample(&mut domains, &context);
    assert_eq!(strings(&batch, "domain"), ["package-0"]);
    assert_eq!(strings(&batch, "method"), ["perf"]);
    let power = float(&batch, "power_w").unwrap();
    assert!((power - 1.0).abs() < 0.2, "{power}");
    assert_eq!(batch["energy_uj"].null_count(), 1);
    assert!(kept.health().is_empty());
}

#[test]
fn a_recording_goes_on_at_its_rate() {
    let (kept, context) = kept();
    let mut source = RaplSource::new(fixture("rapl/server"), 20.0);
    run_until(&mut source, &kept, &context, |kept| kept.of("rapl").len() >= 3);
    let batches = kept.of("rapl");
    assert!(batches.len() >= 3 && batches.iter().all(|b| b.num_rows() == 4));
    let (state, text) = context.status().state();
    assert_eq!((state, text.as_str()), (SourceState::Up, "4 domains of powercap at 20 Hz"));
}
