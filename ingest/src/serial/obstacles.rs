//! What keeps boards from being recorded, told once each.

use bl_store::clock::monotonic_ns;

use super::device::DeviceError;
use super::discovery::{Found, Occupant};
use super::port::PortError;
use crate::source::{Context, Reason};

/// After that long something in the way is worth a word: right after plugging in, the permissions are not set yet, the
/// board may still be silent, and another program may be looking.
const PATIENCE_NS: i64 = 1_500_000_000;

/// Why a board is not recorded, in a sentence that names its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    reason: Reason,
    text: String,
}

impl Obstacle {
    /// What is in the way at a port; nothing where there is a board.
    pub fn at(found: &Found) -> Option<Self> {
        let reason = match &found.occupant {
            Occupant::Board(_) => return None,
            Occupant::Unreachable(PortError::Denied(_)) => Reason::Denied,
            Occupant::Unreachable(_) | Occupant::Other(_) => Reason::Down,
        };
        Some(Self { reason, text: found.occupant.note() })
    }

    /// What an error of a board says.
    pub fn of(error: &DeviceError) -> Self {
        let denied = matches!(error, DeviceError::Port(PortError::Denied(_)));
        let reason = if denied { Reason::Denied } else { Reason::Down };
        Self { reason, text: error.to_string() }
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Several sentences as one.
pub(super) fn sentence(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(Obstacle::text).collect::<Vec<_>>().join("; ")
}

/// The obstacles that there are, since when, and whether they are in `health`.
#[derive(Debug, Default)]
pub(super) struct Obstacles(Vec<(Obstacle, i64, bool)>);

impl Obstacles {
    /// Takes what is in the way now, and writes to `health` what has been for a while and is not there yet.
    pub fn note(&mut self, context: &Context, now: Vec<Obstacle>) {
        let now_ns = monotonic_ns();
        self.0.retain(|(known, _, _)| now.contains(known));
        for obstacle in now {
            if !self.0.iter().any(|(known, _, _)| *known == obstacle) {
                self.0.push((obstacle, now_ns, false));
            }
        }
        for (obstacle, since_ns, told) in &mut self.0 {
            if !*told && now_ns - *since_ns >= PATIENCE_NS {
                context.health(obstacle.reason, 1, &obstacle.text);
                *told = true;
            }
        }
    }
}
