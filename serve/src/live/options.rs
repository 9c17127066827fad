//! What is followed, and how.

use bl_store::Store;

use super::aligner::StagePair;

/// A step of a flow: marks of this name begin and end it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name that its marks carry.
    pub name: String,
    /// The latency that counts as met, milliseconds.
    pub target_ms: Option<f64>,
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// The store.
    pub store: Store,
    /// Pairs of stages, for sessions that do not say what they were recorded for.
    pub pairs: Vec<StagePair>,
    /// The longest time between two stages, nanoseconds.
    pub window_ns: i64,
    /// Steps of the flow.
    pub steps: Vec<Step>,
    /// Name of this host.
    pub node: String,
    /// Version of this program.
    pub version: String,
}
