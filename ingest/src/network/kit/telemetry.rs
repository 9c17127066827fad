//! The readings in a document of benchlabd, in both of its shapes.

use serde_json::{Map, Value};

use super::super::board::{ABSENT_MILLI, TABLE, is_reading};
use super::packing::{self, Rails};
use crate::draft::Draft;
use crate::serial::protocol::RAILS;

/// Rails, fans, probes and inputs that the daemon knows.
pub(super) const RAIL_COUNT: usize = 11;
pub(super) const FAN_COUNT: usize = 9;
const PROBE_COUNT: usize = 4;
const INPUT_COUNT: usize = 13;

/// Readings of a board; `None` is what the document does not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Telemetry {
    /// Voltage inputs, V.
    pub inputs: [Option<f64>; INPUT_COUNT],
    /// degC.
    pub chip: Option<f64>,
    pub ambient: Option<f64>,
    pub probes: [Option<f64>; PROBE_COUNT],
    /// %.
    pub humidity: Option<f64>,
    /// V, A and W of each rail.
    pub power: [[Option<f64>; 3]; RAIL_COUNT],
    pub fans: [FanValues; FAN_COUNT],
}

/// Readings of a fan.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct FanValues {
    pub enabled: Option<bool>,
    pub duty_pct: Option<f64>,
    pub rpm: Option<i64>,
}

/// What was done to readings to make them the board's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Repair {
    /// Rails were put together anew; see [`packing`].
    pub power: bool,
    /// Temperatures and humidity were ten times too low.
    pub climate: bool,
}

impl Telemetry {
    /// Reads a line of `/stream` or the document of `/devices/{id}/sensors`. Keys that are missing and numbers that are
    /// null are no readings.
    ///
    /// # Errors
    /// When a list is none, is too long, or has something in it that is no number.
    pub fn parse(document: &Map<String, Value>) -> Result<Self, String> {
        let mut telemetry = Self::default();
        let temperatures = document.get("temperatures").and_then(Value::as_object);
        let climate = |flat: &str, nested: &str| {
            let nested = temperatures.and_then(|t| t.get(nested));
            number(flat, document.get(flat).or(nested))
        };
        telemetry.chip = climate("chipTemp", "chip")?;
        telemetry.ambient = climate("ambientTemp", "ambient")?;
        telemetry.humidity = number("humidity", document.get("humidity"))?;
        if let Some(sensors) = temperatures.and_then(|t| t.get("sensors")).and_then(Value::as_array)
        {
            // The chip, the probes, the ambient sensor.
            for (probe, value) in telemetry.probes.iter_mut().zip(sensors.iter().skip(1)) {
                *probe = number("temperatures.sensors", Some(value))?;
            }
        }
        each(document, "voltages", INPUT_COUNT, |i, input| {
            telemetry.inputs[i] = match input.get("millivolts").unwrap_or(input) {
                Value::Object(_) => None,
                millivolts => number("voltages", Some(millivolts))?.map(|mv| mv / 1000.0),
            };
            Ok(())
        })?;
        each(document, "power", RAIL_COUNT, |i, rail| {
            for (value, keys) in telemetry.power[i].iter_mut().zip([
                ["v", "voltage"],
                ["a", "current"],
                ["w", "power"],
            ]) {
                *value = number("power", keys.iter().find_map(|key| rail.get(key)))?;
            }
            Ok(())
        })?;
        each(document, "fans", FAN_COUNT, |i, fan| {
            telemetry.fans[i] = FanValues {
                enabled: fan["enabled"].as_bool(),
                duty_pct: number("fans", fan.get("duty"))?,
                rpm: fan["rpm"].as_i64(),
            };
            Ok(())
        })?;
        Ok(telemetry)
    }

    /// Repairs what the daemon is known to spoil, where the readings themselves show that it did. `firmware` is the
    /// board's, if it is known.
    ///
    /// # Errors
    /// When the readings of power belong to no board, neither as they are nor repaired.
    pub fn repair(&mut self, firmware: Option<i64>) -> Result<Repair, String> {
        let power = self.repair_power()?;
        let dry_and_cold = self.humidity.is_some_and(|h| h > 0.0 && h < 10.0)
            && self.ambient.is_some_and(|c| c.abs() < 6.0);
        let repair = Repair { power, climate: power || dry_and_cold };
        if repair.climate {
            // Up to fw02 the chip's temperature comes in whole degrees; which ones these are, only the firmware tells.
            let chip_factor = firmware.map(|fw| if fw <= 2 { 100.0 } else { 10.0 });
            self.chip = self.chip.zip(chip_factor).map(|(c, factor)| c * factor);
            for value in self.probes.iter_mut().chain([&mut self.ambient, &mut self.humidity]) {
                *value = value.map(|v| v * 10.0);
            }
        }
        Ok(repair)
    }

    fn repair_power(&mut self) -> Result<bool, String> {
        if packing::as_given(self).is_some_and(|rails| packing::is_plausible(&rails)) {
            self.repair_duties();
            return Ok(false);
        }
        let Some((rails, fans)) = packing::unpack(self) else {
            return Err("voltage, current and power do not belong together, and are not what benchlabd is known to \
                        make of a BENCHLAB ORIGINAL (of a BENCHLAB 2 it reads the wrong bytes: record that one at USB)"
                .into());
        };
        self.set_rails(&rails);
        self.fans = fans;
        Ok(true)
    }

    fn set_rails(&mut self, rails: &Rails) {
        for (values, rail) in self.power.iter_mut().zip(rails) {
            *values = match rail {
                Some(rail) => [i32::from(rail.voltage_mv), rail.current_ma, rail.power_mw]
                    .map(|milli| Some(f64::from(milli) / 1000.0)),
                None => [None; 3],
            };
        }
    }

    /// The board's duty is in percent; taken for a byte, 40 % are 15.686 %. Whole percents show that it was not.
    fn repair_duties(&mut self) {
        let duties = || self.fans.iter().filter_map(|fan| fan.duty_pct);
        let of_255 = |duty: f64| (duty * 2.55 - (duty * 2.55).round()).abs() < 1e-6;
        if duties().all(of_255) && duties().any(|duty| duty.fract() != 0.0) {
            for duty in self.fans.iter_mut().filter_map(|fan| fan.duty_pct.as_mut()) {
                *duty = (*duty * 2.55).round();
            }
        }
    }

    /// Takes the readings into a draft.
    ///
    /// # Errors
    /// When one of them fits no column.
    pub fn fill(&self, draft: &mut Draft<'_>) -> Result<(), String> {
        let mut set = |column: String, value: Option<f64>| match value {
            Some(value) => draft.set(TABLE, &column, &column, &Value::from(value)),
            None => Ok(()),
        };
        for (i, input) in self.inputs.iter().enumerate() {
            set(format!("vin{i}_v"), input.filter(|v| *v != ABSENT_MILLI))?;
        }
        for (rail, [v, a, w]) in RAILS.iter().zip(self.power) {
            if v != Some(ABSENT_MILLI) {
                set(format!("{rail}_v"), v)?;
                set(format!("{rail}_a"), a)?;
                set(format!("{rail}_w"), w)?;
            }
        }
        // The vendor's client drops what lies beyond, and with it what the board sends for a probe that is not there.
        let is_temperature = |c: &f64| c.abs() <= 100.0;
        set("chip_c".into(), self.chip.filter(is_temperature))?;
        for (i, probe) in self.probes.iter().enumerate() {
            set(format!("ts{}_c", i + 1), probe.filter(is_temperature))?;
        }
        // Zero twice: the sensor did not answer.
        if (self.ambient, self.humidity) != (Some(0.0), Some(0.0)) {
            set("ambient_c".into(), self.ambient)?;
            set("humidity_pct".into(), self.humidity)?;
        }
        for (i, fan) in self.fans.iter().enumerate() {
            set(format!("fan{}_duty_pct", i + 1), fan.duty_pct)?;
            set(format!("fan{}_rpm", i + 1), fan.rpm.map(|rpm| rpm as f64))?;
        }
        for (i, enabled) in self.fans.iter().map(|fan| fan.enabled).enumerate() {
            let column = format!("fan{}_enabled", i + 1);
            draft.set(TABLE, &column, &column, &enabled.map_or(Value::Null, Value::from))?;
        }
        Ok(())
    }
}

/// A number, if there is one.
fn number(what: &str, value: Option<&Value>) -> Result<Option<f64>, String> {
    match value.filter(|value| is_reading(value)) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{what} is not a number: {value}")),
        },
    }
}

/// Goes through a list; a document may lack it. An entry is at the place that it names as its `channel`, else at its
/// own.
fn each(
    document: &Map<String, Value>,
    key: &str,
    most: usize,
    mut take: impl FnMut(usize, &Value) -> Result<(), String>,
) -> Result<(), String> {
    let Some(list) = document.get(key).filter(|list| !list.is_null()) else { return Ok(()) };
    let list = list.as_array().ok_or_else(|| format!("{key} is not a list"))?;
    for (place, entry) in list.iter().enumerate() {
        let channel = match entry.get("channel") {
            None => place,
            Some(channel) => channel.as_u64().map_or(usize::MAX, |n| n as usize),
        };
        if channel >= most {
            return Err(format!("{key} has no channel {channel}"));
        }
        take(channel, entry)?;
    }
    Ok(())
}
