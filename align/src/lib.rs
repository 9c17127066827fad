//! Pure kernels over Arrow arrays: clock model, pairing, as-of, energy, frame times, lag; and
//! the [driver] that makes frames of them.

pub mod as_of;
pub mod clock;
pub mod driver;
pub mod energy;
pub mod frametime;
pub mod lag;
pub mod pair;
pub mod quantile;
pub mod resample;

pub use driver::{DEFAULT_TOLERANCE_NS, SETTLING_NS};
