//! Pure kernels over Arrow arrays: clock model, pairing, as-of, energy, frame times, lag.

pub mod as_of;
pub mod clock;
pub mod energy;
pub mod frametime;
pub mod lag;
pub mod pair;
pub mod quantile;
pub mod resample;

/// Power samples further apart than this are a gap, and one further from an event does not tell its
/// power: 200 ms, ten samples at 50 Hz.
pub const DEFAULT_TOLERANCE_NS: i64 = 200_000_000;

/// While a session is recorded, what is this young may still get events or samples: a batch on its
/// way, or one that waits to be flushed.
pub const SETTLING_NS: i64 = 15_000_000_000;
