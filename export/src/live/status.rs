//! The shape **status** of `web/API.md`.

use std::path::Path;

use serde_json::{Value, json};

use super::feed::FeedOptions;
use super::pairs::PairWindow;
use super::power::Board;
use super::time::{json_number, ms, ms_opt};
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
        "paired": counts.paired, "dropped": counts.dropped,
        "open": pair.begun.saturating_sub(counts.paired + counts.dropped + counts.late),
        "rate_hz": paired as f64 / 5.0,
        "delay_ms": newest.map(|ns| (now_ns - ns) as f64 / 1e6),
        "sensor_lag_ms": null, "lag_confidence": null,
    })
}

fn devices_json(window: &Window, now_ns: i64) -> Value {
    let manifest = window.entry.session.manifest();
    let device = |board: &Board| {
        let known = manifest.devices.iter().find(|d| d["id"] == board.uid.as_str());
        let known = |name: &str| known.map_or(Value::Null, |d| d[name].clone());
        let tally = window.tallies.sources().get(&board.source);
        let is_up = board.rows.back().is_some_and(|r| now_ns - r.ts_ns < super::tally::STALE_NS);
        let recent = board.rows.iter().rev().take_while(|r| r.ts_ns > now_ns - 5_000_000_000);
        let mut round_trips: bl_align::quantile::Values =
            board.round_trips.iter().map(|ns| *ns as f64).collect();
        let hz = &manifest.config["benchlab_hz"];
        json!({
            "uid": board.uid, "source": board.source, "node": manifest.node,
            "model": known("model"), "name": known("name"), "vendor_id": known("vendor_id"),
            "product_id": known("product_id"), "firmware": known("firmware"),
            "port": known("path"), "state": if is_up { "up" } else { "gone" },
            "rate_hz": recent.count() as f64 / 5.0, "target_hz": hz, "samples": board.samples,
            "rtt_ns": board.round_trips.back(), "rtt_min_ns": board.round_trips.iter().min(),
            "rtt_p99_ns": round_trips.percentile(0.99).map(f64::round),
            "ts_err_ns": board.ts_err_ns,
            "calibration_valid": known("calibration_valid"),
            "calibration_time": known("calibration_time"),
            "gaps": {
                "count": board.silences.count,
                "lost": tally.map_or(board.silences.lost, |t| t.lost.max(board.silences.lost)),
                "longest_ms": (board.silences.count > 0)
                    .then_some(board.silences.longest_ns as f64 / 1e6),
                "last": ms_opt(board.silences.last_ns),
            },
            "energy": {
                "since": ms(board.since_ns),
                "sys_j": json_number(board.joules[0]), "cpu_j": json_number(board.joules[1]),
                "gpu_j": json_number(board.joules[2]), "mb_j": json_number(board.joules[3]),
                "peak_w": board.peak.map(|(w, _)| w), "peak_t": ms_opt(board.peak.map(|(_, t)| t)),
            },
        })
    };
    window.boards.iter().map(device).collect()
}
