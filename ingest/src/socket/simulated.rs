//! Stages of a pipeline that is not there, for demonstrations and tests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::path::PathBuf;

use bl_store::clock::monotonic_ns;

use super::{EventsClient, SIMULATED_SOURCE, SendError};
use crate::source::{Context, Source, SourceError, SourceState};

/// Frames a second.
const RATE_HZ: i64 = 60;

/// The stages, in the order in which a frame passes them.
const STAGES: [&str; 3] = ["ingress", "encoded", "inference_done"];

/// A camera at 60 frames/s whose frames are encoded and go through a model: stages `ingress`, `encoded` and
/// `inference_done`, with jitter; one frame in a hundred gets lost on its way.
///
/// It sends through the socket of the recording like any other program, so that the simulated way is the real
/// way. Frames, their jitter and their losses depend on the seed alone.
#[derive(Debug)]
pub struct SimulatedStages {
    socket: PathBuf,
    seed: u64,
}

impl SimulatedStages {
    /// Sends to the recording that listens on `socket`.
    pub fn new(socket: impl Into<PathBuf>, seed: u64) -> Self {
        Self { socket: socket.into(), seed }
    }
}

impl Source for SimulatedStages {
    fn name(&self) -> String {
        SIMULATED_SOURCE.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let retry = |e: SendError| SourceError::Retry(e.to_string());
        let mut client = EventsClient::connect(&self.socket).map_err(retry)?;
        client.hello("simulated stages", true).map_err(retry)?;
        let text = format!("{RATE_HZ} frames/s through {}", self.socket.display());
        context.status().set_state(SourceState::Up, text);

        let start_ns = monotonic_ns();
        let mut stages = Stages::new(self.seed).enumerate().peekable();
        let mut lines = String::new();
        while let Some((_, next)) = stages.peek() {
            if !context.stop().sleep_ns(start_ns + next.at_ns - monotonic_ns()) {
                break;
            }
            let now_ns = monotonic_ns() - start_ns;
            lines.clear();
            while let Some((seq, passed)) = stages.next_if(|(_, passed)| passed.at_ns <= now_ns) {
                passed.write_line(&mut lines, start_ns, seq);
            }
            client.write_lines(&lines).map_err(retry)?;
        }
        Ok(())
    }
}

/// A frame passes a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Passed {
    /// Time since the start.
    at_ns: i64,
    frame: i64,
    stage: usize,
}

impl Passed {
    fn write_line(&self, lines: &mut String, start_ns: i64, seq: usize) {
        let running_ns = self.frame * 1_000_000_000 / RATE_HZ;
        // Writing into a string cannot fail.
        let _ = writeln!(
            lines,
            r#"{{"pipeline":"simulated","stage":"{}","frame":{},"ts_ns":{},"key_ns":{running_ns},"pts_ns":{running_ns},"seq":{seq}}}"#,
            STAGES[self.stage],
            self.frame,
            start_ns + self.at_ns,
        );
    }
}

/// All events of all frames, in the order of their time; without end.
#[derive(Debug)]
struct Stages {
    random: SplitMix,
    frame: i64,
    waiting: BinaryHeap<Reverse<Passed>>,
}

impl Stages {
    fn new(seed: u64) -> Self {
        Self { random: SplitMix(seed), frame: 0, waiting: BinaryHeap::new() }
    }

    /// Puts the events of the next frame where they wait for their turn.
    fn add_frame(&mut self) {
        let frame = self.frame;
        self.frame += 1;
        let lost = self.random.below(100) == 0;
        let passes = match lost {
            true => 1 + self.random.below(2) as usize,
            false => STAGES.len(),
        };
        let captured_ns = frame * 1_000_000_000 / RATE_HZ;
        let ingress_ns = captured_ns + self.random.below(400_000);
        let encoded_ns = ingress_ns + 6_000_000 + self.random.below(3_000_000);
        let done_ns = encoded_ns + 9_000_000 + self.random.below(12_000_000);
        for (stage, at_ns) in [ingress_ns, encoded_ns, done_ns].into_iter().take(passes).enumerate()
        {
            self.waiting.push(Reverse(Passed { at_ns, frame, stage }));
        }
    }
}

impl Iterator for Stages {
    type Item = Passed;

    fn next(&mut self) -> Option<Passed> {
        // No later frame can pass anything before it is captured.
        while self
            .waiting
            .peek()
            .is_none_or(|Reverse(p)| p.at_ns >= self.frame * 1_000_000_000 / RATE_HZ)
        {
            self.add_frame();
        }
        self.waiting.pop().map(|Reverse(passed)| passed)
    }
}

/// Sebastiano Vigna's splitmix64: small, and enough for jitter.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_depends_on_the_seed_alone_and_is_in_order() {
        let events: Vec<_> = Stages::new(7).take(10_000).collect();
        assert_eq!(events, Stages::new(7).take(10_000).collect::<Vec<_>>());
        assert_ne!(events, Stages::new(8).take(10_000).collect::<Vec<_>>());
        assert!(events.is_sorted_by_key(|p| p.at_ns));
    }

    #[test]
    fn one_frame_in_a_hundred_is_lost_and_never_at_its_ingress() {
        let events: Vec<_> = Stages::new(1).take_while(|p| p.frame < 10_000).collect();
        let count = |stage| events.iter().filter(|p| p.stage == stage).count();
        let (ingress, done) = (count(0), count(2));
        // take_while ends with the first event of frame 10,000: a few before it are still on their way.
        assert_eq!(ingress, 10_000);
        let lost = ingress - done;
        assert!((60..150).contains(&lost), "{lost}");
        assert!(count(1) < ingress && count(1) > done);
    }
}
