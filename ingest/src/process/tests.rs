use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};

use super::*;
use crate::source::kept::*;

/// The processes of a tree.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A process with so much time in the program and in the kernel, in ticks.
    fn process(&self, pid: i32, name: &str, ticks: [u64; 2], start: u64) {
        let [user, system] = ticks;
        let text = format!(
            "{pid} ({name}) S 1 {pid} {pid} 0 -1 4194560 9 0 1 0 {user} {system} 7 8 20 0 3 0 {start} 1234567 100 1 1\n"
        );
        self.write(&format!("proc/{pid}/stat"), &text);
    }

    fn processes(&self, top: usize) -> Processes {
        Processes::new(ProcFiles::open(self.0.path()).unwrap(), 1, top)
    }
}

fn sample(processes: &mut Processes) -> RecordBatch {
    let mut table = ProcessTable::new();
    let mut faults = Faults::default();
    for row in processes.sample(&mut faults).unwrap() {
        table.add(ANCHOR, &row);
    }
    table.rows.finish()
}

/// So that time passes between two samples.
fn wait() {
    std::thread::sleep(std::time::Duration::from_millis(20));
}

fn bools(batch: &RecordBatch, column: &str) -> Vec<bool> {
    batch[column].as_boolean().iter().flatten().collect()
}

#[test]
fn who_worked_most_comes_first_and_our_own_row_is_always_there() {
    let tree = Tree::new();
    for (pid, name) in [(1, "bl"), (20, "game"), (30, "encoder"), (40, "idle"), (50, "shell")] {
        tree.process(pid, name, [100, 10], 7);
    }
    tree.write("proc/20/cgroup", "0::/user.slice/game.scope\n");
    tree.write("proc/20/io", "read_bytes: 1000\nwrite_bytes: 2000\n");
    tree.write("proc/self/stat", "no process by its name");
    let mut processes = tree.processes(2);
    let begin = monotonic_ns();
    // In a first sample nobody has worked yet, as far as can be known.
    let first = sample(&mut processes);
    assert_eq!(strings(&first, "name"), ["bl"]);
    assert_eq!(float(&first, "cpu_pct"), None);

    wait();
    tree.process(20, "game", [300, 60], 7);
    tree.process(30, "encoder", [110, 11], 7);
    tree.process(50, "shell", [101, 10], 7);
    let before = monotonic_ns();
    let second = sample(&mut processes);
    assert_eq!(strings(&second, "name"), ["game", "encoder", "bl"], "the first two, and bl");
    assert_eq!(bools(&second, "is_own"), [false, false, true]);
    let game = row(&second, "name", "game");
    let [user, system, start] = ["user_ms", "system_ms", "start_ms"].map(|c| int(&game, c));
    assert_eq!([user, system, start], [Some(3000), Some(600), Some(70)]);
    assert_eq!(int(&game, "read_bytes"), Some(1000));
    assert_eq!(float(&game, "read_bytes_per_s"), None, "it is read for the first time");
    assert_eq!(strings(&game, "cgroup"), ["/user.slice/game.scope"]);
    let page = rustix::param::page_size() as i64;
    assert_eq!(int(&game, "rss_bytes"), Some(100 * page));
    assert_eq!(game["threads"].as_primitive::<Int32Type>().value(0), 3);
    // 2.5 s and 110 ms of work, in 20 ms or more: of one processor that is more than there is, as the ticks are made up.
    let of = |name: &str| float(&row(&second, "name", name), "cpu_pct").unwrap();
    let most_s = (monotonic_ns() - begin) as f64 / 1e9;
    for (name, worked_s) in [("game", 2.5), ("encoder", 0.11)] {
        let (least, most) = (100.0 * worked_s / most_s, 100.0 * worked_s / 0.02);
        assert!(of(name) >= least && of(name) <= most, "{name}: {}", of(name));
    }
    assert_eq!(of("bl"), 0.0);
    assert!(row(&second, "name", "encoder")["cgroup"].is_null(0), "it may not be read");

    wait();
    tree.process(20, "game", [301, 60], 7);
    tree.write("proc/20/io", "read_bytes: 5000\nwrite_bytes: 2000\n");
    let third = sample(&mut processes);
    let seconds = (monotonic_ns() - before) as f64 / 1e9;
    let game = row(&third, "name", "game");
    let rate = float(&game, "read_bytes_per_s").unwrap();
    assert!(rate >= 4000.0 / seconds && rate < 4000.0 / 0.015, "{rate}");
    assert_eq!(float(&game, "write_bytes_per_s"), Some(0.0));
}

#[test]
fn a_number_that_is_used_again_is_another_process() {
    let tree = Tree::new();
    tree.process(1, "bl", [0, 0], 7);
    tree.process(20, "old", [900, 0], 7);
    let mut processes = tree.processes(20);
    sample(&mut processes);
    wait();
    tree.process(20, "new", [950, 0], 8);
    // What it did before it was first seen is not of this time.
    assert_eq!(strings(&sample(&mut processes), "name"), ["bl"]);
    wait();
    tree.process(20, "new", [951, 0], 8);
    assert_eq!(strings(&sample(&mut processes), "name"), ["new", "bl"]);
    std::fs::remove_dir_all(tree.0.path().join("proc/20")).unwrap();
    assert_eq!(strings(&sample(&mut processes), "name"), ["bl"]);
    assert_eq!(processes.known.len(), 1, "who has ended is forgotten");
}

/// Who idles is looked at in every fourth sample, and what it did meanwhile is not lost.
#[test]
fn who_begins_to_work_is_found_within_four_samples_with_all_that_it_did() {
    let tree = Tree::new();
    tree.process(1, "bl", [0, 0], 7);
    tree.process(20, "lazy", [100, 0], 7);
    let mut processes = tree.processes(20);
    let mut found = Vec::new();
    for i in 0..8 {
        wait();
        // From the third sample on it works.
        tree.process(20, "lazy", [100 + 10 * u64::from(i > 2), 0], 7);
        let batch = sample(&mut processes);
        if strings(&batch, "name").contains(&"lazy".to_owned()) {
            found.push((i, int(&row(&batch, "name", "lazy"), "user_ms").unwrap()));
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 <= 6 && found[0].1 == 1100, "{found:?}");
}

#[test]
fn engines_of_cards_are_told_by_their_clients() {
    let tree = Tree::new();
    tree.process(1, "bl", [0, 0], 7);
    tree.process(20, "game", [5, 0], 7);
    std::fs::create_dir_all(tree.0.path().join("dev/dri")).unwrap();
    let fdinfo = |gfx: u64| {
        format!(
            "drm-driver:\tamdgpu\ndrm-client-id:\t42\ndrm-pdev:\t0000:03:00.0\n\
             drm-memory-vram:\t2048 KiB\ndrm-engine-gfx:\t{gfx} ns\n"
        )
    };
    std::fs::create_dir_all(tree.0.path().join("proc/20/fd")).unwrap();
    let link = |fd: &str, to: &str| {
        std::os::unix::fs::symlink(to, tree.0.path().join("proc/20/fd").join(fd)).unwrap();
    };
    link("3", "/dev/dri/renderD128");
    link("4", "/dev/dri/renderD128"); // a copy of the same client
    link("5", "/dev/null");
    let set =
        |gfx: u64| ["3", "4"].map(|fd| tree.write(&format!("proc/20/fdinfo/{fd}"), &fdinfo(gfx)));
    set(1_000_000_000);
    let mut processes = tree.processes(20);
    assert_eq!(strings(&sample(&mut processes), "name"), ["bl"]);
    wait();
    set(1_010_000_000);
    let batch = sample(&mut processes);
    // It did nothing on the processor, and is there all the same.
    assert_eq!(strings(&batch, "name"), ["game", "bl"]);
    let game = row(&batch, "name", "game");
    assert_eq!(int(&game, "gpu_busy_ns"), Some(10_000_000), "the copy is not counted again");
    let busy = float(&game, "gpu_pct").unwrap();
    assert!(busy > 1.0 && busy <= 50.0, "10 ms in 20 ms or more: {busy}");
    assert_eq!(int(&game, "gpu_mem_bytes"), Some(2 << 20));
    assert_eq!(strings(&game, "gpu_uuid"), ["0000:03:00.0"]);
    assert!(row(&batch, "name", "bl")["gpu_pct"].is_null(0), "it has no card open");
    for gfx in [1_011_000_000, 1_012_000_000] {
        wait();
        set(gfx);
        assert_eq!(strings(&sample(&mut processes), "name"), ["game", "bl"], "in each sample");
    }
}

#[test]
fn this_process_is_among_those_of_this_machine() {
    let (kept, context) = kept();
    let mut source = ProcessSource::new("/", 10.0, 5);
    let mut turns = 0u64;
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            while !context.stopping() {
                turns = std::hint::black_box(turns + 1);
            }
        });
        run_until(&mut source, &kept, &context, |kept| kept.of("process").len() >= 8);
        working.join().unwrap();
    });
    let batches = kept.of("process");
    let own: Vec<_> = batches
        .iter()
        .map(|batch| {
            assert!(batch.num_rows() <= 6, "five, and our own");
            let at = bools(batch, "is_own").iter().position(|is| *is).expect("our own row");
            batch.slice(at, 1)
        })
        .collect();
    let last = own.last().unwrap();
    assert_eq!(last["pid"].as_primitive::<Int32Type>().value(0), std::process::id() as i32);
    assert!(int(last, "rss_bytes").unwrap() > 1 << 20);
    assert!(int(last, "write_bytes").is_some() && last["cgroup"].is_valid(0));
    let busiest = own.iter().filter_map(|row| float(row, "cpu_pct")).fold(0.0, f64::max);
    assert!(busiest > 10.0, "a thread of it did nothing but work: {busiest} %");
}

#[test]
fn a_machine_without_proc_is_told() {
    let (_, context) = kept();
    let empty = tempfile::tempdir().unwrap();
    let error = ProcessSource::new(empty.path(), 1.0, 20).run(&context).unwrap_err();
    assert!(matches!(error, SourceError::Retry(_)), "{error}");
    assert!(error.to_string().contains("proc"), "{error}");
    assert!(ProcFiles::open(Path::new("/nowhere")).is_err());
}
