//! The boards that are plugged in, as several sources of one recording share them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bl_store::clock::monotonic_ns;

use super::device::{ConnectOptions, Identity};
use super::discovery::{Candidate, Found, Occupant, Roots, ask, candidates};
use super::obstacles::Obstacle;
use super::protocol::Uid;
use crate::source::Stop;

/// How long something that could not be asked is left in peace before it is asked again, and at first what answers
/// otherwise than a board: that may be one that is not ready yet.
const ASK_AGAIN_NS: i64 = 2_000_000_000;

/// How long what keeps answering otherwise than a board is left in peace: most likely it is none.
const ASK_FOREIGN_NS: i64 = 60_000_000_000;

/// Knows which boards are plugged in and which of them are being recorded.
///
/// A board is asked once each time that it is plugged in, and every port by one thread at a time: two sources that look
/// for their boards do not disturb each other. What is no board is asked ever more rarely.
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
    /// How long until it is asked again, unless it is a board.
    wait_ns: i64,
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
                Some(i) => state.ports[i].ask_again(&self.0.options, stop),
                None => state.ports.push(Port::ask(candidate, &self.0.options, stop)),
            }
        }
    }

    /// What is at the ports, as of the last [`refresh`](Self::refresh).
    pub fn found(&self) -> Vec<Found> {
        self.state().ports.iter().map(|port| port.found.clone()).collect()
    }

    /// What keeps boards from being recorded, a sentence a port; as of the last [`refresh`](Self::refresh).
    pub fn obstacles(&self) -> Vec<String> {
        self.in_the_way().iter().map(|obstacle| obstacle.text().to_owned()).collect()
    }

    pub(super) fn in_the_way(&self) -> Vec<Obstacle> {
        self.state().ports.iter().filter_map(|port| Obstacle::at(&port.found)).collect()
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
    fn ask(candidate: Candidate, options: &ConnectOptions, stop: &Stop) -> Self {
        let found = ask(candidate, options, stop);
        Self { found, asked_ns: monotonic_ns(), wait_ns: ASK_AGAIN_NS }
    }

    fn ask_again(&mut self, options: &ConnectOptions, stop: &Stop) {
        self.found = ask(self.found.port.clone(), options, stop);
        self.asked_ns = monotonic_ns();
        self.wait_ns = match self.found.occupant {
            Occupant::Other(_) => (2 * self.wait_ns).min(ASK_FOREIGN_NS),
            _ => ASK_AGAIN_NS,
        };
    }

    fn is_due(&self) -> bool {
        let is_board = matches!(self.found.occupant, Occupant::Board(_));
        !is_board && monotonic_ns() - self.asked_ns >= self.wait_ns
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
