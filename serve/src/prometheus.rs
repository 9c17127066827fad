//! Metrics for Prometheus: what the feed knows, in base units, under conventional names.
//!
//! Every scrape is made from the last values; a device whose rows have ceased has no series. HELP texts are those of
//! `schemas/`.

mod benchlab;
mod compat;
mod families;
mod host;
mod openmetrics;

#[cfg(test)]
mod tests;

use prometheus::{Encoder, TextEncoder};

use crate::live::{Feed, FeedError, FeedOptions, LATENCY_BOUNDS_S, Now, Window};
use families::Families;

/// Rows older than this are no longer what a device does now.
const FRESH_NS: i64 = 5_000_000_000;

/// What the metrics hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricOptions {
    /// Also the series of the older tool, under its names.
    pub compat_names: bool,
}

/// How they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text format, version 0.0.4.
    Classic,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client with this `Accept` header takes.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metrics that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The encoder refused them.
    #[error("the metrics cannot be written: {0}")]
    Encode(#[from] prometheus::Error),
    /// The encoder wrote no text.
    #[error("the metrics are no UTF-8: {0}")]
    Text(#[from] std::string::FromUtf8Error),
    /// The store cannot be followed.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// The metrics as they are now.
///
/// # Errors
/// When they cannot be encoded.
pub fn render(
    feed: &Feed,
    options: &MetricOptions,
    format: Format,
) -> Result<String, MetricsError> {
    let now = feed.now();
    let mut families = Families::default();
    families.gauge(
        "bl_build_info",
        "Always 1; the version of bl",
        &[("version", &feed.options().version)],
        1.0,
    );
    families.gauge(
        "bl_recording",
        "Whether a session is being recorded",
        &[],
        f64::from(u8::from(now.window.as_ref().is_some_and(|w| w.entry.is_live))),
    );
    if let Some(window) = &now.window {
        collect(&mut families, window, &now, options);
    }
    drop(now);
    let families = families.into_sorted();
    match format {
        Format::OpenMetrics => Ok(openmetrics::encode(&families)),
        Format::Classic => {
            let mut text = Vec::new();
            TextEncoder::new().encode(&families, &mut text)?;
            Ok(String::from_utf8(text)?)
        }
    }
}

/// One snapshot of the session that is being recorded, for node_exporter's textfile collector.
///
/// # Errors
/// When the store cannot be followed or the metrics cannot be encoded.
pub fn snapshot(
    feed: FeedOptions,
    options: &MetricOptions,
    format: Format,
) -> Result<String, MetricsError> {
    render(&Feed::start(feed)?, options, format)
}

fn collect(families: &mut Families, window: &Window, now: &Now, options: &MetricOptions) {
    let now_ns = now.time_ns();
    pairs(families, window);
    sources(families, window, now_ns);
    benchlab::collect(families, window, now_ns);
    host::collect(families, window, now_ns);
    if options.compat_names {
        compat::collect(families, window, now_ns);
    }
}

fn pairs(families: &mut Families, window: &Window) {
    for pair in &window.pairs {
        let labels = [("pair", &*pair.name)];
        families.histogram(
            "bl_stage_latency_seconds",
            "Time from the first stage of the pair to the second, over all frames of the session",
            &labels,
            (&LATENCY_BOUNDS_S, &pair.buckets, pair.sum_s),
        );
        families.counter(
            "bl_stage_frames_dropped_total",
            "Frames of the session that never reached the second stage of the pair",
            &labels,
            pair.counts.dropped as f64,
        );
        families.counter(
            "bl_stage_frames_ambiguous_total",
            "Frames of the session of which nobody can tell whether, and when, they reached the second stage of the pair",
            &labels,
            pair.counts.ambiguous as f64,
        );
        families.counter(
            "bl_stage_frames_begun_total",
            "Frames of the session that entered the first stage of the pair",
            &labels,
            pair.begun as f64,
        );
    }
    families.counter(
        "bl_pipeline_events_total",
        "Stage events of the session that were read",
        &[],
        window.rows.get("pipeline").copied().unwrap_or(0) as f64,
    );
}

fn sources(families: &mut Families, window: &Window, now_ns: i64) {
    // The store tells of itself in table health, and is no source.
    let sources = window.tallies.sources().iter().filter(|(name, _)| *name != "store");
    for (name, tally) in sources {
        let labels = [("source", name.as_str())];
        let up = f64::from(u8::from(window.entry.is_live && tally.is_up(now_ns)));
        families.gauge("bl_source_up", "Whether the source delivers rows", &labels, up);
        if let Some(last_ns) = tally.last_ns {
            families.gauge(
                "bl_source_last_sample_timestamp_seconds",
                "Time of the source's last row, seconds since 1970",
                &labels,
                last_ns as f64 / 1e9,
            );
        }
        let counters = [
            ("bl_source_rows_total", "Rows of the source that were read", tally.rows),
            (
                "bl_source_errors_total",
                "Errors that the source told of in table health",
                tally.errors,
            ),
            (
                "bl_source_lost_total",
                "Samples or events of the source known to be lost",
                tally.lost,
            ),
        ];
        for (name, help, value) in counters {
            families.counter(name, help, &labels, value as f64);
        }
    }
}
