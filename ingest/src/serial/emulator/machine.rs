//! The thread of a virtual board: its port, its clock, its faults.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fault::{FaultKind, TRICKLE};
use super::firmware::{Answer, BusEvent, Firmware};
use super::pty::Pty;
use super::random::Random;
use super::{BoardOptions, Control, SentSample};
use crate::serial::protocol::{PACKET_BYTES, Sample, Uid, WELCOME, encode};

/// How long the board stays away from the bus when it resets or is unplugged by a fault.
const AWAY_NS: i64 = 1_000_000_000;

/// After that long without a byte a transfer is over, complete or not.
const TRANSFER_QUIET_NS: i64 = 20_000_000;

/// What [`FaultKind::Delay`] adds.
const LATE_NS: i64 = 300_000_000;

pub(super) struct Machine {
    options: BoardOptions,
    control: Arc<Control>,
    firmware: Firmware,
    random: Random,
    pty: Option<Pty>,
    /// Whether a host has the port open: then the master tells what happens, else the watch does.
    attached: bool,
    arrived: Vec<u8>,
    arrived_ns: i64,
    replies: VecDeque<Reply>,
    replies_made: u64,
    plugged_ns: i64,
    back_ns: Option<i64>,
}

struct Reply {
    due_ns: i64,
    bytes: Vec<u8>,
    sample: Option<SentSample>,
    /// Time between its packets; `None` to send it at once.
    packet_ns: Option<i64>,
    then_unplug: bool,
}

impl Reply {
    /// What is sent one after the other.
    fn packets(mut self) -> Vec<Reply> {
        let Some(packet_ns) = self.packet_ns else { return vec![self] };
        let mut sample = self.sample.take();
        let packet = |(bytes, number): (&[u8], i64)| Reply {
            due_ns: self.due_ns + number * packet_ns,
            bytes: bytes.to_vec(),
            sample: sample.take(),
            packet_ns: None,
            then_unplug: false,
        };
        let mut packets: Vec<Reply> =
            self.bytes.chunks(PACKET_BYTES).zip(0..).map(packet).collect();
        if let Some(last) = packets.last_mut() {
            last.then_unplug = self.then_unplug;
        }
        packets
    }
}

impl Machine {
    pub(super) fn new(options: BoardOptions, control: Arc<Control>) -> Self {
        Self {
            firmware: Firmware::new(options.contract, options.seed),
            random: Random::new(options.seed ^ 0xDE1A),
            options,
            control,
            pty: None,
            attached: false,
            arrived: Vec::new(),
            arrived_ns: 0,
            replies: VecDeque::new(),
            replies_made: 0,
            plugged_ns: 0,
            back_ns: None,
        }
    }

    pub(super) fn uid(&self) -> Uid {
        self.firmware.uid()
    }

    pub(super) fn plug_in(&mut self) -> std::io::Result<()> {
        let pty = Pty::open(self.options.link.as_deref())?;
        self.firmware.power_on();
        self.control.state().path = Some(pty.path().to_owned());
        self.pty = Some(pty);
        self.plugged_ns = monotonic_ns();
        Ok(())
    }

    /// Whether it still answers nothing after it was plugged in.
    fn is_silent(&self) -> bool {
        monotonic_ns() - self.plugged_ns < nanoseconds(self.options.silent)
    }

    fn leave(&mut self) {
        self.control.state().path = None;
        self.pty = None;
        self.attached = false;
        self.arrived.clear();
        self.replies.clear();
    }

    pub(super) fn run(mut self) {
        loop {
            self.control.clear_wake();
            let (stopping, plugged) = {
                let state = self.control.state();
                (state.stopping, state.plugged)
            };
            if stopping {
                return;
            }
            let now_ns = monotonic_ns();
            let away = self.back_ns.is_some_and(|back_ns| now_ns < back_ns);
            match (plugged && !away, self.pty.is_some()) {
                (false, true) => self.leave(),
                // Without a PTY now, there may be one later.
                (true, false) if self.plug_in().is_err() => {
                    self.back_ns = Some(now_ns + AWAY_NS);
                    continue;
                }
                _ => {}
            }
            if !plugged {
                self.back_ns = None;
            }
            self.send_due(now_ns);
            if let Some(event) = self.firmware.tick(now_ns) {
                self.on_bus_event(event, now_ns);
                continue;
            }
            self.cut_transfers(now_ns);
            self.wait();
        }
    }

    fn on_bus_event(&mut self, event: BusEvent, now_ns: i64) {
        self.leave();
        match event {
            BusEvent::Reset => self.back_ns = Some(now_ns + AWAY_NS),
            BusEvent::Bootloader => self.control.state().plugged = false,
        }
    }

    /// Waits for the port, the owner, or the next instant at which something is due.
    fn wait(&mut self) {
        let due_ns = [
            self.replies.front().map(|r| r.due_ns),
            self.firmware.next_tick_ns(),
            self.back_ns.filter(|_| self.pty.is_none()),
            (!self.arrived.is_empty()).then_some(self.arrived_ns + TRANSFER_QUIET_NS),
        ]
        .into_iter()
        .flatten()
        .min();
        let timeout = due_ns.map(|due_ns| timespec(due_ns - monotonic_ns()));
        let control = Arc::clone(&self.control);
        let mut fds = vec![PollFd::from_borrowed_fd(control.wake(), PollFlags::IN)];
        if let Some(pty) = &self.pty {
            fds.push(PollFd::from_borrowed_fd(pty.opens(), PollFlags::IN));
            if self.attached {
                fds.push(PollFd::from_borrowed_fd(pty.master(), PollFlags::IN));
            }
        }
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, timeout.as_ref());
        let readable = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
        let (opened, port) = (readable(1), readable(2));
        drop(fds);
        if opened {
            self.on_opened();
        }
        if port {
            self.on_port();
        }
    }

    /// Newer firmware greets whoever opens the port (benchlab-pycore 0.8.0).
    fn on_opened(&mut self) {
        let opens = self.pty.as_ref().and_then(|pty| pty.take_opens().ok()).unwrap_or(0);
        self.attached |= opens > 0;
        let greets = self.options.contract.welcome_bytes > WELCOME.len() + 1;
        if opens > 0
            && greets
            && !self.is_silent()
            && let Some(pty) = &self.pty
        {
            pty.write(&self.firmware.welcome());
        }
    }

    fn on_port(&mut self) {
        let Some(pty) = &self.pty else { return };
        let mut buffer = [0; 1024];
        match pty.read(&mut buffer) {
            Ok(Some(count)) => {
                self.arrived.extend_from_slice(&buffer[..count]);
                self.arrived_ns = monotonic_ns();
            }
            // No host has the port open any more; what it did not read is lost.
            Ok(None) | Err(_) => {
                self.attached = false;
                self.replies.clear();
            }
        }
        self.cut_transfers(self.arrived_ns);
    }

    /// A PTY does not keep the bounds of writes: what has arrived by now is one transfer, where it can be.
    fn cut_transfers(&mut self, now_ns: i64) {
        while !self.arrived.is_empty() {
            let quiet = now_ns - self.arrived_ns >= TRANSFER_QUIET_NS;
            let bytes = match self.firmware.transfer_bytes(&self.arrived) {
                0 if quiet => self.arrived.len(),
                0 => return,
                bytes => bytes,
            };
            let transfer: Vec<u8> = self.arrived.drain(..bytes.max(1)).collect();
            if !self.is_silent() {
                let answer = self.firmware.handle(&transfer, now_ns);
                self.answer(answer);
            }
            self.control.requests.fetch_add(1, Ordering::Release);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let requested_ns = self.arrived_ns;
        let spread = (self.options.delay.to - self.options.delay.from).as_nanos() as u64;
        let delay_ns = nanoseconds(self.options.delay.from) + self.random.below(spread + 1) as i64;
        let due_ns = requested_ns + delay_ns;
        let sampled_ns = requested_ns + (self.random.unit() * delay_ns as f64) as i64;
        let (bytes, sample) = match answer {
            Answer::Nothing => return,
            Answer::Reply(bytes) => (bytes, None),
            Answer::Sensors => {
                let (sampled_ns, sample) = self.measure(sampled_ns);
                let sent_ns = due_ns;
                let spoilt = false;
                let sent = SentSample { requested_ns, sampled_ns, sent_ns, sample, spoilt };
                (encode(&sample), Some(sent))
            }
        };
        let mut reply = Reply { due_ns, bytes, sample, packet_ns: None, then_unplug: false };
        self.replies_made += 1;
        let (number, faults) = (self.replies_made, self.control.state().faults.clone());
        for fault in faults.iter().filter(|f| f.meets(number)) {
            self.spoil(&mut reply, fault.kind);
        }
        self.replies.extend(reply.packets());
        self.send_due(monotonic_ns());
    }

    fn measure(&self, instant_ns: i64) -> (i64, Sample) {
        let refresh_ns = self.options.refresh.map_or(1, nanoseconds).max(1);
        let sampled_ns = instant_ns - instant_ns.rem_euclid(refresh_ns);
        let (signal, contract) = (&self.options.signal, self.options.contract);
        let mut sample = signal.sample_at(contract, sampled_ns);
        if let Some(filter) = self.options.power_filter {
            let before = signal.averaged_before(contract, sampled_ns, filter);
            for (rail, power_mw) in sample.rails.iter_mut().zip(before) {
                rail.power_mw = power_mw;
            }
        }
        let quirk = self.control.state().quirk;
        quirk.into_iter().for_each(|quirk| quirk(&mut sample));
        (sampled_ns, sample)
    }

    fn spoil(&mut self, reply: &mut Reply, kind: FaultKind) {
        let size = reply.bytes.len();
        match kind {
            FaultKind::Stall => reply.bytes.clear(),
            FaultKind::Short => {
                let missing = 1 + self.random.below(size as u64) as usize;
                reply.bytes.truncate(size - missing.min(size));
            }
            FaultKind::Stray => {
                let count = 1 + self.random.below(PACKET_BYTES as u64);
                let stray: Vec<u8> = (0..count).map(|_| self.random.draw() as u8).collect();
                reply.bytes.splice(..0, stray);
            }
            FaultKind::Garbage => {
                reply.bytes.fill_with(|| self.random.draw() as u8);
            }
            FaultKind::Delay => reply.due_ns += LATE_NS,
            FaultKind::Trickle => reply.packet_ns = Some(nanoseconds(TRICKLE)),
            FaultKind::Unplug => {
                reply.bytes.truncate(size / 2);
                reply.then_unplug = true;
            }
        }
        if let Some(sent) = &mut reply.sample {
            sent.spoilt |= !matches!(kind, FaultKind::Delay | FaultKind::Trickle);
        }
    }

    fn send_due(&mut self, now_ns: i64) {
        while let Some(reply) = self.replies.pop_front_if(|r| r.due_ns <= now_ns) {
            if let Some(mut sent) = reply.sample {
                sent.sent_ns = monotonic_ns();
                self.control.note_sent(sent);
            }
            if let Some(pty) = &self.pty {
                pty.write(&reply.bytes);
            }
            if reply.then_unplug {
                self.leave();
                self.back_ns = Some(now_ns + AWAY_NS);
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn timespec(ns: i64) -> Timespec {
    let ns = ns.max(0);
    Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}
