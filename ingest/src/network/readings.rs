//! Flat documents of readings, as the vendor's tools send them: `EPS1_Power` of benchlab-pycore, and the short names
//! of the vendor's Windows service, `EPS1_P`, that may come over the same kind of stream.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::board::{ABSENT_MILLI, TABLE, is_reading};
use crate::draft::Draft;
use crate::serial::protocol::{PROBES, RAILS};

/// What is no reading.
const BESIDE: [&str; 3] = ["timestamp", "ts", "connected"];

/// What one sensor measures.
const CLIMATE: [&str; 2] = ["ambient_c", "humidity_pct"];

/// Sums over rails.
const SUMS: [&str; 4] = ["sys_w", "cpu_w", "gpu_w", "mb_w"];

/// The columns of the keys.
#[derive(Debug)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    pub fn new() -> Self {
        let mut names = HashMap::new();
        let mut add = |keys: &[String], column: String| {
            for key in keys {
                names.insert(key.clone(), column.clone());
            }
        };
        for rail in RAILS {
            let key = rail.to_uppercase().replace("_WIRE", "_W");
            for (long, short, unit) in
                [("Voltage", "V", "v"), ("Current", "I", "a"), ("Power", "P", "w")]
            {
                add(&[format!("{key}_{long}"), format!("{key}_{short}")], format!("{rail}_{unit}"));
            }
        }
        for sum in ["SYS", "CPU", "GPU", "MB"] {
            let column = format!("{}_w", sum.to_lowercase());
            add(&[format!("{sum}_Power"), format!("{sum}_P")], column);
        }
        for i in 0..13 {
            add(&[format!("VIN_{i}"), format!("V{}", i + 1)], format!("vin{i}_v"));
        }
        for (i, probe) in PROBES.iter().enumerate() {
            let key = probe.to_uppercase();
            let long = if i < 4 { format!("TS_{}", i + 1) } else { key.clone() };
            add(&[long, key], format!("{probe}_c"));
        }
        for fan in 1..=9 {
            add(&[format!("Fan{fan}_RPM"), format!("FAN{fan}_T")], format!("fan{fan}_rpm"));
            add(&[format!("Fan{fan}_Duty"), format!("FAN{fan}_D")], format!("fan{fan}_duty_pct"));
            add(&[format!("Fan{fan}_Status")], format!("fan{fan}_enabled"));
        }
        for (long, short, column) in [
            ("Vdd", "VDD", "vdd_v"),
            ("Vref", "VREF", "vref_v"),
            ("Chip_Temp", "T_CHIP", "chip_c"),
            ("Ambient_Temp", "T_AMB", "ambient_c"),
            ("Humidity", "HUM", "humidity_pct"),
            ("FanExtDuty", "FAN_EXT", "fan_ext_duty_pct"),
        ] {
            add(&[long.into(), short.into()], column.into());
        }
        Self(names)
    }

    /// Takes the readings of a document. What the board says that it does not measure is no reading: a rail of
    /// 32.767 V, and a climate sensor that did not answer, for which it sends 0 twice.
    ///
    /// # Errors
    /// When a reading is not what its key says.
    pub fn fill(&self, readings: &Map<String, Value>, draft: &mut Draft<'_>) -> Result<(), String> {
        let unmeasured = self.unmeasured(readings);
        for (key, value) in readings.iter().filter(|(key, _)| !BESIDE.contains(&key.as_str())) {
            match self.0.get(key) {
                Some(column) if unmeasured.contains(&column.as_str()) => {}
                Some(column) if is_reading(value) => draft.set(TABLE, column, key, value)?,
                Some(_) => {}
                None => draft.unknown.push(key.clone()),
            }
        }
        Ok(())
    }

    /// The columns of what the board did not measure; with a rail, the sums that the server made of it.
    fn unmeasured(&self, readings: &Map<String, Value>) -> Vec<&str> {
        let with = |number: f64| {
            let keys = readings.iter().filter(move |(_, value)| value.as_f64() == Some(number));
            keys.filter_map(|(key, _)| self.0.get(key)).map(String::as_str)
        };
        let mut columns: Vec<&str> = with(0.0).filter(|column| CLIMATE.contains(column)).collect();
        if columns.len() < CLIMATE.len() {
            columns.clear();
        }
        let rails: Vec<&str> = with(ABSENT_MILLI).filter_map(|c| c.strip_suffix("_v")).collect();
        for column in self.0.values() {
            let of_rail = column.rsplit_once('_').is_some_and(|(rail, _)| rails.contains(&rail));
            if of_rail || (!rails.is_empty() && SUMS.contains(&column.as_str())) {
                columns.push(column);
            }
        }
        columns
    }
}

/// Whether a document is what benchlab-pytools puts in the place of one while it has lost the board: all zero, and
/// `connected` false.
pub(super) fn is_placeholder(readings: &Map<String, Value>) -> bool {
    let numbers = || readings.values().filter_map(Value::as_f64);
    readings.get("connected") == Some(&Value::Bool(false))
        || (numbers().next().is_some() && numbers().all(|n| n == 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::board::{BoardRows, Taken};
    use crate::source::kept::{Kept, kept};
    use serde_json::json;
    use std::sync::Arc;

    fn recorded(document: Value) -> Arc<Kept> {
        let (kept, context) = kept();
        let mut rows = BoardRows::new("benchlab.api");
        let names = Names::new();
        rows.push(&context, "00FF", Taken::Before(5), |draft| {
            names.fill(document.as_object().unwrap(), draft)
        });
        kept
    }

    fn nulls_and_values(kept: &Kept) -> Vec<(String, i32)> {
        let batch = kept.of(TABLE).remove(0);
        let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        names
            .iter()
            .filter(|n| ["_v", "_a", "_w", "_c"].iter().any(|unit| n.ends_with(unit)))
            .filter_map(|name| Some((name.clone(), kept.decimals(TABLE, name)[0]?)))
            .collect()
    }

    #[test]
    fn long_and_short_names_mean_the_same() {
        let long = recorded(json!({
            "EPS1_Voltage": 12.05, "EPS1_Current": 4.731, "EPS1_Power": 57.0, "HPWR2_W6_Power": 0.0,
            "VIN_0": 1.005, "Vdd": 3.3, "Vref": 1.21, "Chip_Temp": 41.5, "Ambient_Temp": 23.5,
            "TS_1": 35.0, "TS_HPWR2_OUT": 36.1, "SYS_Power": 300.0, "Fan1_RPM": 900,
            "timestamp": "2026-11-24T10:00:00",
        }));
        let short = recorded(json!({
            "EPS1_V": 12.05, "EPS1_I": 4.731, "EPS1_P": 57.0, "HPWR2_W6_P": 0.0, "V1": 1.005,
            "VDD": 3.3, "VREF": 1.21, "T_CHIP": 41.5, "T_AMB": 23.5, "TS1": 35.0,
            "TS_HPWR2_OUT": 36.1, "SYS_P": 300.0, "FAN1_T": 900,
        }));
        let want = [
            ("sys_w", 300_000),
            ("eps1_v", 12_050),
            ("eps1_a", 4_731),
            ("eps1_w", 57_000),
            ("hpwr2_wire6_w", 0),
            ("vin0_v", 1_005),
            ("vdd_v", 3_300),
            ("vref_v", 1_210),
            ("chip_c", 415),
            ("ambient_c", 235),
            ("ts1_c", 350),
            ("ts_hpwr2_out_c", 361),
        ];
        for kept in [long, short] {
            let got = nulls_and_values(&kept);
            assert_eq!(got, want.map(|(name, value)| (name.to_owned(), value)));
            assert_eq!(kept.texts(TABLE, "device_uid"), ["00FF"]);
            assert_eq!(kept.numbers(TABLE, "ts_err_ns"), [None]);
            assert_eq!(kept.stamps(TABLE), [1_005]);
        }
    }

    #[test]
    fn what_is_not_measured_is_null() {
        let kept = recorded(json!({
            "TS_1": null, "TS_2": "NaN", "TS_3": -1.797e308, "Ambient_Temp": 0.0, "Humidity": 0.0,
            "EPS1_Voltage": 32.767, "EPS1_Current": 1.0, "EPS1_Power": 2.0, "EPS2_Power": 3.0,
            "CPU_Power": 5.0, "HPWR1_Power": 4.0, "GPU_Power": 4.0,
        }));
        let got = nulls_and_values(&kept);
        assert_eq!(got, [("eps2_w".to_owned(), 3_000), ("hpwr1_w".to_owned(), 4_000)]);
        // Freezing in humid air is a reading.
        let kept = recorded(json!({"Ambient_Temp": 0.0, "Humidity": 99.0}));
        assert_eq!(nulls_and_values(&kept), [("ambient_c".to_owned(), 0)]);
        assert_eq!(kept.decimals(TABLE, "humidity_pct"), [Some(990)]);
    }

    #[test]
    fn a_document_that_makes_no_sense_is_counted_and_not_recorded() {
        let kept = recorded(json!({"EPS1_Power": "much", "EPS2_Power": 1.0}));
        assert!(kept.of(TABLE).is_empty());
        let (reason, count, detail) = kept.health().remove(0);
        assert_eq!((reason.as_str(), count), ("malformed", 1));
        assert!(detail.contains("EPS1_Power is not a number"), "{detail}");
        // Without any reading there is no row, and nothing is wrong.
        let kept = recorded(json!({"timestamp": "2026-11-24T10:00:00", "TS_1": null}));
        assert!(kept.of(TABLE).is_empty() && kept.health().is_empty());
        let kept = recorded(json!({"EPS2_Power": 1.0, "Flux_1": 2}));
        let told = kept.health().into_iter().find(|(reason, _, _)| reason == "unsupported");
        assert!(told.unwrap().2.ends_with("Flux_1"));
    }

    /// What benchlab-pytools sends of a BENCHLAB 2 that it takes for an ORIGINAL.
    #[test]
    fn readings_made_of_the_wrong_bytes_are_not_recorded() {
        use crate::serial::emulator::Signal;
        use crate::serial::protocol::{Model, RailReading, decode, encode};
        let bytes = encode(&Signal::desktop(1).sample_at(Model::Benchlab2.newest(), 0));
        let mut document = Map::new();
        for (i, rail) in RAILS.iter().take(11).enumerate() {
            let at = 48 + 12 * i;
            let rail_bytes = &bytes[at..at + 12];
            let got: RailReading = decode("a rail", RailReading::default(), rail_bytes).unwrap();
            let milli = |n: i32| Value::from(f64::from(n) / 1000.0);
            let name = rail.to_uppercase();
            document.insert(format!("{name}_Voltage"), milli(got.voltage_mv.into()));
            document.insert(format!("{name}_Current"), milli(got.current_ma));
            document.insert(format!("{name}_Power"), milli(got.power_mw));
        }
        let kept = recorded(document.into());
        assert!(kept.of(TABLE).is_empty());
        assert_eq!(kept.health()[0].0, "malformed");
    }

    #[test]
    fn a_greeting_is_no_uid() {
        let (kept, context) = kept();
        let mut rows = BoardRows::new("benchlab.api");
        for _ in 0..2 {
            rows.push(&context, "42454E43484C4142204F5249", Taken::Before(5), |draft| {
                draft.set(TABLE, "sys_w", "SYS_Power", &Value::from(1))
            });
        }
        assert_eq!(kept.texts(TABLE, "device_uid"), ["-", "-"]);
        let told = kept.health().into_iter().filter(|(reason, _, _)| reason == "malformed");
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn placeholders_are_told_from_readings() {
        let is = |document: Value| is_placeholder(document.as_object().unwrap());
        assert!(is(
            json!({"SYS_Power": 0.0, "Chip_Temp": 0, "connected": false, "timestamp": "x"})
        ));
        assert!(is(json!({"SYS_Power": 0.0, "Chip_Temp": 0, "timestamp": "x"})));
        assert!(is(json!({"SYS_Power": 1.0, "connected": false})));
        assert!(!is(json!({"SYS_Power": 0.0, "Vdd": 3.3})));
        assert!(!is(json!({})));
    }
}
