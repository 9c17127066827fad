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
    /// Index within the vendor's driver.
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
    pub(super) util_pct: Option<f32>,
    pub(super) mem_util_pct: Option<f32>,
    pub(super) mem_used_bytes: Option<i64>,
    pub(super) mem_total_bytes: Option<i64>,
    /// Power, and what it is: `energy`, `instant`, `average` or `driver`.
    pub(super) power_w: Option<(f64, &'static str)>,
    pub(super) power_limit_w: Option<f64>,
    pub(super) energy_j: Option<f64>,
    pub(super) temp_c: Option<f32>,
    pub(super) hotspot_c: Option<f32>,
    pub(super) mem_temp_c: Option<f32>,
    pub(super) core_mhz: Option<f32>,
    pub(super) mem_mhz: Option<f32>,
    pub(super) fan_pct: Option<f32>,
    pub(super) fan_rpm: Option<i32>,
    pub(super) pcie_rx_bytes_per_s: Option<f64>,
    pub(super) pcie_tx_bytes_per_s: Option<f64>,
    pub(super) encoder_pct: Option<f32>,
    pub(super) decoder_pct: Option<f32>,
    pub(super) throttle: Option<i64>,
    pub(super) pstate: Option<i16>,
}

/// Rows of table `gpu`.
pub(super) struct GpuTable {
    pub(super) rows: Rows,
    columns: [ColumnIndex; COLUMNS.len()],
}

const COLUMNS: [&str; 25] = [
    "gpu",
    "uuid",
    "vendor",
    "name",
    "util_pct",
    "mem_util_pct",
    "mem_used_bytes",
    "mem_total_bytes",
    "power_w",
    "power_method",
    "power_limit_w",
    "energy_j",
    "temp_c",
    "hotspot_c",
    "mem_temp_c",
    "core_mhz",
    "mem_mhz",
    "fan_pct",
    "fan_rpm",
    "pcie_rx_bytes_per_s",
    "pcie_tx_bytes_per_s",
    "encoder_pct",
    "decoder_pct",
    "throttle",
    "pstate",
];

impl GpuTable {
    pub(super) fn new() -> Self {
        let rows = rows_of("gpu");
        let columns = COLUMNS.map(|name| rows.column(name));
        Self { rows, columns }
    }

    pub(super) fn add(&mut self, ts: i64, source: &str, card: &Identity, sample: &Sample) {
        let [
            gpu,
            uuid,
            vendor,
            name,
            util,
            mem_util,
            mem_used,
            mem_total,
            power,
            power_method,
            power_limit,
            energy,
            temp,
            hotspot,
            mem_temp,
            core_mhz,
            mem_mhz,
            fan_pct,
            fan_rpm,
            pcie_rx,
            pcie_tx,
            encoder,
            decoder,
            throttle,
            pstate,
        ] = self.columns;
        let rows = &mut self.rows;
        rows.begin(ts, source);
        rows.i16(gpu, card.index);
        rows.str(uuid, card.uuid.as_str());
        rows.str(vendor, card.vendor);
        rows.str(name, card.name.as_str());
        rows.f32(util, sample.util_pct);
        rows.f32(mem_util, sample.mem_util_pct);
        rows.i64(mem_used, sample.mem_used_bytes);
        rows.i64(mem_total, sample.mem_total_bytes);
        rows.f64(power, sample.power_w.map(|(watts, _)| watts));
        rows.str(power_method, sample.power_w.map(|(_, method)| method));
        rows.f64(power_limit, sample.power_limit_w);
        rows.f64(energy, sample.energy_j);
        rows.f32(temp, sample.temp_c);
        rows.f32(hotspot, sample.hotspot_c);
        rows.f32(mem_temp, sample.mem_temp_c);
        rows.f32(core_mhz, sample.core_mhz);
        rows.f32(mem_mhz, sample.mem_mhz);
        rows.f32(fan_pct, sample.fan_pct);
        rows.i32(fan_rpm, sample.fan_rpm);
        rows.f64(pcie_rx, sample.pcie_rx_bytes_per_s);
        rows.f64(pcie_tx, sample.pcie_tx_bytes_per_s);
        rows.f32(encoder, sample.encoder_pct);
        rows.f32(decoder, sample.decoder_pct);
        rows.i64(throttle, sample.throttle);
        rows.i16(pstate, sample.pstate);
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
        let own: Vec<_> = table.columns.iter().map(|c| c.name.as_str()).skip(4).collect();
        assert_eq!(own, COLUMNS);
    }
}
