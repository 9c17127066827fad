//! How much of a session is kept in memory.

/// 15 minutes.
pub(super) const KEPT_NS: i64 = 900_000_000_000;

/// Rows of a pair or a board, at most: 15 minutes at 1 kHz.
pub(super) const ROWS: usize = 900_000;
