//! `pair('ingress', 'encoded', …)`: every frame that entered a stage, with the time it took to another.

mod exec;
mod node;
mod pairing;
mod planner;
mod stream;

pub use exec::{PairExec, PairOn};
pub use node::{KeyRule, PairStages, PairWhat};
pub(crate) use planner::PairPlanner;
