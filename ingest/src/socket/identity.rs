//! Which pipeline an event is of, where several senders give one name.
//!
//! A pipeline is its name and who sends it. A sender whose hello tells its process has pipelines of its
//! own. Others may share one, each sending stages of it (a capture and an encoder, or a shell that
//! connects for each event): a stage belongs to one connection at a time, and a connection that sends one
//! which another still sends has a pipeline of its own. The first of a name keeps it, the next ones are
//! `name@2`, `name@3`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A process, as its hello tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub pid: i64,
    /// When it began, in clock ticks since boot.
    pub start: i64,
}

impl Process {
    /// The process of that pid, if it is there.
    pub fn of(pid: i64) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command, in parentheses, may hold anything; the start is the twentieth field after it (proc(5)).
        let start = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.pid, self.start)
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A process that told itself.
    Process(Process),
    /// The connection of that number.
    Connection(u64),
}

/// The pipelines that were told apart so far.
#[derive(Debug, Default)]
pub(super) struct Pipelines {
    by_name: HashMap<Option<String>, Vec<Pipeline>>,
    /// Names that are given away.
    names: HashSet<String>,
    /// Rises where an answer given before no longer holds.
    version: u64,
}

#[derive(Debug)]
struct Pipeline {
    told: Option<Arc<str>>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Process(Process),
    /// Stages, each with the connection that sends it, if it is still there.
    Connections(HashMap<String, Option<u64>>),
}

impl Pipelines {
    /// Rises where what [`Self::told`] gave may be another pipeline now.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The name that a sender's pipeline is recorded by.
    pub fn told(&mut self, sender: Sender, name: Option<&str>, stage: &str) -> Option<Arc<str>> {
        let of_name = self.by_name.entry(name.map(String::from)).or_default();
        let found = match sender {
            Sender::Process(process) => of_process(of_name, process),
            Sender::Connection(number) => {
                let (found, evicts) = of_connection(of_name, number, stage);
                self.version += u64::from(evicts);
                found
            }
        };
        if let Some(at) = found {
            return of_name[at].told.clone();
        }
        let told = free_name(&mut self.names, name, of_name.len());
        let of = match sender {
            Sender::Process(process) => Of::Process(process),
            Sender::Connection(number) => {
                Of::Connections(HashMap::from([(stage.to_string(), Some(number))]))
            }
        };
        of_name.push(Pipeline { told: told.clone(), of });
        told
    }

    /// A connection is gone: others may send its stages.
    pub fn leave(&mut self, connection: u64) {
        for pipeline in self.by_name.values_mut().flatten() {
            if let Of::Connections(stages) = &mut pipeline.of {
                stages.values_mut().filter(|of| **of == Some(connection)).for_each(|of| *of = None);
            }
        }
    }
}

fn of_process(pipelines: &[Pipeline], process: Process) -> Option<usize> {
    pipelines.iter().position(|known| matches!(known.of, Of::Process(of) if of == process))
}

/// The pipeline in which a connection sends a stage, and whether another one loses it by that.
fn of_connection(pipelines: &mut [Pipeline], number: u64, stage: &str) -> (Option<usize>, bool) {
    let sends = |at: &usize| match &pipelines[*at].of {
        Of::Connections(stages) => stages.values().any(|of| *of == Some(number)),
        Of::Process(_) => false,
    };
    let is_free = |at: &usize| match &pipelines[*at].of {
        Of::Connections(stages) => stages.get(stage).copied().flatten().is_none(),
        Of::Process(_) => false,
    };
    let all = 0..pipelines.len();
    let Some(at) = all.clone().find(sends).or_else(|| all.clone().find(is_free)) else {
        return (None, false);
    };
    let Of::Connections(stages) = &mut pipelines[at].of else { return (None, false) };
    let before = stages.insert(stage.to_string(), Some(number)).flatten();
    let evicted = before.filter(|before| *before != number);
    if let Some(evicted) = evicted {
        stages.retain(|_, of| *of != Some(evicted));
    }
    (Some(at), evicted.is_some())
}

/// The name for the next pipeline of a name.
fn free_name(names: &mut HashSet<String>, name: Option<&str>, known: usize) -> Option<Arc<str>> {
    let mut number = known + 1;
    loop {
        let told = match number {
            1 => name?.to_string(),
            _ => format!("{}@{number}", name.unwrap_or_default()),
        };
        if names.insert(told.clone()) {
            return Some(told.into());
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(to: &mut Pipelines, sender: Sender, name: Option<&str>, stage: &str) -> String {
        to.told(sender, name, stage).map_or_else(|| "-".to_string(), |told| told.to_string())
    }

    #[test]
    fn processes_of_one_name_are_told_apart() {
        let mut pipelines = Pipelines::default();
        let process = |pid| Sender::Process(Process { pid, start: 7 });
        let mut told = |pid, stage| told(&mut pipelines, process(pid), Some("pipeline0"), stage);
        assert_eq!(told(1, "in"), "pipeline0");
        assert_eq!(told(2, "out"), "pipeline0@2");
        assert_eq!(told(1, "out"), "pipeline0");
        assert_eq!(told(2, "in"), "pipeline0@2");
        assert_eq!(told(3, "in"), "pipeline0@3");
    }

    #[test]
    fn connections_share_a_pipeline_as_long_as_each_sends_stages_of_its_own() {
        let mut pipelines = Pipelines::default();
        let mut told =
            |number, stage| told(&mut pipelines, Sender::Connection(number), Some("cam"), stage);
        assert_eq!(told(1, "captured"), "cam");
        assert_eq!(told(2, "encoded"), "cam");
        assert_eq!(told(3, "captured"), "cam@2");
        assert_eq!(told(3, "encoded"), "cam@2");
        assert_eq!(told(1, "captured"), "cam");
    }

    #[test]
    fn who_comes_after_one_that_left_goes_on_with_its_stages() {
        let mut pipelines = Pipelines::default();
        for number in 1..9 {
            let sender = Sender::Connection(number);
            assert_eq!(told(&mut pipelines, sender, None, "in"), "-");
            pipelines.leave(number);
        }
    }

    #[test]
    fn one_that_was_first_with_a_stage_of_another_makes_room() {
        let mut pipelines = Pipelines::default();
        let (one, two) = (Sender::Connection(1), Sender::Connection(2));
        assert_eq!(told(&mut pipelines, one, Some("p"), "in"), "p");
        assert_eq!(told(&mut pipelines, two, Some("p"), "out"), "p");
        let before = pipelines.version();
        assert_eq!(told(&mut pipelines, one, Some("p"), "out"), "p");
        assert_ne!(pipelines.version(), before);
        assert_eq!(told(&mut pipelines, two, Some("p"), "out"), "p@2");
        assert_eq!(told(&mut pipelines, two, Some("p"), "in"), "p@2");
    }

    #[test]
    fn a_name_is_given_once() {
        let mut pipelines = Pipelines::default();
        assert_eq!(told(&mut pipelines, Sender::Connection(1), Some("p@2"), "in"), "p@2");
        assert_eq!(told(&mut pipelines, Sender::Connection(1), Some("p"), "in"), "p");
        assert_eq!(told(&mut pipelines, Sender::Connection(2), Some("p"), "in"), "p@3");
        assert_eq!(told(&mut pipelines, Sender::Connection(1), None, "in"), "-");
        assert_eq!(told(&mut pipelines, Sender::Connection(2), None, "in"), "@2");
    }
}
