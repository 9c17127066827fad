//! `energy(relation => …, from => …, to => …, power => …)`: joules between two instants of each row.

mod exec;
mod node;
mod planner;
mod stream;

pub use exec::{EnergyExec, EnergyOn};
pub use node::{Energy, EnergyWhat};
pub(crate) use planner::EnergyPlanner;
