//! Pure kernels over Arrow arrays: clock model, pairing, as-of, energy, frame times, lag.

pub mod as_of;
pub mod clock;
pub mod energy;
pub mod frametime;
pub mod lag;
pub mod pair;
pub mod quantile;
pub mod resample;
