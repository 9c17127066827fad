//! Figures of each source: rows, rate, losses, state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::cells::Cells;
use super::time::{ms, ms_opt};

/// Rates are means over this time.
const RATE_NS: i64 = 5_000_000_000;
/// A source that has not delivered for this long is stale.
pub(super) const STALE_NS: i64 = 5_000_000_000;
/// Rows of `health` that are shown.
const HEALTH_ROWS: usize = 50;

/// Reasons of `health` that count what is lost.
const LOSSES: [&str; 8] = [
    "late",
    "timeout",
    "malformed",
    "sender_dropped",
    "store_full",
    "damaged",
    "bad_stamp",
    "deleted",
];
/// Reasons of `health` that are errors.
const ERRORS: [&str; 12] = [
    "down",
    "ended",
    "unplugged",
    "stalled",
    "timeout",
    "malformed",
    "denied",
    "disk",
    "store_full",
    "damaged",
    "bad_stamp",
    "deleted",
];

/// One source.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Rows seen.
    pub rows: u64,
    /// Samples or events known to be lost.
    pub lost: u64,
    /// Errors that it told of.
    pub errors: u64,
    /// Time of its last row.
    pub last_ns: Option<i64>,
    /// Tables that it fills.
    pub tables: BTreeSet<&'static str>,
    recent: VecDeque<(i64, u64)>,
    trouble: Option<String>,
    /// Whether it failed and is not tried again.
    is_given_up: bool,
}

impl Tally {
    /// Rows a second over the last seconds.
    pub fn rate_hz(&self, now_ns: i64) -> f64 {
        let from_ns = now_ns - RATE_NS;
        let rows: u64 = self.recent.iter().filter(|(at, _)| *at > from_ns).map(|(_, n)| n).sum();
        rows as f64 / (RATE_NS as f64 / 1e9)
    }

    /// Whether rows come; marks come when somebody sets one.
    pub fn is_up(&self, now_ns: i64) -> bool {
        let is_occasional = self.tables.iter().eq(["marks"].iter());
        self.last_ns.is_some_and(|last| is_occasional || now_ns - last < STALE_NS)
    }

    fn kind(&self) -> &'static str {
        ["benchlab", "pipeline", "gpu"]
            .into_iter()
            .find(|table| self.tables.contains(table))
            .unwrap_or("host")
    }

    fn json(&self, name: &str, now_ns: i64, has_ended: bool) -> Value {
        let state = match () {
            () if has_ended || self.is_given_up => "ended",
            () if self.trouble.is_some() => "waiting",
            () if self.is_up(now_ns) => "up",
            () if self.last_ns.is_some() => "stale",
            () => "starting",
        };
        json!({
            "name": name, "kind": self.kind(), "state": state,
            "detail": self.trouble.as_deref().unwrap_or_default(),
            "rate_hz": self.rate_hz(now_ns), "rows": self.rows, "lost": self.lost,
            "last": ms_opt(self.last_ns), "simulated": name.starts_with("sim."),
            "tables": self.tables,
        })
    }
}

/// All sources of a session.
#[derive(Debug, Clone, Default)]
pub struct Tallies {
    sources: BTreeMap<String, Tally>,
    health: VecDeque<Value>,
}

impl Tallies {
    /// Each source by its name.
    pub fn sources(&self) -> &BTreeMap<String, Tally> {
        &self.sources
    }

    /// Counts rows of a table, read at `now_ns`.
    pub fn count(&mut self, table: &'static str, rows: &RecordBatch, now_ns: i64) {
        let cells = Cells(rows);
        let mut counts: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
        for (row, ts_ns) in cells.ts().iter().enumerate() {
            let (n, last) =
                counts.entry(cells.text("source", row).unwrap_or_default()).or_default();
            (*n, *last) = (*n + 1, (*last).max(*ts_ns));
        }
        for (source, (n, last_ns)) in counts {
            let tally = self.of(source);
            tally.rows += n;
            tally.last_ns = tally.last_ns.max(Some(last_ns));
            tally.tables.insert(table);
            tally.trouble = None;
            if now_ns - last_ns < RATE_NS {
                tally.recent.push_back((now_ns, n));
            }
            while tally.recent.front().is_some_and(|(at, _)| *at < now_ns - RATE_NS) {
                tally.recent.pop_front();
            }
        }
    }

    /// Takes rows of table `health`.
    pub fn note(&mut self, rows: &RecordBatch) {
        let cells = Cells(rows);
        for (row, ts_ns) in cells.ts().iter().enumerate() {
            let source = cells.text("source", row).unwrap_or_default();
            let reason = cells.text("reason", row).unwrap_or_default();
            let (count, detail) = (cells.int("count", row), cells.text("detail", row));
            let known = u64::try_from(count.unwrap_or(0)).unwrap_or(0);
            let tally = self.of(source);
            tally.lost += if LOSSES.contains(&reason) { known } else { 0 };
            tally.errors += u64::from(ERRORS.contains(&reason));
            match reason {
                // Rows that come after it say that it was not the whole source.
                "down" | "unplugged" | "stalled" | "denied" | "ended" => {
                    tally.trouble = Some(detail.unwrap_or(reason).into());
                    tally.is_given_up |= reason == "ended";
                }
                "up" => tally.trouble = None,
                _ => {}
            }
            self.health.push_back(json!({
                "t": ms(*ts_ns), "source": source, "reason": reason, "count": count,
                "detail": detail,
            }));
        }
        let surplus = self.health.len().saturating_sub(HEALTH_ROWS);
        self.health.drain(..surplus);
    }

    fn of(&mut self, source: &str) -> &mut Tally {
        self.sources.entry(source.into()).or_default()
    }

    /// The member `sources` of **status**.
    pub fn sources_json(&self, now_ns: i64, has_ended: bool) -> Value {
        self.sources.iter().map(|(name, tally)| tally.json(name, now_ns, has_ended)).collect()
    }

    /// The member `health` of **status**.
    pub fn health_json(&self) -> Value {
        self.health.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bl_store::{Reason, health_row};

    #[test]
    fn who_waits_hangs_is_refused_or_given_up_is_told_apart() {
        let mut tallies = Tallies::default();
        let health = bl_schemas::table("health").unwrap();
        for (source, reason) in [
            ("gpu.nvml", Reason::Down),
            ("host.rapl", Reason::Denied),
            ("host.hwmon", Reason::Stalled),
            ("benchlab.kit", Reason::Ended),
        ] {
            tallies.note(&health_row(health, 1, source, reason, 1, "why"));
        }
        let sources = tallies.sources_json(2, false);
        let states: Vec<_> = sources
            .as_array()
            .unwrap()
            .iter()
            .map(|s| [&s["name"], &s["state"], &s["detail"]].map(|v| v.as_str().unwrap()))
            .collect();
        let expected = [
            ["benchlab.kit", "ended", "why"],
            ["gpu.nvml", "waiting", "why"],
            ["host.hwmon", "waiting", "why"],
            ["host.rapl", "waiting", "why"],
        ];
        assert_eq!(states, expected);
        assert_eq!(tallies.sources()["benchlab.kit"].errors, 1);
    }
}
