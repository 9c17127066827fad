//! What is known and told of a graphics card, whoever made it.

use bl_store::{ColumnIndex, Rows};

use crate::source::rows_of;

/// Which cards are sampled: all of them, or those named by index, UUID or PCI address.
#[derive(Debug, Clone, Default)]
pub struct Choice(Vec<String>);

impl Choice {
    /// Only the cards of these names; all of them if there is no name.
    pub fn only(cards: Vec<String>) -> Self {
        Self(cards)
    }

    /// Whether a card is among them.
    pub(crate) fn takes(&self, card: &Identity) -> bool {
        let is =
            |name: &String| name.eq_ignore_ascii_case(&card.uuid) || name.parse() == Ok(card.index);
        self.0.is_empty() || self.0.iter().any(is)
    }
}

/// Which card it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its place among the graphics cards of this machine, whoever made them.
    pub(super) index: i16,
    /// NVML's UUID, else the PCI address.
    pub(crate) uuid: String,
    pub(super) vendor: &'static str,
    pub(super) name: String,
}

impl Identity {
    /// What `session.json` keeps of it.
    pub(super) fn describe(&self, driver: &str) -> serde_json::Value {
        serde_json::json!({
            "id": self.uuid, "kind": "gpu", "vendor": self.vendor, "name": self.name,
            "index": self.index, "driver": driver,
        })
    }
}

/// One sample of a card; the columns of table `gpu`, in their units.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Sample {
    /// Whether the card sleeps, so that it was not asked for anything else.
    pub(super) asleep: Option<bool>,
    pub(super) util_pct: Option<f32>,
    pub(super) mem_util_pct: Option<f32>,
    pub(super) mem_used_bytes: Option<i64>,
    pub(super) mem_total_bytes: Option<i64>,
    pub(super) gtt_used_bytes: Option<i64>,
    pub(super) gtt_total_bytes: Option<i64>,
    /// Power, and what it is: `energy`, `instant`, `average` or `driver`.
    pub(super) power_w: Option<(f64, &'static str)>,
    pub(super) power_average_w: Option<f64>,
    pub(super) power_limit_w: Option<f64>,
    pub(super) gfx_power_w: Option<f64>,
    pub(super) cores_power_w: Option<f64>,
    pub(super) energy_j: Option<f64>,
    pub(super) temp_c: Option<f32>,
    pub(super) hotspot_c: Option<f32>,
    pub(super) mem_temp_c: Option<f32>,
    pub(super) core_mhz: Option<f32>,
    pub(super) mem_mhz: Option<f32>,
    /// Fans 1 to 3.
    pub(super) fan_pct: [Option<f32>; FANS],
    pub(super) fan_rpm: [Option<i32>; FANS],
    pub(super) pcie_rx_bytes_per_s: Option<f64>,
    pub(super) pcie_tx_bytes_per_s: Option<f64>,
    pub(super) encoder_pct: Option<f32>,
    pub(super) decoder_pct: Option<f32>,
    pub(super) media_pct: Option<f32>,
    pub(super) throttle: Option<i64>,
    pub(super) held_by_power_ns: Option<i64>,
    pub(super) held_by_heat_ns: Option<i64>,
    pub(super) ecc_corrected: Option<i64>,
    pub(super) ecc_uncorrected: Option<i64>,
    pub(super) pstate: Option<i16>,
}

/// How many fans of a card have columns.
pub(super) const FANS: usize = 3;

type Column<T> = (&'static str, fn(&Sample) -> Option<T>);

const F32: [Column<f32>; 13] = [
    ("util_pct", |s| s.util_pct),
    ("mem_util_pct", |s| s.mem_util_pct),
    ("temp_c", |s| s.temp_c),
    ("hotspot_c", |s| s.hotspot_c),
    ("mem_temp_c", |s| s.mem_temp_c),
    ("core_mhz", |s| s.core_mhz),
    ("mem_mhz", |s| s.mem_mhz),
    ("fan_pct", |s| s.fan_pct[0]),
    ("fan2_pct", |s| s.fan_pct[1]),
    ("fan3_pct", |s| s.fan_pct[2]),
    ("encoder_pct", |s| s.encoder_pct),
    ("decoder_pct", |s| s.decoder_pct),
    ("media_pct", |s| s.media_pct),
];
const F64: [Column<f64>; 8] = [
    ("power_w", |s| s.power_w.map(|(watts, _)| watts)),
    ("power_average_w", |s| s.power_average_w),
    ("power_limit_w", |s| s.power_limit_w),
    ("gfx_power_w", |s| s.gfx_power_w),
    ("cores_power_w", |s| s.cores_power_w),
    ("energy_j", |s| s.energy_j),
    ("pcie_rx_bytes_per_s", |s| s.pcie_rx_bytes_per_s),
    ("pcie_tx_bytes_per_s", |s| s.pcie_tx_bytes_per_s),
];
const I64: [Column<i64>; 9] = [
    ("mem_used_bytes", |s| s.mem_used_bytes),
    ("mem_total_bytes", |s| s.mem_total_bytes),
    ("gtt_used_bytes", |s| s.gtt_used_bytes),
    ("gtt_total_bytes", |s| s.gtt_total_bytes),
    ("throttle", |s| s.throttle),
    ("held_by_power_ns", |s| s.held_by_power_ns),
    ("held_by_heat_ns", |s| s.held_by_heat_ns),
    ("ecc_corrected", |s| s.ecc_corrected),
    ("ecc_uncorrected", |s| s.ecc_uncorrected),
];
const I32: [Column<i32>; 3] =
    [("fan_rpm", |s| s.fan_rpm[0]), ("fan2_rpm", |s| s.fan_rpm[1]), ("fan3_rpm", |s| s.fan_rpm[2])];
/// Who the card is, and what is of a type of its own.
const OTHER: [&str; 7] = ["gpu", "uuid", "vendor", "name", "asleep", "power_method", "pstate"];

/// Rows of table `gpu`.
pub(super) struct GpuTable {
    pub(super) rows: Rows,
    f32: [ColumnIndex; F32.len()],
    f64: [ColumnIndex; F64.len()],
    i64: [ColumnIndex; I64.len()],
    i32: [ColumnIndex; I32.len()],
    other: [ColumnIndex; OTHER.len()],
}

impl GpuTable {
    pub(super) fn new() -> Self {
        let rows = rows_of("gpu");
        Self {
            f32: F32.map(|(name, _)| rows.column(name)),
            f64: F64.map(|(name, _)| rows.column(name)),
            i64: I64.map(|(name, _)| rows.column(name)),
            i32: I32.map(|(name, _)| rows.column(name)),
            other: OTHER.map(|name| rows.column(name)),
            rows,
        }
    }

    pub(super) fn add(&mut self, ts: i64, source: &str, card: &Identity, sample: &Sample) {
        let rows = &mut self.rows;
        rows.begin(ts, source);
        let [gpu, uuid, vendor, name, asleep, power_method, pstate] = self.other;
        rows.i16(gpu, card.index);
        rows.str(uuid, card.uuid.as_str());
        rows.str(vendor, card.vendor);
        rows.str(name, card.name.as_str());
        if let Some(is_asleep) = sample.asleep {
            rows.bool(asleep, is_asleep);
        }
        rows.str(power_method, sample.power_w.map(|(_, method)| method));
        rows.i16(pstate, sample.pstate);
        for (column, (_, of)) in self.f32.iter().zip(F32) {
            rows.f32(*column, of(sample));
        }
        for (column, (_, of)) in self.f64.iter().zip(F64) {
            rows.f64(*column, of(sample));
        }
        for (column, (_, of)) in self.i64.iter().zip(I64) {
            rows.i64(*column, of(sample));
        }
        for (column, (_, of)) in self.i32.iter().zip(I32) {
            rows.i32(*column, of(sample));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_chosen_by_index_or_identity() {
        let card = |index, uuid: &str| Identity {
            index,
            uuid: uuid.to_owned(),
            vendor: "nvidia",
            name: String::new(),
        };
        let (first, second) = (card(0, "GPU-aa"), card(1, "0000:0C:00.0"));
        assert!(Choice::default().takes(&first) && Choice::default().takes(&second));
        let choice = Choice::only(vec!["gpu-AA".into()]);
        assert!(choice.takes(&first) && !choice.takes(&second));
        let choice = Choice::only(vec!["1".into(), "0000:0c:00.0".into()]);
        assert!(!choice.takes(&first) && choice.takes(&second));
    }

    #[test]
    fn every_column_of_the_table_is_written() {
        let table = bl_schemas::table("gpu").unwrap();
        let mut own: Vec<_> = table.columns.iter().map(|c| c.name.as_str()).skip(4).collect();
        let numbers = F32.map(|c| c.0).into_iter().chain(F64.map(|c| c.0)).chain(I64.map(|c| c.0));
        let mut written: Vec<_> = numbers.chain(I32.map(|c| c.0)).chain(OTHER).collect();
        own.sort_unstable();
        written.sort_unstable();
        assert_eq!(own, written);
    }
}
