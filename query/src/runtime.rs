//! What the queries of a process share: memory, and what the footers of files say.

use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::error::QueryError;

/// What footers and statistics of files may take in memory.
const FOOTERS_BYTES: usize = 16 << 20;

/// The largest takers that an error about memory names.
const NAMED_CONSUMERS: std::num::NonZero<usize> = std::num::NonZero::<usize>::MIN.saturating_add(2);

/// What queries share. A process makes one and hands a clone to each [`Query`](crate::Query): what one has read of
/// files' footers the next does not read again, and they take memory from one pool.
#[derive(Debug, Clone)]
pub struct Runtime(Arc<RuntimeEnv>);

impl Runtime {
    /// Queries that take as much memory as they need.
    ///
    /// # Errors
    /// [`QueryError::Settings`].
    pub fn unlimited() -> Result<Self, QueryError> {
        build(RuntimeEnvBuilder::new().with_metadata_cache_limit(FOOTERS_BYTES))
    }

    /// Queries whose operators take at most `memory_bytes` together: sorts and aggregates spill to disk, what cannot
    /// fails.
    ///
    /// # Errors
    /// [`QueryError::Settings`].
    pub fn limited(memory_bytes: usize) -> Result<Self, QueryError> {
        Self::unlimited()?.with_limit(memory_bytes)
    }

    /// The same with a pool of its own of `memory_bytes`; what is known of files is still shared.
    ///
    /// # Errors
    /// [`QueryError::Settings`].
    pub fn with_limit(&self, memory_bytes: usize) -> Result<Self, QueryError> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(memory_bytes), NAMED_CONSUMERS);
        build(RuntimeEnvBuilder::from_runtime_env(&self.0).with_memory_pool(Arc::new(pool)))
    }

    pub(crate) fn env(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.0)
    }
}

fn build(builder: RuntimeEnvBuilder) -> Result<Runtime, QueryError> {
    let built = builder.build_arc();
    built.map(Runtime).map_err(|error| QueryError::Settings(Box::new(error)))
}
