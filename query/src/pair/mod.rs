//! `pair('ingress', 'encoded', …)`: every frame that entered a stage, with the time it took to another.

mod frames;
mod kernel;
mod keys;
mod node;
mod pairing;
mod stream;
#[cfg(test)]
mod tests;

pub use node::{KeyRule, PairStages, PairWhat};
