//! What is read from the kernel, and NVML.

use std::path::{Path, PathBuf};
use std::process::Command;

use bl_ingest::Source;
use bl_ingest::gpu::{Choice, DrmSource, NvidiaSource};
use bl_ingest::host::HostSource;
use bl_ingest::hwmon::HwmonSource;
use bl_ingest::rapl::RaplSource;
use bl_ingest::source::SourceState;

use super::bench::{Bench, as_nobody, named, wait_for};

/// One source, and how its tree of files is broken.
struct Case {
    /// What it is called.
    name: &'static str,
    /// What its rows say in `source`.
    source: &'static str,
    fixture: &'static str,
    make: fn(&Path) -> Box<dyn Source>,
    /// Ends of the paths of the files without which it cannot begin.
    entries: &'static [&'static str],
    /// Ends of the paths of the files that hold this column of its table.
    values: &'static [&'static str],
    table: &'static str,
    column: &'static str,
    /// What is taken away when it is unplugged: a line with this text in that file, or a folder.
    unplugged: Unplugged,
}

enum Unplugged {
    Line(&'static str, &'static str),
    Folder(&'static str),
    /// It cannot be; the file is not there at first, as before procfs is mounted.
    Never,
}

const HZ: f64 = 50.0;

static CASES: [Case; 9] = [
    Case {
        name: "host.cpu",
        source: "host.cpu",
        fixture: "host/workstation",
        make: |root| Box::new(HostSource::cpu(root, HZ)),
        entries: &["proc/stat"],
        values: &["proc/stat"],
        table: "cpu",
        column: "user_ticks",
        unplugged: Unplugged::Line("proc/stat", "cpu5 "),
    },
    Case {
        name: "host.memory",
        source: "host.memory",
        fixture: "host/workstation",
        make: |root| Box::new(HostSource::memory(root, HZ)),
        entries: &["proc/meminfo"],
        values: &["proc/meminfo"],
        table: "memory",
        column: "total_bytes",
        unplugged: Unplugged::Never,
    },
    Case {
        name: "host.net",
        source: "host.net",
        fixture: "host/workstation",
        make: |root| Box::new(HostSource::net(root, HZ)),
        entries: &["proc/net/dev"],
        values: &["proc/net/dev"],
        table: "net",
        column: "rx_bytes",
        unplugged: Unplugged::Line("proc/net/dev", "wlp6s0"),
    },
    Case {
        name: "host.disk",
        source: "host.disk",
        fixture: "host/workstation",
        make: |root| Box::new(HostSource::disk(root, HZ)),
        entries: &["proc/diskstats"],
        values: &["proc/diskstats"],
        table: "disk",
        column: "read_bytes",
        unplugged: Unplugged::Line("proc/diskstats", " sda "),
    },
    Case {
        name: "host.pressure",
        source: "host.pressure",
        fixture: "host/workstation",
        make: |root| Box::new(HostSource::pressure(root, HZ)),
        entries: &["proc/pressure/cpu"],
        values: &["proc/pressure/cpu", "proc/pressure/memory", "proc/pressure/io"],
        table: "pressure",
        column: "some_us",
        unplugged: Unplugged::Never,
    },
    Case {
        name: "host.hwmon",
        source: "host.hwmon",
        fixture: "hwmon/desktop",
        make: |root| Box::new(HwmonSource::new(root, HZ)),
        entries: &["/name"],
        values: &["_input", "pwm1"],
        table: "hwmon",
        column: "value",
        unplugged: Unplugged::Folder("sys/class/hwmon"),
    },
    Case {
        name: "gpu.amd",
        source: "gpu.amd",
        fixture: "gpu/amd-old",
        make: |root| Box::new(DrmSource::amd(root, HZ, Choice::default())),
        entries: &["device/uevent"],
        values: &["gpu_busy_percent"],
        table: "gpu",
        column: "util_pct",
        unplugged: Unplugged::Folder("sys/class/drm/card0"),
    },
    Case {
        name: "gpu.intel",
        source: "gpu.intel",
        fixture: "gpu/intel",
        make: |root| Box::new(DrmSource::intel(root, HZ, Choice::default())),
        entries: &["device/uevent"],
        values: &["energy1_input", "energy2_input"],
        table: "gpu",
        column: "energy_j",
        unplugged: Unplugged::Folder("sys/class/drm"),
    },
    Case {
        name: "host.rapl",
        source: "host.rapl",
        fixture: "rapl/server",
        make: |root| Box::new(RaplSource::new(root, HZ)),
        entries: &["energy_uj"],
        values: &["energy_uj"],
        table: "rapl",
        column: "energy_uj",
        unplugged: Unplugged::Folder("sys/class/powercap"),
    },
];

/// A copy of a case's files.
struct Tree {
    case: &'static Case,
    folder: tempfile::TempDir,
}

impl Tree {
    fn all() -> Vec<Self> {
        CASES.iter().map(|case| Self { case, folder: copy_of(case.fixture) }).collect()
    }

    fn source(&self) -> Box<dyn Source> {
        named(self.case.name, (self.case.make)(self.folder.path()))
    }

    /// The files whose paths end so.
    fn files(&self, ends: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        each_file(self.folder.path(), &mut |path| {
            let text = path.to_str().unwrap();
            found.extend(ends.iter().any(|end| text.ends_with(end)).then(|| path.to_owned()));
        });
        assert!(!found.is_empty(), "{}: no file ends with {ends:?}", self.case.name);
        found
    }

    fn unplug(&self) {
        let root = self.folder.path();
        match self.case.unplugged {
            Unplugged::Line(file, word) => {
                let text = std::fs::read_to_string(root.join(file)).unwrap();
                let left: String =
                    text.split_inclusive('\n').filter(|line| !line.contains(word)).collect();
                assert!(left.len() < text.len(), "{file} has no {word}");
                std::fs::write(root.join(file), left).unwrap();
            }
            Unplugged::Folder(folder) => std::fs::remove_dir_all(root.join(folder)).unwrap(),
            Unplugged::Never => {}
        }
    }
}

fn each_file(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => each_file(&path, visit),
            false => visit(&path),
        }
    }
}

/// A copy of a fixture that may be broken; anyone may look into it.
fn copy_of(fixture: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(fixture, folder.path());
    set_mode(folder.path(), 0o755);
    folder
}

fn copy(fixture: &str, to: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    assert!(Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status().unwrap().success());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts a pipe that nobody writes into in the place of a file: to open it hangs, as some drivers' files do.
fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    std::fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

/// The energy events of perf: a machine without powercap, whose PMU is `broken` in its file `type`.
fn perf(broken: impl Fn(&Path)) -> tempfile::TempDir {
    let folder = copy_of("rapl/laptop");
    std::fs::remove_dir_all(folder.path().join("sys/class/powercap")).unwrap();
    broken(&folder.path().join("sys/bus/event_source/devices/power/type"));
    folder
}

const PERF: &str = "host.rapl of perf";

fn perf_source(folder: &tempfile::TempDir) -> Box<dyn Source> {
    Box::new(RaplSource::new(folder.path(), HZ))
}

/// NVML, through a library that a C compiler makes of the stub.
fn nvml(folder: &Path, defines: &[&str]) -> NvidiaSource {
    let library = folder.join("libnvidia-ml-stub.so");
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml/stub.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(stub).args(defines);
    assert!(compiler.status().unwrap().success());
    let second = "GPU-00000000-0000-0000-0000-000000000001".to_owned();
    NvidiaSource::new(HZ, Choice::only(vec![second])).with_library(library)
}

#[test]
fn hung() {
    let (trees, folder) = (Tree::all(), tempfile::tempdir().unwrap());
    for tree in &trees {
        tree.files(tree.case.entries).iter().for_each(|file| make_pipe(file));
    }
    let perf = perf(make_pipe);
    let mut sources: Vec<_> = trees.iter().map(Tree::source).collect();
    sources.push(Box::new(nvml(folder.path(), &["-DHANG"])));
    sources.push(named(PERF, perf_source(&perf)));
    let bench = Bench::start(sources);
    let mut names: Vec<_> = trees.iter().map(|tree| tree.case.name).collect();
    names.extend(["gpu.nvml", PERF]);
    for name in &names {
        bench.await_told(name, "stalled", "has hung in one call");
    }
    bench.assert_goes_on();
    for name in &names {
        assert_eq!(bench.told(name).len(), 1, "once: {:?}", bench.told(name));
        assert_eq!((bench.rows(name), bench.state(name)), (0, SourceState::Waiting), "{name}");
    }
    let mut hung = bench.finish().hung;
    names.sort_unstable();
    hung.sort_unstable();
    assert_eq!(hung, names, "left behind, and said so");
}

#[test]
fn denied() {
    let (trees, folder) = (Tree::all(), tempfile::tempdir().unwrap());
    for tree in &trees {
        tree.files(tree.case.entries).iter().for_each(|file| set_mode(file, 0));
    }
    let perf = perf(|file| set_mode(file, 0));
    let refused = |tree: &Tree| as_nobody(tree.case.name, (tree.case.make)(tree.folder.path()));
    let mut sources: Vec<_> = trees.iter().map(refused).collect();
    sources.push(Box::new(nvml(folder.path(), &["-DDENIED"])));
    sources.push(as_nobody(PERF, perf_source(&perf)));
    let bench = Bench::start(sources);
    for tree in &trees {
        let name = tree.case.name;
        bench.await_told(name, "denied", "Permission denied");
        let [detail] = &bench.details(name, "denied")[..] else { panic!("{:?}", bench.told(name)) };
        assert!(tree.files(tree.case.entries).iter().any(|f| detail.contains(f.to_str().unwrap())));
        assert_eq!((bench.rows(name), bench.state(name)), (0, SourceState::Waiting), "{name}");
    }
    bench.await_told("gpu.nvml", "denied", "/dev/nvidia");
    bench.await_told(PERF, "denied", "CAP_PERFMON");
    bench.assert_goes_on();
    // From now on they may be read: within half a minute everything is recorded.
    for tree in &trees {
        tree.files(tree.case.entries).iter().for_each(|file| set_mode(file, 0o644));
    }
    for tree in &trees {
        bench.await_rows(tree.case.name, 0);
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}

#[test]
fn malformed() {
    let (trees, folder) = (Tree::all(), tempfile::tempdir().unwrap());
    let perf = perf(|file| std::fs::write(file, "what?\n").unwrap());
    let text = folder.path().join("libnvidia-ml.so");
    std::fs::write(&text, "no library\n").unwrap();
    let mut sources: Vec<_> = trees.iter().map(Tree::source).collect();
    sources.push(Box::new(NvidiaSource::new(HZ, Choice::default()).with_library(text)));
    sources.push(named(PERF, perf_source(&perf)));
    let bench = Bench::start(sources);
    bench.await_told("gpu.nvml", "down", "NVML");
    bench.await_told(PERF, "down", "type: its text makes no sense");
    let known = |tree: &Tree| bench.known(tree.case.table, tree.case.column, tree.case.source);
    let mut whole = Vec::new();
    for tree in &trees {
        wait_for(tree.case.name, || known(tree) > 0);
        for file in tree.files(tree.case.values) {
            whole.push((file.clone(), std::fs::read(&file).unwrap()));
            std::fs::write(file, "what?\n").unwrap();
        }
    }
    for tree in &trees {
        bench.await_told(tree.case.name, "malformed", "makes no sense");
    }
    let before: Vec<_> = trees.iter().map(known).collect();
    bench.assert_goes_on();
    bench.assert_goes_on();
    assert_eq!(trees.iter().map(known).collect::<Vec<_>>(), before, "values were made up");
    for name in ["gpu.nvml", PERF] {
        assert_eq!((bench.rows(name), bench.state(name)), (0, SourceState::Waiting), "{name}");
    }
    for (file, text) in whole {
        std::fs::write(file, text).unwrap();
    }
    for (tree, before) in trees.iter().zip(before) {
        wait_for(tree.case.name, || known(tree) > before);
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}

#[test]
fn unplugged() {
    let (trees, folder) = (Tree::all(), tempfile::tempdir().unwrap());
    let memory = trees.iter().find(|tree| tree.case.name == "host.memory").unwrap();
    let meminfo = memory.folder.path().join("proc/meminfo");
    let text = std::fs::read(&meminfo).unwrap();
    std::fs::remove_file(&meminfo).unwrap();
    let mut sources: Vec<_> = trees.iter().map(Tree::source).collect();
    sources.push(Box::new(nvml(folder.path(), &["-DLOSE_AFTER=2"])));
    let bench = Bench::start(sources);
    bench.await_told("host.memory", "down", "is procfs mounted there?");
    std::fs::write(&meminfo, text).unwrap();
    for tree in &trees {
        bench.await_rows(tree.case.name, 0);
        tree.unplug();
    }
    let unplugged: Vec<_> =
        trees.iter().filter(|tree| !matches!(tree.case.unplugged, Unplugged::Never)).collect();
    for tree in &unplugged {
        bench.await_told(tree.case.name, "unplugged", "");
    }
    bench.await_told("gpu.nvml", "unplugged", "has fallen off the bus");
    bench.assert_goes_on();
    // Where everything has gone, nothing is recorded and the source says that it waits, until it is back.
    let gone: Vec<_> =
        trees.iter().filter(|tree| matches!(tree.case.unplugged, Unplugged::Folder(_))).collect();
    for name in gone.iter().map(|tree| tree.case.name).chain(["gpu.nvml"]) {
        wait_for(name, || bench.state(name) == SourceState::Waiting);
        let rows = bench.rows(name);
        bench.assert_goes_on();
        assert_eq!(bench.rows(name), rows, "{name}");
    }
    let rows: Vec<_> = gone.iter().map(|tree| bench.rows(tree.case.name)).collect();
    gone.iter().for_each(|tree| copy(tree.case.fixture, tree.folder.path()));
    for (name, rows) in gone.iter().map(|tree| tree.case.name).zip(rows) {
        bench.await_rows(name, rows);
        assert_eq!(bench.state(name), SourceState::Up, "{name}");
    }
    assert_eq!(bench.finish().hung, Vec::<String>::new());
}
