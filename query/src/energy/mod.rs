//! `energy(relation => …, from => …, to => …, power => …)`: joules between two instants of each row.

mod kernel;
mod node;
mod stream;

pub use node::{Energy, EnergyWhat};
