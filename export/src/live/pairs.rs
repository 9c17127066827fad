//! Rows of pairs as JSON.

use serde_json::{Map, Value, json};

use super::aligner::PairRow;
use super::time::{json_number, ms};

/// The shape **pairs** of `web/API.md`: the rows that reached `stage_b`, then those that were dropped, each sorted by
/// time.
pub fn pairs_json(pair: &str, rows: &[PairRow]) -> Map<String, Value> {
    let (mut paired, mut dropped): (Vec<&PairRow>, Vec<&PairRow>) =
        rows.iter().partition(|row| row.latency_ns.is_some());
    paired.sort_by_key(|row| row.ts_ns);
    dropped.sort_by_key(|row| row.ts_ns);
    let column = |rows: &[&PairRow], f: &dyn Fn(&PairRow) -> Value| -> Value {
        rows.iter().map(|row| f(row)).collect()
    };
    let mut out = Map::new();
    out.insert("pair".into(), json!(pair));
    out.insert("t".into(), column(&paired, &|row| json!(ms(row.ts_ns))));
    out.insert("lat_ms".into(), column(&paired, &|row| json_number(row.latency_ms())));
    out.insert("power_w".into(), column(&paired, &|row| json_number(row.power_w)));
    out.insert("energy_j".into(), column(&paired, &|row| json_number(row.energy_j)));
    out.insert("frame".into(), column(&paired, &|row| json!(row.frame)));
    out.insert("dropped_t".into(), column(&dropped, &|row| json!(ms(row.ts_ns))));
    out.insert("dropped_frame".into(), column(&dropped, &|row| json!(row.frame)));
    out
}
