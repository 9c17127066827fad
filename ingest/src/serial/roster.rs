//! The boards that are plugged in, as several sources of one recording share them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bl_store::clock::monotonic_ns;

use super::device::{ConnectOptions, Identity};
use super::discovery::{Found, Occupant, Roots, ask, candidates};
use super::protocol::Uid;
use crate::source::Stop;

/// How long something that could not be asked is left in peace before it is asked again.
const ASK_AGAIN_NS: i64 = 2_000_000_000;

/// Knows which boards are plugged in and which of them are being recorded.
///
/// Every port is asked once each time that it is plugged in, and by one thread at a time: two sources that look for
/// their boards do not disturb each other, and foreign devices are not pestered.
#[derive(Debug, Clone)]
pub struct Roster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    roots: Roots,
    options: ConnectOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ports: Vec<Port>,
    claimed: HashSet<Uid>,
}

#[derive(Debug)]
struct Port {
    found: Found,
    asked_ns: i64,
}

impl Roster {
    /// An empty one.
    pub fn new(roots: Roots, options: ConnectOptions) -> Self {
        Self(Arc::new(Shared { roots, options, state: Mutex::default() }))
    }

    /// How its boards are talked to.
    pub fn options(&self) -> &ConnectOptions {
        &self.0.options
    }

    /// Looks which ports there are now, and asks the new ones.
    pub fn refresh(&self, stop: &Stop) {
        let now = candidates(&self.0.roots);
        let mut state = self.state();
        state.ports.retain(|port| now.contains(&port.found.port));
        for candidate in now {
            if stop.stopping() {
                return;
            }
            let known = state.ports.iter().position(|port| port.found.port == candidate);
            match known {
                Some(i) if !state.ports[i].is_due() => {}
                Some(i) => state.ports[i] = Port::ask(candidate, &self.0.options, stop),
                None => state.ports.push(Port::ask(candidate, &self.0.options, stop)),
            }
        }
    }

    /// What is at the ports, as of the last [`refresh`](Self::refresh).
    pub fn found(&self) -> Vec<Found> {
        self.state().ports.iter().map(|port| port.found.clone()).collect()
    }

    /// The boards that nobody records.
    pub fn unclaimed(&self) -> Vec<Identity> {
        let state = self.state();
        state.boards().filter(|(_, b)| !state.claimed.contains(&b.uid)).map(|(_, b)| b).collect()
    }

    /// Takes a board for recording: that one, or any. `None` while there is none or others record it.
    pub fn claim(&self, uid: Option<Uid>) -> Option<(PathBuf, Claim)> {
        let mut state = self.state();
        let (path, board) = state.boards().find(|(_, board)| {
            !state.claimed.contains(&board.uid) && uid.is_none_or(|uid| uid == board.uid)
        })?;
        state.claimed.insert(board.uid);
        Some((path, Claim { roster: self.clone(), uid: board.uid }))
    }

    /// Takes a board that was reached by its path.
    pub fn claim_connected(&self, uid: Uid) -> Option<Claim> {
        let new = self.state().claimed.insert(uid);
        new.then(|| Claim { roster: self.clone(), uid })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn boards(&self) -> impl Iterator<Item = (PathBuf, Identity)> {
        self.ports.iter().filter_map(|port| match &port.found.occupant {
            Occupant::Board(identity) => Some((port.found.port.path.clone(), identity.clone())),
            _ => None,
        })
    }
}

impl Port {
    fn ask(candidate: super::discovery::Candidate, options: &ConnectOptions, stop: &Stop) -> Self {
        Self { found: ask(candidate, options, stop), asked_ns: monotonic_ns() }
    }

    fn is_due(&self) -> bool {
        matches!(self.found.occupant, Occupant::Unreachable(_))
            && monotonic_ns() - self.asked_ns >= ASK_AGAIN_NS
    }
}

/// A board taken for recording, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    roster: Roster,
    uid: Uid,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.roster.state().claimed.remove(&self.uid);
    }
}
