//! What each field of a snapshot can hold, and what follows where it holds something else.
//!
//! The protocol has no checksum. One field beyond its range is an odd reading: the field is null, and the snapshot is
//! kept. A reply that is out of step puts bytes that belong elsewhere into fields of many kinds at once.

use std::fmt;
use std::ops::RangeInclusive;

use super::{ABSENT, NO_FAN_SIGNAL, PROBES, RAILS, Sample};
use crate::serial::protocol::FANS;

/// Supply of the controller in mV: an STM32F303 is specified from 2.0 to 3.6 V, and breaks at 4.0 V.
pub const VDD_MV: RangeInclusive<u16> = 2_000..=4_000;

/// Relative humidity in 0.1 %.
pub const HUMIDITY_PERMILLE: RangeInclusive<u16> = 0..=1_000;

/// Temperature of a probe or of the controller in 0.1 degC: benchlab-pycore 0.8.0 drops what lies beyond.
pub const TEMPERATURE_DC: RangeInclusive<i32> = -1_000..=1_000;

/// Duty of a fan in %.
pub const DUTY_PCT: RangeInclusive<u8> = 0..=100;

/// Current of a rail in mA: more than any connector of a PC carries, twenty times over.
pub const CURRENT_MA: RangeInclusive<i32> = -1_000_000..=1_000_000;

/// Power of a rail in mW: the largest current at the largest voltage that the protocol can say.
pub const POWER_MW: RangeInclusive<i32> = -32_767_000..=32_767_000;

/// Values of the fan switch: auto, 50 %, 100 %.
pub const FAN_SWITCH: RangeInclusive<u8> = 0..=2;

/// Values of a flag.
pub const FLAG: RangeInclusive<u8> = 0..=1;

/// A value, or nothing where it cannot be.
pub fn possible<T: PartialOrd>(value: T, range: RangeInclusive<T>) -> Option<T> {
    range.contains(&value).then_some(value)
}

/// A field of a snapshot; written as its column of table `benchlab`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Supply of the controller.
    Vdd,
    /// Its temperature.
    Chip,
    /// A probe, by its place in [`PROBES`].
    Probe(usize),
    /// Relative humidity.
    Humidity,
    /// The fan switch.
    FanSwitch,
    /// The RGB switch.
    RgbSwitch,
    /// The external RGB status.
    RgbExt,
    /// Duty of the external PWM signal.
    FanExtDuty,
    /// Whether a fan is enabled, by its number from 0.
    FanEnable(usize),
    /// Duty of a fan, by its number from 0.
    FanDuty(usize),
    /// Current of a rail, by its place in [`RAILS`].
    Current(usize),
    /// Power of a rail, by its place in [`RAILS`].
    Power(usize),
}

impl Field {
    /// Whether a value beyond its range says something of the reply's structure: a probe that is broken or shorted does
    /// not.
    fn is_structural(self) -> bool {
        !matches!(self, Field::Chip | Field::Probe(_))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Field::Vdd => f.write_str("vdd_v"),
            Field::Chip => f.write_str("chip_c"),
            Field::Probe(i) => write!(f, "{}_c", PROBES[i]),
            Field::Humidity => f.write_str("humidity_pct"),
            Field::FanSwitch => f.write_str("fan_switch"),
            Field::RgbSwitch => f.write_str("rgb_switch"),
            Field::RgbExt => f.write_str("rgb_ext"),
            Field::FanExtDuty => f.write_str("fan_ext_duty_pct"),
            Field::FanEnable(i) => write!(f, "fan{}_enabled", i + 1),
            Field::FanDuty(i) => write!(f, "fan{}_duty_pct", i + 1),
            Field::Current(i) => write!(f, "{}_a", RAILS[i]),
            Field::Power(i) => write!(f, "{}_w", RAILS[i]),
        }
    }
}

/// A field that holds what it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OddReading {
    /// Which.
    pub field: Field,
    /// What it holds, in the board's own unit.
    pub value: i64,
}

impl fmt::Display for OddReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be {} (as the board sends it)", self.field, self.value)
    }
}

impl Sample {
    /// The fields that hold what they cannot; none as a rule. `chip_unit_dc` is the contract's.
    pub fn odd_readings(&self, chip_unit_dc: i16) -> Vec<OddReading> {
        let mut odd = Vec::new();
        let mut note = |field: Field, value: i64, is_possible: bool| {
            if !is_possible {
                odd.push(OddReading { field, value });
            }
        };
        let temperature = |raw: i16, unit_dc: i16| {
            raw == ABSENT || TEMPERATURE_DC.contains(&(i32::from(raw) * i32::from(unit_dc)))
        };
        note(Field::Vdd, self.vdd_mv.into(), VDD_MV.contains(&self.vdd_mv));
        note(Field::Chip, self.chip.into(), temperature(self.chip, chip_unit_dc));
        for (i, raw) in self.probes().iter().enumerate() {
            note(Field::Probe(i), (*raw).into(), temperature(*raw, 1));
        }
        let humidity = self.humidity_permille;
        note(Field::Humidity, humidity.into(), HUMIDITY_PERMILLE.contains(&humidity));
        note(Field::FanSwitch, self.fan_switch.into(), FAN_SWITCH.contains(&self.fan_switch));
        note(Field::RgbSwitch, self.rgb_switch.into(), FLAG.contains(&self.rgb_switch));
        note(Field::RgbExt, self.rgb_ext.into(), FLAG.contains(&self.rgb_ext));
        let duty = self.fan_ext_duty_pct;
        note(Field::FanExtDuty, duty.into(), duty == NO_FAN_SIGNAL || DUTY_PCT.contains(&duty));
        for (i, fan) in self.fans.iter().enumerate() {
            note(Field::FanEnable(i), fan.enable.into(), FLAG.contains(&fan.enable));
            note(Field::FanDuty(i), fan.duty_pct.into(), DUTY_PCT.contains(&fan.duty_pct));
        }
        for (i, rail) in self.rails().iter().enumerate().filter(|(_, rail)| rail.is_usable()) {
            let (current, power) = (rail.current_ma, rail.power_mw);
            note(Field::Current(i), current.into(), CURRENT_MA.contains(&current));
            note(Field::Power(i), power.into(), POWER_MW.contains(&power));
        }
        odd
    }
}

/// What makes a snapshot look out of step: fields of several kinds hold what they cannot.
///
/// A board may do that of its own accord, and then again when it is asked again. So a doubt that comes back the same,
/// after the line was silent and the board said who it is, is no doubt any more: what differs from reply to reply when
/// bytes are out of step are the values of the switches and flags, which a board changes only when somebody touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    fields: Vec<Field>,
    switches: [u8; 3 + FANS],
}

impl Doubt {
    /// The doubt that these odd readings of a snapshot raise, if they do.
    pub fn of(sample: &Sample, odd: &[OddReading]) -> Option<Self> {
        let fields: Vec<Field> =
            odd.iter().map(|odd| odd.field).filter(|field| field.is_structural()).collect();
        let kind = std::mem::discriminant::<Field>;
        let first = kind(fields.first()?);
        if fields.iter().all(|field| kind(field) == first) {
            return None;
        }
        let mut switches = [0; 3 + FANS];
        switches[..3].copy_from_slice(&[sample.fan_switch, sample.rgb_switch, sample.rgb_ext]);
        switches[3..].iter_mut().zip(sample.fans).for_each(|(to, fan)| *to = fan.enable);
        Some(Self { fields, switches })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        let names: Vec<String> = self.fields.iter().take(SHOWN).map(Field::to_string).collect();
        let more = match self.fields.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        write!(f, "{}{more} cannot be what came", names.join(", "))
    }
}
