use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};

use super::*;
use crate::source::kept::*;
use crate::source::{SourceState, rows_of};

fn sample(reader: &mut dyn Reader, context: &Context) -> RecordBatch {
    let mut faults = Faults::default();
    reader.sample(context.anchor(), &mut faults).unwrap();
    faults.tell_all(context);
    reader.rows().finish()
}

#[test]
fn processors_of_a_big_machine() {
    let (kept, context) = kept();
    let root = changeable("host/workstation");
    let mut cpu = cpu::Cpu::open(root.path()).unwrap();
    let first = sample(&mut *cpu, &context);
    assert_eq!(first.num_rows(), 33);
    assert_eq!(first["busy_pct"].null_count(), 33);
    assert_eq!(float(&row(&first, "cpu", "31"), "freq_mhz"), Some(3710.0));
    assert_eq!(float(&row(&first, "cpu", "all"), "freq_mhz"), Some(3555.0));
    assert_eq!(int(&row(&first, "cpu", "2"), "user_ticks"), Some(20074));

    replace(root.path(), "proc/stat", "cpu2 20074 12 8022 899904", "cpu2 20077 12 8023 899910");
    replace(root.path(), "proc/stat", "cpu3 20111", "cpu3 111");
    replace(root.path(), "proc/stat", "cpu5 ", "cpu77 ");
    let second = sample(&mut *cpu, &context);
    let two = row(&second, "cpu", "2");
    assert_eq!([float(&two, "busy_pct"), float(&two, "idle_pct")], [Some(40.0), Some(60.0)]);
    assert_eq!(float(&row(&second, "cpu", "3"), "busy_pct"), None);
    assert_eq!(int(&row(&second, "cpu", "3"), "user_ticks"), Some(111));
    assert_eq!(float(&row(&second, "cpu", "4"), "busy_pct"), None, "no tick passed");
    let new = row(&second, "cpu", "77");
    assert_eq!([float(&new, "busy_pct"), float(&new, "freq_mhz")], [None, None]);
    assert_eq!(
        kept.health(),
        [
            ("counter_reset".into(), 1, "processor 3".into()),
            ("unplugged".into(), 1, "processor 5 went offline".into()),
        ]
    );
}

#[test]
fn processors_of_an_odd_machine() {
    let (kept, context) = kept();
    let mut cpu = cpu::Cpu::open(&fixture("host/odd")).unwrap();
    let batch = sample(&mut *cpu, &context);
    assert_eq!(strings(&batch, "cpu"), ["all", "0", "2"]);
    assert_eq!(batch["steal_ticks"].null_count(), 3);
    assert_eq!(int(&row(&batch, "cpu", "2"), "iowait_ticks"), Some(3));
    assert_eq!(float(&row(&batch, "cpu", "0"), "freq_mhz"), Some(1200.5));
    assert_eq!(float(&row(&batch, "cpu", "2"), "freq_mhz"), None);
    assert_eq!(kept.health(), [("malformed".into(), 2, "a line of /proc/stat".into())]);
    let again = sample(&mut *cpu, &context);
    assert_eq!(again["freq_mhz"].null_count(), 3, "cpuinfo is read once a second only");
}

#[test]
fn memory_of_both() {
    let (_, context) = kept();
    let mut memory = memory::Memory::open(&fixture("host/workstation")).unwrap();
    let batch = sample(&mut *memory, &context);
    assert_eq!(int(&batch, "total_bytes"), Some(65_634_012 * 1024));
    assert_eq!(int(&batch, "swap_free_bytes"), Some(8_388_604 * 1024));
    let used = float(&batch, "used_pct").unwrap();
    assert!((used - 20.0).abs() < 1e-3, "{used}");
    let mut memory = memory::Memory::open(&fixture("host/odd")).unwrap();
    let batch = sample(&mut *memory, &context);
    assert_eq!(int(&batch, "total_bytes"), Some(1_024_000));
    for missing in ["available_bytes", "cached_bytes", "swap_total_bytes", "used_pct"] {
        assert_eq!(batch[missing].null_count(), 1, "{missing}");
    }
}

#[test]
fn interfaces_come_go_and_start_again() {
    let (kept, context) = kept();
    let root = changeable("host/workstation");
    let mut net = net::Net::open(root.path()).unwrap();
    let first = sample(&mut *net, &context);
    assert_eq!(strings(&first, "interface"), ["lo", "enp5s0", "wlp6s0"]);
    assert_eq!(first["rx_bytes_per_s"].null_count(), 3);
    let wired = row(&first, "interface", "enp5s0");
    let counters = ["rx_bytes", "rx_errors", "rx_dropped", "tx_packets", "tx_dropped"];
    assert_eq!(counters.map(|c| int(&wired, c)), [98_765_432_100, 1, 23, 41_234_567, 3].map(Some));

    replace(root.path(), "proc/net/dev", "98765432100", "98765532100");
    replace(root.path(), "proc/net/dev", "lo: 1234567 ", "lo: 7 ");
    replace(root.path(), "proc/net/dev", "wlp6s0", "usb0");
    let second = sample(&mut *net, &context);
    let elapsed_ns = {
        let ts = |b: &RecordBatch| b["ts"].as_primitive::<TimestampNanosecondType>().value(0);
        ts(&second) - ts(&first)
    };
    let wired = row(&second, "interface", "enp5s0");
    assert_eq!(float(&wired, "rx_bytes_per_s"), Some(100_000.0 * 1e9 / elapsed_ns as f64));
    assert_eq!(float(&wired, "tx_bytes_per_s"), Some(0.0));
    let reset = row(&second, "interface", "lo");
    assert_eq!(
        [float(&reset, "rx_bytes_per_s"), float(&reset, "tx_bytes_per_s")],
        [None, Some(0.0)]
    );
    assert_eq!(float(&row(&second, "interface", "usb0"), "rx_bytes_per_s"), None);
    assert_eq!(
        kept.health(),
        [
            ("counter_reset".into(), 1, "interface lo".into()),
            ("unplugged".into(), 1, "interface wlp6s0".into()),
        ]
    );
}

fn whether(row: &RecordBatch, column: &str) -> Option<bool> {
    let column = row[column].as_boolean();
    column.is_valid(0).then(|| column.value(0))
}

/// A bridge carries what its ports carry: a sum over all interfaces has it twice.
#[test]
fn interfaces_are_hardware_or_not() {
    let (_, context) = kept();
    let root = changeable("host/workstation");
    let class = root.path().join("sys/class/net");
    std::fs::create_dir_all(class.join("enp5s0/device")).unwrap();
    std::fs::create_dir_all(class.join("lo")).unwrap();
    let batch = sample(&mut *net::Net::open(root.path()).unwrap(), &context);
    let of = |name: &str| whether(&row(&batch, "interface", name), "physical");
    assert_eq!([of("enp5s0"), of("lo"), of("wlp6s0")], [Some(true), Some(false), None]);
    let batch = sample(&mut *net::Net::open(&fixture("host/odd")).unwrap(), &context);
    assert_eq!(batch["physical"].null_count(), batch.num_rows(), "there is no sysfs");
}

#[test]
fn what_waits_for_what() {
    let (kept, context) = kept();
    let root = changeable("host/workstation");
    let mut pressure = pressure::Pressure::open(root.path()).unwrap();
    let first = sample(&mut *pressure, &context);
    assert_eq!(strings(&first, "resource"), ["cpu", "memory", "io"], "it has no irq");
    assert_eq!(first["some_pct"].null_count(), 3);
    let file = "proc/pressure/io";
    let text = std::fs::read_to_string(root.path().join(file)).unwrap();
    let total = |line: &str| line.rsplit_once('=').unwrap().1.parse::<i64>().unwrap();
    let some = total(text.lines().next().unwrap());
    assert_eq!(int(&row(&first, "resource", "io"), "some_us"), Some(some));
    replace(root.path(), file, &some.to_string(), &(some + 1_000).to_string());
    std::thread::sleep(Duration::from_millis(5));
    let second = sample(&mut *pressure, &context);
    let io = row(&second, "resource", "io");
    let share = float(&io, "some_pct").unwrap();
    assert!(share > 0.0 && share <= 20.0, "1 ms in 5 ms or more: {share}");
    assert_eq!(float(&io, "full_pct"), Some(0.0));
    assert_eq!(float(&row(&second, "resource", "cpu"), "some_pct"), Some(0.0));
    assert!(kept.health().is_empty());
    replace(root.path(), file, "some", "what");
    replace(root.path(), file, "full", "what");
    let error = pressure.sample(context.anchor(), &mut Faults::default()).unwrap_err();
    assert!(error.is_malformed());
    assert_eq!(pressure.rows().finish().num_rows(), 2, "the others are there all the same");
}

#[test]
fn a_kernel_without_pressure_is_told_what_it_lacks() {
    let (_, context) = kept();
    let error = HostSource::pressure(fixture("host/odd"), 1.0).run(&context).unwrap_err();
    assert!(error.to_string().contains("CONFIG_PSI"), "{error}");
    let error = HostSource::power_supply(fixture("host/odd"), 1.0).run(&context).unwrap_err();
    assert!(error.to_string().ends_with("no battery and no adapter"), "{error}");
}

#[test]
fn batteries_and_adapters_of_a_laptop() {
    let (kept, context) = kept();
    let root = changeable("host/laptop");
    let mut supplies = supply::Supplies::open(root.path()).unwrap();
    let batch = sample(&mut *supplies, &context);
    assert_eq!(strings(&batch, "supply"), ["AC", "BAT0", "BAT1"], "a mouse is none");
    let adapter = row(&batch, "supply", "AC");
    assert_eq!(
        (strings(&adapter, "kind"), whether(&adapter, "online")),
        (vec!["Mains".into()], Some(false))
    );
    assert_eq!(float(&adapter, "power_w"), None);
    let battery = row(&batch, "supply", "BAT0");
    assert_eq!(strings(&battery, "status"), ["Discharging"]);
    let floats = ["charge_pct", "energy_j", "power_w", "voltage_v"].map(|c| float(&battery, c));
    // 42.1 Wh at 3,600 J each.
    assert_eq!(floats, [Some(81.0), Some(42.1 * 3600.0), Some(12.345), Some(15.768)]);
    assert_eq!(whether(&battery, "online"), None);
    // The other counts charge: 3 Ah at 12 V, and 0.5 A.
    let other = row(&batch, "supply", "BAT1");
    let floats = ["energy_j", "power_w", "current_a"].map(|c| float(&other, c));
    assert_eq!(floats, [Some(12.0 * 3.0 * 3600.0), Some(6.0), Some(0.5)]);
    assert!(kept.health().is_empty());
}

#[test]
fn odd_interfaces() {
    let (kept, context) = kept();
    let mut net = net::Net::open(&fixture("host/odd")).unwrap();
    let batch = sample(&mut *net, &context);
    assert_eq!(strings(&batch, "interface"), ["eth0", "eth0:1", "tun0", "br-0a1b2c3d4e5f"]);
    assert_eq!(int(&row(&batch, "interface", "eth0"), "rx_bytes"), Some(287_690_757));
    assert_eq!(int(&row(&batch, "interface", "eth0:1"), "tx_bytes"), Some(200));
    assert_eq!(int(&row(&batch, "interface", "tun0"), "tx_bytes"), None);
    assert_eq!(int(&row(&batch, "interface", "br-0a1b2c3d4e5f"), "rx_bytes"), None, "beyond 2^63");
    assert_eq!(kept.health(), [("malformed".into(), 1, "a line of /proc/net/dev".into())]);
}

#[test]
fn disks_without_partitions_loops_and_ram() {
    let (kept, context) = kept();
    let root = changeable("host/workstation");
    let mut disks = disk::Disks::open(root.path()).unwrap();
    let first = sample(&mut *disks, &context);
    assert_eq!(strings(&first, "device"), ["nvme0n1", "sda", "dm-0"]);
    let nvme = row(&first, "device", "nvme0n1");
    assert_eq!(int(&nvme, "read_bytes"), Some(33_554_432 * 512));
    assert_eq!(int(&nvme, "write_busy_ms"), Some(198_765));
    assert_eq!([float(&nvme, "busy_pct"), float(&nvme, "read_ops_per_s")], [None, None]);
    let more = ["weighted_ms", "discard_ops", "discard_bytes", "discard_busy_ms", "flush_ops"];
    let expected = [300_000, 1000, 4_194_304 * 512, 500, 9000].map(Some);
    assert_eq!(more.map(|c| int(&nvme, c)), expected);
    let physical = |name: &str| whether(&row(&first, "device", name), "physical");
    assert_eq!(["nvme0n1", "sda", "dm-0"].map(physical), [Some(true), Some(true), Some(false)]);

    replace(root.path(), "proc/diskstats", " 250000 ", " 250010 ");
    replace(root.path(), "proc/diskstats", "sda 5000", "sdb 5000");
    let second = sample(&mut *disks, &context);
    assert!(float(&row(&second, "device", "nvme0n1"), "busy_pct").unwrap() > 0.0);
    assert_eq!(strings(&second, "device"), ["nvme0n1", "dm-0"], "sdb is not in /sys/block");
    assert_eq!(kept.health(), [("unplugged".into(), 1, "block device sda".into())]);

    let mut disks = disk::Disks::open(&fixture("host/odd")).unwrap();
    let batch = sample(&mut *disks, &context);
    assert_eq!(strings(&batch, "device"), ["sda", "sda1", "cciss/c0d0", "loopback"]);
    let sda = row(&batch, "device", "sda");
    assert_eq!([int(&sda, "read_bytes"), int(&sda, "write_bytes")], [None, Some(81_920)]);
    assert_eq!([int(&sda, "flush_ops"), int(&sda, "discard_ops")], [None, None], "an old kernel");
    assert_eq!(whether(&sda, "physical"), None);
}

#[test]
fn the_inventory_of_both() {
    let found = inventory(&fixture("host/workstation"));
    assert_eq!(found["hostname"], "bench-01");
    assert_eq!(found["os"], "Debian GNU/Linux 13 (trixie)");
    assert_eq!(found["cpu"]["model"], "AMD Ryzen 9 7950X 16-Core Processor");
    assert_eq!(
        [&found["cpu"]["logical"], &found["cpu"]["cores"], &found["cpu"]["sockets"]],
        [32, 16, 1]
    );
    assert_eq!(found["board"]["name"], "ROG CROSSHAIR X670E HERO");
    assert_eq!(found["disks"].as_array().unwrap().len(), 2);
    assert_eq!(found["disks"][0]["model"], "Samsung SSD 990 PRO 2TB");
    assert_eq!(found["disks"][1]["bytes"], 15_628_053_168u64 * 512);
    assert_eq!(found["disks"][1]["rotational"], true);

    let found = inventory(&fixture("host/odd"));
    assert_eq!(found["board"]["name"], "Raspberry Pi 4 Model B Rev 1.4");
    assert_eq!(found["memory_bytes"], 1_024_000);
    for unknown in ["hostname", "kernel", "os", "disks"] {
        assert!(found[unknown].is_null(), "{unknown}");
    }
    assert!(found["cpu"]["cores"].is_null() && found["bios"]["date"].is_null());
}

#[test]
fn this_machine_is_sampled_until_stopped() {
    let sources: [fn(&'static str, f64) -> HostSource; 4] =
        [HostSource::cpu, HostSource::memory, HostSource::net, HostSource::disk];
    let with_psi = Path::new("/proc/pressure/cpu").is_file();
    let pressure = with_psi.then_some(("pressure", HostSource::pressure as fn(_, _) -> _));
    let tables = ["cpu", "memory", "net", "disk"].into_iter().zip(sources).chain(pressure);
    for (table, source) in tables {
        let (kept, context) = kept();
        let mut source = source("/", 50.0);
        run_until(&mut source, &kept, &context, |kept| kept.of(table).len() >= 3);
        let batches = kept.of(table);
        let name = format!("host.{table}");
        assert_eq!(source.name(), name);
        assert!(strings(&batches[0], "source").iter().all(|s| *s == name), "{table}");
        assert_eq!(context.status().state().0, SourceState::Up);
        assert_eq!(kept.health()[0], ("up".into(), 1, format!("{name} at 50 Hz")));
    }
}

#[test]
fn a_machine_without_proc_is_told_why() {
    let (kept, context) = kept();
    let empty = tempfile::tempdir().unwrap();
    let error = HostSource::disk(empty.path(), 10.0).run(&context).unwrap_err();
    assert!(matches!(&error, SourceError::Retry(text)
            if text.contains("proc/diskstats") && text.ends_with("is procfs mounted there?")));
    assert!(kept.health().is_empty(), "the supervisor tells it");
}

#[test]
fn the_clocks_are_logged_at_start_and_end() {
    let (kept, context) = kept();
    let mut source = ClockSource::new();
    run_until(&mut source, &kept, &context, |kept| !kept.of("clock").is_empty());
    let clock = kept.of("clock");
    assert!(clock.len() >= 2, "{}", clock.len());
    for batch in &clock {
        let [monotonic, boottime] = ["monotonic_ns", "boottime_ns"].map(|c| int(batch, c).unwrap());
        let ts = batch["ts"].as_primitive::<TimestampNanosecondType>().value(0);
        assert_eq!(ts, monotonic + 1_000);
        let err = int(batch, "err_ns").unwrap();
        assert!(err >= 0 && boottime - monotonic >= -2 * err, "{batch:?}");
        assert_eq!(batch["rtt_min_ns"].null_count(), 1);
    }
    assert!(kept.health().is_empty());
}

#[test]
fn at_a_high_rate_rows_are_handed_over_together_and_none_is_left() {
    let (kept, context) = kept();
    let mut sampled = 0;
    let mut rows = rows_of("memory");
    sample_at(&context, 200.0, |tick| {
        sampled += 1;
        rows.begin(sampled, "test");
        tick.flush(&context, &mut rows);
        if sampled == 23 {
            context.stop().stop();
        }
        Ok(())
    })
    .unwrap();
    let batches: Vec<_> = kept.of("memory").iter().map(RecordBatch::num_rows).collect();
    assert_eq!(batches, [10, 10, 4], "24 samples, the last one of them after the stop");
}

#[test]
fn faults_are_told_at_once_and_then_counted() {
    let (kept, context) = kept();
    let mut faults = Faults::default();
    for _ in 0..5 {
        faults.note(Reason::Malformed, 2, "x");
        faults.tell(&context);
    }
    assert_eq!(kept.health(), [("malformed".into(), 2, "x".into())]);
    faults.tell_all(&context);
    assert_eq!(kept.health()[1..], [("malformed".into(), 8, "x".into())]);
}
