//! Pure kernels over Arrow arrays: clock model, pairing, as-of, energy, lag.

pub mod as_of;
pub mod energy;
pub mod pair;
