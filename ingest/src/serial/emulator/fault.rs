//! What can go wrong with a board, on demand.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Between the packets of a reply that trickles in.
pub const TRICKLE: Duration = Duration::from_millis(5);

/// A misbehaviour of a virtual board, met by one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// No answer.
    Stall,
    /// The reply lacks its last bytes.
    Short,
    /// Bytes that belong to nothing come before the reply.
    Stray,
    /// The reply has the right size and random content.
    Garbage,
    /// The reply comes 300 ms later.
    Delay,
    /// The reply comes packet by packet, [`TRICKLE`] apart.
    Trickle,
    /// The board leaves the bus in the middle of the reply and comes back a second later.
    Unplug,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Stall,
        Self::Short,
        Self::Stray,
        Self::Garbage,
        Self::Delay,
        Self::Trickle,
        Self::Unplug,
    ];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::Stall => "stall",
            FaultKind::Short => "short",
            FaultKind::Stray => "stray",
            FaultKind::Garbage => "garbage",
            FaultKind::Delay => "delay",
            FaultKind::Trickle => "trickle",
            FaultKind::Unplug => "unplug",
        })
    }
}

/// A misbehaviour and how often it happens, written `stall@50` or `stall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// To each so-many-th reply, 1 for all.
    pub every: u64,
}

impl Fault {
    /// Whether it meets the reply of that number, counted from 1.
    pub fn meets(&self, reply: u64) -> bool {
        reply.is_multiple_of(self.every.max(1))
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let invalid = || InvalidFault(text.to_owned());
        let (kind, every) = text.split_once('@').unwrap_or((text, "1"));
        let kind = FaultKind::ALL.into_iter().find(|k| k.to_string() == kind);
        let every = every.parse().ok().filter(|every| *every > 0);
        Ok(Self { kind: kind.ok_or_else(invalid)?, every: every.ok_or_else(invalid)? })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.kind, self.every)
    }
}

/// A text that is not a [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a fault: write stall, short, stray, garbage, delay, trickle or unplug, and @N for each N-th reply only"
)]
pub struct InvalidFault(String);

/// How long a board takes to answer, written `8ms` or, for uneven delays between two bounds, `4ms..40ms`. The
/// instant that the readings are of lies anywhere within the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyDelay {
    /// Shortest.
    pub from: Duration,
    /// Longest.
    pub to: Duration,
}

impl FromStr for ReplyDelay {
    type Err = InvalidDelay;

    fn from_str(text: &str) -> Result<Self, InvalidDelay> {
        let invalid = || InvalidDelay(text.to_owned());
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let delay = Self {
            from: parse_duration(from).ok_or_else(invalid)?,
            to: parse_duration(to).ok_or_else(invalid)?,
        };
        if delay.from <= delay.to { Ok(delay) } else { Err(invalid()) }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[number.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()
}

/// A text that is not a [`ReplyDelay`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a delay: write 8ms, or 4ms..40ms for uneven ones")]
pub struct InvalidDelay(String);
