//! The shape **status** of `web/API.md`.

use std::path::Path;

use serde_json::{Value, json};

use super::devices::devices_json;
use super::options::FeedOptions;
use super::pairs::PairWindow;
use super::time::{ms, ms_opt};
use super::window::Window;

/// What an exporter of this process does now.
#[derive(Debug, Clone, PartialEq)]
pub struct Exporter {
    /// `web` or `prometheus`.
    pub name: &'static str,
    /// Where it listens; none where it does not.
    pub address: Option<String>,
    /// Streams that are open.
    pub clients: Option<u64>,
    /// When it was asked last, nanoseconds UTC.
    pub last_ns: Option<i64>,
}

impl Exporter {
    fn json(&self, now_ns: i64) -> Value {
        let state = match (&self.address, self.last_ns) {
            (None, _) => "off",
            (_, Some(last)) if now_ns - last < 60_000_000_000 => "up",
            _ => "idle",
        };
        json!({
            "name": self.name, "kind": self.name, "state": state, "detail": "",
            "address": self.address, "clients": self.clients, "rate_per_s": null,
            "last": ms_opt(self.last_ns),
        })
    }
}

/// What is known of the store.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreState {
    /// What went wrong when it was read last.
    pub error: Option<String>,
    pub sessions: usize,
    pub open_bytes: u64,
    pub bytes_per_s: f64,
}

impl StoreState {
    pub fn json(&self, data_root: &Path, window: Option<&Window>, now_ns: i64) -> Value {
        let is_missing = !data_root.is_dir();
        let (state, detail) = match &self.error {
            _ if is_missing => ("missing", format!("{} is not there yet", data_root.display())),
            Some(error) => ("error", error.clone()),
            None => ("ok", String::new()),
        };
        let rate = |w: &Window| -> f64 {
            w.tallies.sources().values().map(|tally| tally.rate_hz(now_ns)).sum()
        };
        let bytes = window.and_then(|w| w.bytes);
        let sealed = bytes.map(|bytes| bytes.saturating_sub(self.open_bytes));
        json!({
            "state": state, "detail": detail, "data_root": data_root.display().to_string(),
            "sessions": self.sessions, "sealed_bytes": sealed, "open_bytes": self.open_bytes,
            "rows_per_s": window.map(rate), "bytes_per_s": window.map(|_| self.bytes_per_s),
            "free_bytes": free_bytes(data_root),
            "lag_ms": window.and_then(|w| w.lag_ns).map(|ns| ns as f64 / 1e6),
        })
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The whole status.
pub(super) fn status_json(
    options: &FeedOptions,
    started_ns: i64,
    now_ns: i64,
    window: Option<&Window>,
    store: &StoreState,
    exporters: &[Exporter],
) -> Value {
    let has_ended = window.is_some_and(|w| !w.entry.is_live);
    json!({
        "version": options.version, "node": options.node, "now": ms(now_ns),
        "started": ms(started_ns),
        "session": window.map(|w| w.session_json(now_ns)),
        "sources": window.map_or(json!([]), |w| w.tallies.sources_json(now_ns, has_ended)),
        "store": store.json(options.store.data_root(), window, now_ns),
        "alignment": window.map_or(json!([]), |w| {
            w.pairs.iter().map(|pair| alignment_json(pair, now_ns)).collect()
        }),
        "exporters": exporters.iter().map(|e| e.json(now_ns)).collect::<Vec<_>>(),
        "devices": window.map_or(json!([]), |w| devices_json(w, now_ns)),
        "health": window.map_or(json!([]), |w| w.tallies.health_json()),
    })
}

fn alignment_json(pair: &PairWindow, now_ns: i64) -> Value {
    const RECENT_NS: i64 = 5_000_000_000;
    let recent = pair.rows.iter().rev().take_while(|row| row.ts_ns > now_ns - 2 * RECENT_NS);
    let recent: Vec<_> = recent.filter(|row| row.ts_ns > now_ns - RECENT_NS).collect();
    let paired = recent.iter().filter(|row| row.latency_ns.is_some()).count();
    let counts = pair.counts;
    let newest =
        pair.rows.iter().rev().take(64).filter_map(|r| Some(r.ts_ns + r.latency_ns?)).max();
    json!({
        "pair": *pair.name, "state": if paired > 0 { "up" } else { "idle" },
        "paired": counts.paired, "dropped": counts.dropped, "ambiguous": counts.ambiguous,
        "open": pair.begun.saturating_sub(
            counts.paired + counts.dropped + counts.ambiguous + counts.late
        ),
        "rate_hz": paired as f64 / 5.0,
        "delay_ms": newest.map(|ns| (now_ns - ns) as f64 / 1e6),
        "sensor_lag_ms": null, "lag_confidence": null,
    })
}
