//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bl_query::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::compressed::Compressed;
use super::problem::Problem;
use crate::live::Feed;
use crate::prometheus::MetricOptions;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub feed: Feed,
    pub queries: Arc<Semaphore>,
    pub allows_query: bool,
    /// What the queries share, as long as it serves.
    pub runtime: Runtime,
    pub compressed: Arc<Compressed>,
    pub metrics: Arc<MetricOptions>,
    pub stopping: watch::Receiver<bool>,
}

impl App {
    /// Turns true when the server stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// Waits for a turn to query the store: few at a time, so that recording is not slowed.
    pub async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let waiting = Arc::clone(&self.queries).acquire_owned();
        match tokio::time::timeout(Duration::from_secs(20), waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many queries at once: try again in a moment",
            )),
        }
    }
}
