//! Threads for what takes long. Nobody who only looks at the page waits for them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use super::limits::STACK_BYTES;
use super::problem::Problem;

/// Threads of their own, and turns to use them.
pub(super) struct Workers {
    /// Some until it is dropped.
    runtime: Option<Runtime>,
    turns: Arc<Semaphore>,
    patience: Duration,
}

/// A turn. It is given back when its work has really ended.
pub(super) type Turn = OwnedSemaphorePermit;

/// Work on one of the threads. It is given up when this is dropped.
pub(super) struct Work<T>(JoinHandle<T>);

impl Workers {
    /// Starts `parallel` threads.
    ///
    /// # Errors
    /// When the system has none left.
    pub fn start(name: &str, parallel: usize, patience: Duration) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(parallel)
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), turns: Arc::new(Semaphore::new(parallel)), patience })
    }

    /// Waits for a turn: few at a time, so that recording is not slowed.
    pub async fn turn(&self) -> Result<Turn, Problem> {
        let waiting = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout(self.patience, waiting).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many queries at once: try again in a moment",
            )),
        }
    }

    /// Does `work`, which ends the turn.
    pub fn spawn<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Work<T>, Problem> {
        let runtime = self.runtime.as_ref().ok_or_else(|| Problem::fault("the server stops"))?;
        Ok(Work(runtime.spawn(async move {
            let done = work.await;
            drop(turn);
            done
        })))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be a task itself, and may not wait.
            runtime.shutdown_background();
        }
    }
}

impl<T> Future for Work<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
