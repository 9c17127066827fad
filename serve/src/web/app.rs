//! What the handlers share.

use std::sync::Arc;

use bl_query::Runtime;
use tokio::sync::watch;

use super::compressed::Compressed;
use super::kept::Kept;
use super::limits::Limits;
use super::workers::Workers;
use crate::live::{Feed, PairRow, PowerRow};
use crate::prometheus::MetricOptions;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub feed: Feed,
    pub allows_query: bool,
    pub limits: Limits,
    /// Where statements of `/api/query` run.
    pub sql: Arc<Workers>,
    /// Where the page's questions about past sessions run.
    pub past: Arc<Workers>,
    /// What the queries share, as long as it serves.
    pub runtime: Runtime,
    /// Frames and samples of the past session that was asked for last.
    pub kept_frames: Arc<Kept<PairRow>>,
    pub kept_power: Arc<Kept<PowerRow>>,
    pub compressed: Arc<Compressed>,
    pub metrics: Arc<MetricOptions>,
    pub stopping: watch::Receiver<bool>,
}

impl App {
    /// Turns true when the server stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }
}
