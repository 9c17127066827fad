//! ElmorLabs BENCHLAB boards on USB serial: the protocol, the host that records from them, and virtual boards.
//!
//! The protocol's facts come from the wire contracts that benchlab-pycore 0.8.0 ships (generated from the
//! firmware's headers, one a release) and from that client's own code where the contracts are silent.

pub mod protocol;
