//! `pair('ingress', 'encoded', …)`: every frame that entered a stage, with the time it took to another.

mod kernel;
mod keys;
mod node;
mod pairing;
mod stream;

pub use node::{KeyRule, PairStages, PairWhat};
