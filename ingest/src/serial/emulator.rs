//! Virtual boards: the whole protocol of every known firmware, on a pseudo-terminal.

mod defaults;
mod fault;
mod firmware;
mod machine;
mod pty;
mod random;
mod run;
mod signal;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::protocol::{Contract, Model, Sample, Uid};
pub use fault::{Fault, FaultKind, InvalidDelay, InvalidFault, ReplyDelay, TRICKLE};
pub use firmware::{Answer, BusEvent, Firmware};
pub use random::Random;
pub use run::run;
pub use signal::{Shape, Signal};

/// What a virtual board is.
#[derive(Debug, Clone)]
pub struct BoardOptions {
    /// Product and firmware.
    pub contract: &'static Contract,
    /// Draws the identity, the calibration, the noise and the delays: the same seed, the same board.
    pub seed: u64,
    /// Where to put a link to the PTY; it stays the same when the board is plugged in again.
    pub link: Option<PathBuf>,
    /// What it measures.
    pub signal: Signal,
    /// How long it takes to answer.
    pub delay: ReplyDelay,
    /// How often it measures anew; in between the same snapshot is sent again. `None` for each reply.
    pub refresh: Option<Duration>,
    /// Over how long it averages power, which then lags voltage and current. `None` for not at all.
    pub power_filter: Option<Duration>,
    /// What it says otherwise than it measures.
    pub quirk: Option<Quirk>,
    /// How long it answers nothing after it was plugged in.
    pub silent: Duration,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How many of the snapshots sent are remembered for [`VirtualBoard::take_sent`].
    pub keep_sent: usize,
}

impl BoardOptions {
    /// The newest firmware of the model, answering at once and without faults.
    pub fn new(model: Model, seed: u64) -> Self {
        Self::of(model.newest(), seed)
    }

    /// That firmware, answering at once and without faults.
    pub fn of(contract: &'static Contract, seed: u64) -> Self {
        Self {
            contract,
            seed,
            link: None,
            signal: Signal::desktop(seed),
            delay: ReplyDelay::default(),
            refresh: None,
            power_filter: None,
            quirk: None,
            silent: Duration::ZERO,
            faults: Vec::new(),
            keep_sent: 0,
        }
    }
}

/// A lasting fault in what a board says: changes each snapshot.
pub type Quirk = fn(&mut Sample);

/// A snapshot that a virtual board has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSample {
    /// When its request arrived, `CLOCK_MONOTONIC`.
    pub requested_ns: i64,
    /// The instant that the readings are of.
    pub sampled_ns: i64,
    /// When the reply was handed to the port.
    pub sent_ns: i64,
    /// The readings.
    pub sample: Sample,
    /// Whether the reply was spoilt by a fault.
    pub spoilt: bool,
}

/// A board that exists only as a thread, reached through a PTY as a real one is through its port.
#[derive(Debug)]
pub struct VirtualBoard {
    control: Arc<Control>,
    uid: Uid,
    signal: Signal,
    thread: Option<JoinHandle<()>>,
}

impl VirtualBoard {
    /// Plugs a board in.
    ///
    /// # Errors
    /// When there is no PTY, no thread, or no place for the link.
    pub fn start(options: BoardOptions) -> std::io::Result<Self> {
        let control = Arc::new(Control::new(&options)?);
        let signal = options.signal;
        let mut machine = machine::Machine::new(options, Arc::clone(&control));
        let uid = machine.uid();
        machine.plug_in()?;
        let thread = std::thread::Builder::new()
            .name("bl-virtual-board".into())
            .spawn(move || machine.run())?;
        Ok(Self { control, uid, signal, thread: Some(thread) })
    }

    /// Where a host opens it; `None` while it is unplugged. Without a link it changes with each plugging in.
    pub fn path(&self) -> Option<PathBuf> {
        self.control.state().path.clone()
    }

    /// Its identity.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// What it measures.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.control.state().faults = faults;
    }

    /// Sets what it says otherwise than it measures, from the next snapshot on.
    pub fn set_quirk(&self, quirk: Option<Quirk>) {
        self.control.state().quirk = quirk;
    }

    /// Takes it off the bus, as if the cable were pulled.
    pub fn unplug(&self) {
        self.control.change(|state| state.plugged = false);
    }

    /// Plugs it in again.
    pub fn replug(&self) {
        self.control.change(|state| state.plugged = true);
    }

    /// How many requests it has handled, well-formed or not.
    pub fn requests(&self) -> u64 {
        self.control.requests.load(Ordering::Acquire)
    }

    /// The snapshots sent since the last call, as far as they are remembered.
    pub fn take_sent(&self) -> Vec<SentSample> {
        self.control.state().sent.drain(..).collect()
    }

    /// Ends the thread and removes the link.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.control.change(|state| state.stopping = true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed, and leaves nothing to clean up.
            let _ = thread.join();
        }
    }
}

impl Drop for VirtualBoard {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the board's thread and its owner share.
#[derive(Debug)]
struct Control {
    state: Mutex<State>,
    wake: OwnedFd,
    keep_sent: usize,
    requests: AtomicU64,
}

#[derive(Debug)]
struct State {
    stopping: bool,
    plugged: bool,
    path: Option<PathBuf>,
    faults: Vec<Fault>,
    quirk: Option<Quirk>,
    sent: VecDeque<SentSample>,
}

impl Control {
    fn new(options: &BoardOptions) -> std::io::Result<Self> {
        let state = State {
            stopping: false,
            plugged: true,
            path: None,
            faults: options.faults.clone(),
            quirk: options.quirk,
            sent: VecDeque::new(),
        };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (keep_sent, requests) = (options.keep_sent, AtomicU64::new(0));
        Ok(Self { state: Mutex::new(state), wake, keep_sent, requests })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the thread.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        // A full counter is readable all the same.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn clear_wake(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }

    fn note_sent(&self, sent: SentSample) {
        if self.keep_sent == 0 {
            return;
        }
        let mut state = self.state();
        if state.sent.len() == self.keep_sent {
            state.sent.pop_front();
        }
        state.sent.push_back(sent);
    }
}
