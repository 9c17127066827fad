//! ElmorLabs BENCHLAB boards on USB serial: the protocol, the host that records from them, and virtual boards.
//!
//! The protocol's facts come from the wire contracts that benchlab-pycore 0.8.0 ships (generated from the
//! firmware's headers, one a release) and from that client's own code where the contracts are silent.

mod collector;
mod device;
mod discovery;
pub mod emulator;
mod obstacles;
mod port;
pub mod protocol;
mod recorder;
mod refresh;
mod roster;
mod rows;
mod rtt;
mod scanner;
mod tally;
mod watch;

pub use collector::BenchlabSource;
pub use device::{ConnectOptions, Device, DeviceError, Identity, Reading};
pub use discovery::{Candidate, Found, InvalidSelector, Occupant, Roots, Selector, discover};
pub use emulator::run as emulate;
pub use port::{Port, PortError, RoundTrip};
pub use roster::{Claim, Roster};
pub use rows::{SampleColumns, SampleRow, Stamp};
pub use scanner::BoardScanner;
pub use watch::BoardWatch;
