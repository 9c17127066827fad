//! What recording costs. `recorder board LINK` is a virtual board until it is ended; `recorder record LINK SECONDS
//! [FLUSH_MS SYNC_MS]` records it at default rates beside the host, into a folder that goes again, and says what each thread took;
//! with `BL_ALERTS` in its environment it judges by the alerts that come along.
//!
//! Processor time and wake-ups are those of `/proc/self/task/*`: time to the nanosecond (`schedstat`), wake-ups as voluntary
//! switches (`status`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bl_ingest::Recording;
use bl_ingest::alert::with_shipped;
use bl_ingest::host::{ClockSource, HostSource};
use bl_ingest::hwmon::HwmonSource;
use bl_ingest::rapl::RaplSource;
use bl_ingest::serial::emulator::BoardOptions;
use bl_ingest::serial::protocol::Model;
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector, emulate};
use bl_ingest::source::Stop;
use bl_store::{SessionSpec, Store, WriteOptions};

/// As `bl config default` has them.
const BOARD_HZ: f64 = 50.0;
const HOST_HZ: f64 = 10.0;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["board", link] => {
            let mut options = BoardOptions::new(Model::Benchlab2, 1);
            options.link = Some(link.into());
            Ok(emulate(options, &Stop::new()?, &mut std::io::stdout())?)
        }
        ["record", link, seconds, rest @ ..] => {
            let mut options = WriteOptions::default();
            if let [flush_ms, sync_ms] = rest {
                options.flush_every = Duration::from_millis(flush_ms.parse()?);
                options.sync_every = Duration::from_millis(sync_ms.parse()?);
            }
            record(link, Duration::from_secs(seconds.parse()?), options)
        }
        _ => Err(
            "call it as recorder board LINK, or recorder record LINK SECONDS [FLUSH_MS SYNC_MS]"
                .into(),
        ),
    }
}

fn record(link: &str, span: Duration, options: WriteOptions) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let spec = SessionSpec { node: "here".into(), ..SessionSpec::default() };
    let store = Store::new(folder.path());
    let recording = Recording::begin(&store, spec, options, Stop::new()?)?;
    if std::env::var_os("BL_ALERTS").is_some() {
        recording.start_alerts(with_shipped(&[])?)?;
    }
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let selector = Selector::Path(link.into());
    recording.start(Box::new(BenchlabSource::new(selector, roster, BOARD_HZ).simulated()))?;
    recording.start(Box::new(ClockSource::new()))?;
    recording.start(Box::new(HostSource::cpu("/", HOST_HZ)))?;
    recording.start(Box::new(HostSource::memory("/", HOST_HZ)))?;
    recording.start(Box::new(HostSource::net("/", HOST_HZ)))?;
    recording.start(Box::new(HostSource::disk("/", HOST_HZ)))?;
    recording.start(Box::new(HwmonSource::new("/", HOST_HZ)))?;
    recording.start(Box::new(RaplSource::new("/", HOST_HZ)))?;
    // What it takes to begin is not what it takes to go on.
    std::thread::sleep(Duration::from_secs(2));
    let (before, began) = (threads()?, Instant::now());
    std::thread::sleep(span);
    let (after, seconds) = (threads()?, began.elapsed().as_secs_f64());
    println!("{:<16} {:>8} {:>10}", "thread", "% of one", "wake-ups/s");
    let mut sum = (0.0, 0.0);
    for ((id, name), (ns, wakes)) in &after {
        let (ns_before, wakes_before) = before.get(&(*id, name.clone())).copied().unwrap_or((0, 0));
        let share = (ns - ns_before) as f64 / 1e7 / seconds;
        let rate = (wakes - wakes_before) as f64 / seconds;
        sum = (sum.0 + share, sum.1 + rate);
        println!("{name:<16} {share:>8.3} {rate:>10.1}");
    }
    println!("{:<16} {:>8.3} {:>10.1}", "all", sum.0, sum.1);
    let summary = recording.finish()?;
    println!("rows: {:?}; lost: {:?}", summary.manifest.rows, summary.lost);
    Ok(())
}

/// What a thread has taken since it began: processor time in ns, and voluntary switches.
type Taken = (u64, u64);

/// What each thread has taken, by its id and name.
fn threads() -> Result<BTreeMap<(u32, String), Taken>, Failure> {
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let folder = entry?.path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let id = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().parse()?;
        let ns = read("schedstat")?.split(' ').next().unwrap_or_default().parse()?;
        let status = read("status")?;
        let switches = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        let name = read("comm")?.trim().to_owned();
        threads.insert((id, name), (ns, switches.unwrap_or("0").trim().parse()?));
    }
    Ok(threads)
}
