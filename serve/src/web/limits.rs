//! How much anybody may ask of the server. `docs/serve.md` has the same as a table, and a test holds them together.

use std::time::Duration;

use bl_query::StatementLimits;

/// How much anybody may ask of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A statement of `/api/query`.
    pub statement: StatementLimits,
    /// Rows of its answer.
    pub rows: usize,
    /// Bytes of its answer.
    pub answer_bytes: usize,
    /// Time that it may take, until its last byte is taken.
    pub patience: Duration,
    /// Memory that its operators may take, bytes.
    pub memory_bytes: usize,
    /// Memory that a question of the page about a past session may take, bytes.
    pub past_memory_bytes: usize,
    /// Statements at a time; as many questions about past sessions run beside them.
    pub parallel: usize,
    /// Time that a question waits for its turn.
    pub turn_patience: Duration,
    /// Connections of the page at a time, fewer where the process may open few files.
    pub connections: usize,
    /// Connections of the metrics at a time.
    pub metric_connections: usize,
    /// Descriptors that connections leave to the store and the sources.
    pub descriptors_kept: usize,
    /// Time that a client has to send a request, and that an idle connection is kept.
    pub header_patience: Duration,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// A client that takes nothing for this long is cut off.
    pub client_patience: Duration,
    /// Streams at a time.
    pub streams: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement: StatementLimits {
                bytes: 20_000,
                tokens: 2_000,
                depth: 200,
                relations: 64,
                value: 100_000,
            },
            rows: 10_000,
            answer_bytes: 16 << 20,
            patience: Duration::from_secs(15),
            memory_bytes: 256 << 20,
            past_memory_bytes: 512 << 20,
            parallel: 2,
            turn_patience: Duration::from_secs(20),
            connections: 256,
            metric_connections: 16,
            descriptors_kept: 128,
            header_patience: Duration::from_secs(10),
            request_bytes: 128 << 10,
            client_patience: Duration::from_secs(30),
            streams: 240,
        }
    }
}

/// Stack of a thread that plans: what [`StatementLimits`] let through is worked down, and debug builds take much a step.
/// Only what is used of it is memory.
pub(super) const STACK_BYTES: usize = 128 << 20;

/// Rows in a batch of `/api/query`: what a row is made into may be long.
pub(super) const BATCH_ROWS: usize = 256;
