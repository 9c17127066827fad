//! What of the rows of `latency` somebody waits for.

/// Rows that wait in memory, at most, before they go out to files.
const FILE_ROWS: usize = 500_000;

/// What of the rows is asked for. Only that is made.
pub(crate) struct Demand<'a> {
    /// Frames that entered `stage_a` before are left out.
    pub from_ns: i64,
    /// Power and energy, which are null without it.
    pub with_power: bool,
    /// Rows that go out first. Each time after that twice as many go out together.
    pub first_rows: usize,
    /// Rows that wait in memory, at most, before they go out.
    pub most_rows: usize,
    /// Whether nobody waits any more: then the computation ends with
    /// [`LatencyError::Stopped`](super::LatencyError::Stopped).
    pub is_over: &'a dyn Fn() -> bool,
}

impl Demand<'_> {
    /// Everything, in as few pieces as memory allows.
    pub fn everything() -> Self {
        Self {
            from_ns: i64::MIN,
            with_power: true,
            first_rows: FILE_ROWS,
            most_rows: FILE_ROWS,
            is_over: &|| false,
        }
    }
}
