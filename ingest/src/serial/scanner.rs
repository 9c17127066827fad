//! A source for each board that is found, now or later.

use std::collections::HashSet;

use super::collector::BenchlabSource;
use super::discovery::Selector;
use super::obstacles::Obstacle;
use super::protocol::Uid;
use super::roster::Roster;
use crate::source::Stop;

/// Finds boards for `auto`: whoever runs the sources polls it every second or so and starts what it returns. A board
/// that leaves keeps its source, which waits for it.
#[derive(Debug)]
pub struct BoardScanner {
    roster: Roster,
    hz: f64,
    started: HashSet<Uid>,
}

impl BoardScanner {
    /// Boards that `others` select have sources already and are left to them.
    pub fn new(roster: Roster, hz: f64, others: &[Selector]) -> Self {
        let started = others
            .iter()
            .filter_map(|selector| match selector {
                Selector::Uid(uid) => Some(*uid),
                Selector::Path(_) | Selector::Auto => None,
            })
            .collect();
        Self { roster, hz, started }
    }

    /// Sources for the boards that have appeared since the last call. It takes some 0.1 s for each port that is new.
    pub fn poll(&mut self, stop: &Stop) -> Vec<BenchlabSource> {
        self.roster.refresh(stop);
        let mut sources = Vec::new();
        for board in self.roster.unclaimed() {
            if self.started.insert(board.uid) {
                let selector = Selector::Uid(board.uid);
                sources.push(BenchlabSource::new(selector, self.roster.clone(), self.hz));
            }
        }
        sources
    }

    /// What keeps boards from being recorded, as of the last [`poll`](Self::poll).
    pub(super) fn in_the_way(&self) -> Vec<Obstacle> {
        self.roster.in_the_way()
    }
}
