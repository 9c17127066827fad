//! `energy(relation => …, from => …, to => …, power => …)`: joules between two instants of each row.

mod index;
mod kernel;
mod node;
mod stream;
#[cfg(test)]
mod tests;

pub use node::{Energy, EnergyWhat};
