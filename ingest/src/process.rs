//! Table `process`: who uses the machine.

mod clients;
mod fdinfo;
mod files;
mod stat;
mod table;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bl_store::clock::monotonic_ns;

use crate::source::{Context, Faults, Reason, Source, SourceError, sample_at};
use clients::{Clients, Work};
use files::ProcFiles;
use stat::Stat;
use table::ProcessTable;

const NAME: &str = "host.process";

/// A process that did nothing lately is looked at in every so many samples only: most do nothing most of the time, and
/// their counters forget nothing.
const IDLE_TURN: u64 = 4;

/// Samples table `process`: the processes that worked most, and the one that records.
///
/// Its rate is meant to be 1 Hz: a sample reads one file a process that works, and of those that idle one in four. Of 129
/// processes on a busy machine that took 0.9 ms of processor time, not optimised (`examples/process_cost`); `sysinfo` 0.40 had
/// taken 5.7 ms to refresh its processes on a machine of that kind.
#[derive(Debug)]
pub struct ProcessSource {
    root: PathBuf,
    hz: f64,
    top: usize,
}

impl ProcessSource {
    /// Samples `hz` times a second the `top` processes of what lies under `root` (`/`, but for tests).
    pub fn new(root: impl Into<PathBuf>, hz: f64, top: usize) -> Self {
        Self { root: root.into(), hz, top }
    }
}

impl Source for ProcessSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let files = context.watched(Duration::ZERO, || ProcFiles::open(&self.root))?;
        let mut processes = Processes::new(files, own, self.top);
        let mut table = ProcessTable::new();
        context.up(format!("the first {} processes at {} Hz", self.top, self.hz));
        sample_at(context, self.hz, |tick| {
            let sample = processes.sample(&mut tick.faults)?;
            for row in sample {
                table.add(context.anchor(), &row);
            }
            tick.flush(context, &mut table.rows);
            Ok(())
        })
    }
}

/// What is remembered of the processes that are there.
struct Processes {
    files: ProcFiles,
    clients: Clients,
    /// The process that records.
    own: i32,
    top: usize,
    known: HashMap<i32, Known>,
    samples: u64,
}

/// One process, as it was when it was last looked at.
struct Known {
    stat: Stat,
    at_ns: i64,
    cpu_pct: Option<f64>,
    work: Work,
    /// In which sample it was last listed and looked at.
    listed: u64,
    looked_at: u64,
    /// When its traffic was last read, and what it was.
    io: Option<(i64, [u64; 2])>,
    cgroup: Option<String>,
}

/// One row of the table.
struct Row<'a> {
    pid: i32,
    is_own: bool,
    known: &'a Known,
    /// Bytes a second read and written.
    io_per_s: [Option<f64>; 2],
}

impl Processes {
    fn new(files: ProcFiles, own: i32, top: usize) -> Self {
        let clients = Clients::default();
        Self { files, clients, own, top, known: HashMap::new(), samples: 0 }
    }

    /// The rows of a sample, who worked most first.
    fn sample(&mut self, faults: &mut Faults) -> Result<Vec<Row<'_>>, SourceError> {
        self.samples += 1;
        let pids = self.files.pids()?;
        for pid in &pids {
            self.look_at(*pid, faults);
        }
        let now = self.samples;
        self.known.retain(|_, known| known.listed == now);
        self.clients.search(&self.files, &pids);
        for (pid, work) in self.clients.read(&mut self.files, monotonic_ns()) {
            if let Some(known) = self.known.get_mut(&pid) {
                known.work = work;
            }
        }
        Ok(self.first())
    }

    /// Reads what a process has used, if it is its turn.
    fn look_at(&mut self, pid: i32, faults: &mut Faults) {
        let (samples, own) = (self.samples, self.own);
        if let Some(known) = self.known.get_mut(&pid) {
            known.listed = samples;
            let idles = known.cpu_pct == Some(0.0) && known.work.busy_pct.unwrap_or(0.0) == 0.0;
            if idles && pid != own && known.looked_at + IDLE_TURN > samples {
                return;
            }
        }
        // One that has ended since it was listed is no fault; the next list lacks it.
        let Some((text, at_ns)) = self.files.read(pid, "stat") else { return };
        let Some(stat) = Stat::parse(text) else {
            return faults.note(Reason::Malformed, 1, "a file /proc/PID/stat");
        };
        let before =
            self.known.get(&pid).filter(|known| known.stat.start_ticks == stat.start_ticks);
        let cpu_pct = before.and_then(|before| {
            // A tick is 10 ms; the counters of a process do not go back.
            let gained_ms = 10 * stat.ticks().checked_sub(before.stat.ticks())?;
            let elapsed_ns = at_ns - before.at_ns;
            (elapsed_ns > 0).then(|| 1e8 * gained_ms as f64 / elapsed_ns as f64)
        });
        match self.known.get_mut(&pid) {
            Some(known) if known.stat.start_ticks == stat.start_ticks => {
                (known.stat, known.at_ns, known.cpu_pct) = (stat, at_ns, cpu_pct);
                known.looked_at = samples;
            }
            _ => {
                let known = Known {
                    stat,
                    at_ns,
                    cpu_pct,
                    work: Work::default(),
                    listed: samples,
                    looked_at: samples,
                    io: None,
                    cgroup: None,
                };
                self.known.insert(pid, known);
            }
        }
    }

    /// The processes that worked most and were looked at in this sample, and our own.
    fn first(&mut self) -> Vec<Row<'_>> {
        let Self { files, own, top, known, samples, .. } = self;
        let worked =
            |known: &Known| known.cpu_pct.unwrap_or(0.0) + known.work.busy_pct.unwrap_or(0.0);
        let mut first: Vec<_> = known
            .iter_mut()
            .filter(|(pid, known)| {
                **pid == *own || (known.looked_at == *samples && worked(known) > 0.0)
            })
            .collect();
        first.sort_by(|(_, a), (_, b)| worked(b).total_cmp(&worked(a)));
        let mut others = 0;
        first.retain(|(pid, _)| {
            others += usize::from(**pid != *own);
            **pid == *own || others <= *top
        });
        let rows = first.into_iter().map(|(pid, known)| {
            let io_per_s = known.read_more(files, *pid);
            Row { pid: *pid, is_own: *pid == *own, known, io_per_s }
        });
        rows.collect()
    }
}

impl Known {
    /// Reads what only those that are first are asked, and returns the rates of its traffic.
    fn read_more(&mut self, files: &mut ProcFiles, pid: i32) -> [Option<f64>; 2] {
        if self.cgroup.is_none() {
            self.cgroup = files.read(pid, "cgroup").and_then(|(text, _)| stat::cgroup(text));
        }
        let now = files.read(pid, "io").and_then(|(text, at_ns)| Some((at_ns, stat::io(text)?)));
        let before = std::mem::replace(&mut self.io, now);
        let (Some((then_ns, before)), Some((now_ns, now))) = (before, now) else {
            return [None; 2];
        };
        std::array::from_fn(|i| {
            let gained = now[i].checked_sub(before[i])?;
            (now_ns > then_ns).then(|| gained as f64 * 1e9 / (now_ns - then_ns) as f64)
        })
    }
}

#[cfg(test)]
mod tests;
