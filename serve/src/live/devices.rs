//! Boards as JSON: who they are by `session.json`, and how they measure now.

use bl_align::quantile::Values;
use bl_store::Manifest;
use serde_json::{Value, json};

use super::power::Board;
use super::tally::STALE_NS;
use super::time::{json_number, ms, ms_opt};
use super::window::Window;

/// Rates are means over this time.
const RECENT_NS: i64 = 5_000_000_000;

/// Who a board is, as far as the recorder came to know: the shape **board** of `web/API.md`.
pub fn board_json(manifest: &Manifest, uid: &str) -> Value {
    let known = manifest.devices.iter().find(|d| d["id"] == uid);
    let known = |name: &str| known.map_or(Value::Null, |d| d[name].clone());
    json!({
        "uid": uid, "model": known("model"), "name": known("name"),
        "vendor_id": known("vendor_id"), "product_id": known("product_id"),
        "firmware": known("firmware"), "port": known("path"),
        "calibration_valid": known("calibration_valid"),
    })
}

/// The member `devices` of **status**.
pub(super) fn devices_json(window: &Window, now_ns: i64) -> Value {
    window.boards.iter().map(|board| device_json(window, board, now_ns)).collect()
}

fn device_json(window: &Window, board: &Board, now_ns: i64) -> Value {
    let manifest = window.entry.session.manifest();
    let tally = window.tallies.sources().get(&board.source);
    let is_up = board.rows.back().is_some_and(|r| now_ns - r.ts_ns < STALE_NS);
    let recent = board.rows.iter().rev().take_while(|r| r.ts_ns > now_ns - RECENT_NS);
    let mut round_trips: Values = board.round_trips.iter().map(|ns| *ns as f64).collect();
    let measured = json!({
        "source": board.source, "node": manifest.node,
        "state": if is_up { "up" } else { "gone" },
        "rate_hz": recent.count() as f64 / (RECENT_NS as f64 / 1e9),
        "target_hz": manifest.config["benchlab_hz"], "samples": board.samples,
        "rtt_ns": board.round_trips.back(), "rtt_min_ns": board.round_trips.iter().min(),
        "rtt_p99_ns": round_trips.percentile(0.99).map(f64::round),
        "ts_err_ns": board.ts_err_ns,
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
    });
    let mut device = board_json(manifest, &board.uid);
    if let (Some(device), Value::Object(measured)) = (device.as_object_mut(), measured) {
        device.extend(measured);
    }
    device
}
