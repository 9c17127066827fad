//! One sender: its bytes become lines, and its lines rows.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bl_store::clock::{Anchor, monotonic_ns};
use memchr::memchr;
use rustix::io::Errno;

use super::batches::Batches;
use super::identity::{Pipelines, Process, Sender};
use super::line::{Event, Line, Mark};
use super::sequence::Sequences;
use super::server::next_tick_ns;
use super::{MAX_LINE_BYTES, SIMULATED_SOURCE, SOURCE};
use crate::source::{Context, Reason};

/// Time between two reports on one sender.
const REPORT_NS: i64 = 1_000_000_000;

/// A sender of whom fewer bytes than this are read is left alone until the next tick, so that few events cost few
/// wake-ups. The kernel holds fifty times as much for him.
const FEW_BYTES: usize = 4096;

/// How far ahead of the clock a stamp may lie before it is taken for a stamp of another clock.
const AHEAD_NS: i64 = 60_000_000_000;

/// How much of a bad line is shown.
const SHOWN_BYTES: usize = 200;

/// A connection and what is known about its sender.
#[derive(Debug)]
pub(super) struct Connection {
    fd: OwnedFd,
    number: u64,
    /// What it calls itself.
    name: String,
    /// What it is in table `pipeline`.
    sender: String,
    told: Told,
    source: &'static str,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    /// Whether the rest of a line that is too long is being passed over.
    skipping: bool,
    /// Whether all its events had stamps of their own, once there were some.
    stamps: Option<bool>,
    rest_until_ns: Option<i64>,
    sequences: Sequences,
    malformed: u64,
    first_malformed: String,
    report_at_ns: Option<i64>,
}

/// What reading from a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something was read.
    Read,
    /// There is nothing to read now.
    Idle,
    /// The sender has gone.
    Closed,
}

impl Connection {
    /// The connection of that number.
    pub fn new(fd: OwnedFd, number: u64) -> Self {
        Self {
            number,
            name: String::new(),
            sender: sender(&fd, number),
            told: Told::new(Sender::Connection(number)),
            fd,
            source: SOURCE,
            carry: Vec::new(),
            skipping: false,
            stamps: None,
            rest_until_ns: None,
            sequences: Sequences::default(),
            malformed: 0,
            first_malformed: String::new(),
            report_at_ns: None,
        }
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// When [`report`](Self::report) has to be called, if there is something to report.
    pub fn report_at_ns(&self) -> Option<i64> {
        self.report_at_ns
    }

    /// Until when nothing needs to be read. Never for a sender that relies on the time of receipt.
    pub fn rest_until_ns(&self) -> Option<i64> {
        self.rest_until_ns
    }

    /// Reads once. `buffer` holds a longest line and more; what was in it does not matter.
    pub fn read(&mut self, buffer: &mut [u8], batches: &mut Batches) -> Progress {
        let carried = self.carry.len();
        buffer[..carried].copy_from_slice(&self.carry);
        match rustix::io::read(&self.fd, &mut buffer[carried..]) {
            Ok(0) => {
                self.end_of_file(batches);
                Progress::Closed
            }
            Ok(count) => {
                let now_ns = monotonic_ns();
                self.carry.clear();
                self.take(&buffer[..carried + count], carried, now_ns, batches);
                let may_rest = count < FEW_BYTES && self.stamps == Some(true);
                self.rest_until_ns = may_rest.then(|| next_tick_ns(now_ns));
                Progress::Read
            }
            Err(Errno::AGAIN | Errno::INTR) => Progress::Idle,
            // Reset by a sender that died: what came before is whole, what was cut off is not.
            Err(_) => Progress::Closed,
        }
    }

    /// A last line without newline counts as a line.
    fn end_of_file(&mut self, batches: &mut Batches) {
        let last = std::mem::take(&mut self.carry);
        if !self.skipping {
            self.line(&last, monotonic_ns(), batches);
        }
    }

    /// Splits bytes into lines; the first `scanned` of them are known to hold no newline.
    fn take(&mut self, bytes: &[u8], scanned: usize, receipt_ns: i64, batches: &mut Batches) {
        let mut start = 0;
        let mut from = scanned;
        while let Some(length) = memchr(b'\n', &bytes[from..]) {
            let end = from + length;
            if !std::mem::take(&mut self.skipping) {
                self.line(&bytes[start..end], receipt_ns, batches);
            }
            start = end + 1;
            from = start;
        }
        let rest = &bytes[start..];
        if self.skipping {
            return;
        }
        if rest.len() > MAX_LINE_BYTES {
            self.skipping = true;
            self.bad(rest, &too_long(), receipt_ns);
        } else {
            self.carry.extend_from_slice(rest);
        }
    }

    fn line(&mut self, bytes: &[u8], receipt_ns: i64, batches: &mut Batches) {
        if bytes.len() > MAX_LINE_BYTES {
            return self.bad(bytes, &too_long(), receipt_ns);
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let taken = match Line::parse(bytes) {
            Ok(Line::Event(event)) => self.event(&event, receipt_ns, batches),
            Ok(Line::Mark(mark)) => self.mark(&mark, receipt_ns, batches),
            Ok(Line::Hello(hello)) => {
                self.source = if hello.simulated { SIMULATED_SOURCE } else { SOURCE };
                self.name = cut(hello.name.as_bytes());
                if let Some(process) = hello.process {
                    batches.pipelines.leave(self.number);
                    self.sender = process.to_string();
                    self.told = Told::new(Sender::Process(process));
                }
                Ok(())
            }
            Err(why) => Err(why),
        };
        if let Err(why) = taken {
            self.bad(bytes, &why, receipt_ns);
        }
    }

    fn event(&mut self, event: &Event, receipt_ns: i64, to: &mut Batches) -> Result<(), String> {
        let ts = self.stamp(event.ts_ns, receipt_ns, to.anchor)?;
        let pipeline = event.pipeline.as_deref();
        let told = self.told.name(&mut to.pipelines, pipeline, &event.stage);
        to.events.push(ts, self.source, &self.sender, told, event);
        if let Some(seq) = event.seq
            && self.sequences.note(pipeline.unwrap_or_default(), seq)
        {
            self.report_soon(receipt_ns);
        }
        Ok(())
    }

    fn mark(&mut self, mark: &Mark, receipt_ns: i64, to: &mut Batches) -> Result<(), String> {
        let ts = self.stamp(mark.ts_ns, receipt_ns, to.anchor)?;
        to.marks.push(ts, self.source, mark);
        Ok(())
    }

    /// `ts` of an event: its own stamp, else the time of receipt.
    fn stamp(
        &mut self,
        ts_ns: Option<i64>,
        receipt_ns: i64,
        anchor: Anchor,
    ) -> Result<i64, String> {
        self.stamps = Some(ts_ns.is_some() && self.stamps != Some(false));
        match ts_ns {
            None => Ok(anchor.ts(receipt_ns)),
            // A stamp of another clock, such as wall time, would lie decades away.
            Some(ts_ns) if (0..receipt_ns + AHEAD_NS).contains(&ts_ns) => Ok(anchor.ts(ts_ns)),
            Some(_) => Err("ts_ns is not CLOCK_MONOTONIC of this host".into()),
        }
    }

    fn bad(&mut self, bytes: &[u8], why: &str, now_ns: i64) {
        if self.malformed == 0 {
            self.first_malformed = format!("{why}: {}", cut(bytes));
        }
        self.malformed += 1;
        self.report_soon(now_ns);
    }

    fn report_soon(&mut self, now_ns: i64) {
        self.report_at_ns.get_or_insert(now_ns + REPORT_NS);
    }

    /// Tells that it is gone.
    pub fn leave(&self, batches: &mut Batches) {
        batches.pipelines.leave(self.number);
    }

    /// Writes what was bad or missing since the last report into `health`.
    pub fn report(&mut self, context: &Context) {
        self.report_at_ns = None;
        if self.malformed > 0 {
            let first = std::mem::take(&mut self.first_malformed);
            let detail = format!("{}: the first bad line: {first}", self.title());
            context.lost(Reason::Malformed, std::mem::take(&mut self.malformed), detail);
        }
        for (pipeline, count) in self.sequences.take_missing() {
            let detail =
                format!("{}, pipeline '{pipeline}': numbers are missing in seq", self.title());
            context.lost(Reason::SenderDropped, count, detail);
        }
    }

    fn title(&self) -> String {
        match self.name.as_str() {
            "" => format!("sender {}", self.number),
            name => format!("sender {} '{name}'", self.number),
        }
    }
}

/// The process at the other end, where the system tells it, else the connection.
fn sender(fd: &OwnedFd, number: u64) -> String {
    let peer = rustix::net::sockopt::socket_peercred(fd).ok();
    let process = peer.and_then(|peer| Process::of(peer.pid.as_raw_pid().into()));
    process.map_or_else(|| format!("#{number}"), |process| process.to_string())
}

/// Names that are remembered; a sender of more is slower.
const REMEMBERED: usize = 1024;

/// The names that a sender's pipelines are recorded by, as it was answered before.
#[derive(Debug)]
struct Told {
    sender: Sender,
    version: u64,
    known: Vec<Known>,
    last: usize,
}

#[derive(Debug)]
struct Known {
    name: Option<String>,
    stage: String,
    told: Option<Arc<str>>,
}

impl Known {
    fn is(&self, name: Option<&str>, stage: &str) -> bool {
        self.stage == stage && self.name.as_deref() == name
    }
}

impl Told {
    fn new(sender: Sender) -> Self {
        Self { sender, version: 0, known: Vec::new(), last: 0 }
    }

    fn name(&mut self, of: &mut Pipelines, name: Option<&str>, stage: &str) -> Option<&str> {
        if self.version != of.version() || self.known.len() > REMEMBERED {
            self.version = of.version();
            self.known.clear();
        }
        // Stages mostly come in turn.
        let next = (self.last + 1) % self.known.len().max(1);
        self.last = match self.known.get(next).is_some_and(|known| known.is(name, stage)) {
            true => next,
            false => {
                self.known.iter().position(|known| known.is(name, stage)).unwrap_or_else(|| {
                    let told = of.told(self.sender, name, stage);
                    self.version = of.version();
                    let (name, stage) = (name.map(String::from), stage.to_string());
                    self.known.push(Known { name, stage, told });
                    self.known.len() - 1
                })
            }
        };
        self.known[self.last].told.as_deref()
    }
}

fn too_long() -> String {
    format!("longer than {MAX_LINE_BYTES} bytes")
}

/// The beginning of a bad line, for a person.
fn cut(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    /// Bytes of a sender: good lines, bad ones, too long ones, and none.
    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            4 => "[a-z]{1,3}".prop_map(|s| format!("{{\"stage\":\"{s}\"}}").into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 0..9),
            1 => (MAX_LINE_BYTES - 20..MAX_LINE_BYTES + 5)
                .prop_map(|n| format!("{{\"stage\":\"{}\"}}", "x".repeat(n)).into_bytes()),
        ];
        prop::collection::vec(line, 0..9).prop_map(|lines| lines.join(&b'\n'))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_the_bytes_are_cut_the_lines_are_the_same(
            bytes in lines(),
            cuts in prop::collection::vec(1usize..70_000, 1..6),
        ) {
            let (here, mut there) = UnixStream::pair().unwrap();
            let mut connection = Connection::new(here.into(), 1);
            let mut batches = Batches::new(Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }).unwrap();
            let mut buffer = vec![0; MAX_LINE_BYTES + 70_000];
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                there.write_all(now).unwrap();
                prop_assert_eq!(connection.read(&mut buffer, &mut batches), Progress::Read);
                rest = later;
            }
            drop(there);
            prop_assert_eq!(connection.read(&mut buffer, &mut batches), Progress::Closed);

            let all = bytes.split(|b| *b == b'\n').filter(|l| !l.iter().all(u8::is_ascii_whitespace));
            let (good, bad): (Vec<&[u8]>, Vec<&[u8]>) =
                all.partition(|l| l.len() <= MAX_LINE_BYTES && Line::parse(l).is_ok());
            prop_assert_eq!(batches.len(), good.len());
            prop_assert_eq!(connection.malformed, bad.len() as u64);
        }
    }
}
