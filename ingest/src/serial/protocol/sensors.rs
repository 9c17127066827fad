//! The reply to READ_SENSORS: one snapshot of everything that a board measures.

mod domain;

use super::config::FANS;
use super::wire::{Layout, Wire};
pub use domain::{
    CURRENT_MA, DUTY_PCT, Doubt, FAN_SWITCH, FLAG, Field, HUMIDITY_PERMILLE, OddReading, POWER_MW,
    TEMPERATURE_DC, VDD_MV, possible,
};

/// Rails in the order of the wire; those after the 11th are the pins of the two 12V-2x6 connectors, parts of
/// `hpwr1` and `hpwr2` (BENCHLAB 2). Names as in table `benchlab`.
pub const RAILS: [&str; 23] = [
    "eps1",
    "eps2",
    "atx3v",
    "atx5v",
    "atx5vsb",
    "atx12v",
    "pcie1",
    "pcie2",
    "pcie3",
    "hpwr1",
    "hpwr2",
    "hpwr1_wire1",
    "hpwr1_wire2",
    "hpwr1_wire3",
    "hpwr1_wire4",
    "hpwr1_wire5",
    "hpwr1_wire6",
    "hpwr2_wire1",
    "hpwr2_wire2",
    "hpwr2_wire3",
    "hpwr2_wire4",
    "hpwr2_wire5",
    "hpwr2_wire6",
];

/// Temperature probes in the order of the wire; BENCHLAB ORIGINAL has the first four.
pub const PROBES: [&str; 8] =
    ["ts1", "ts2", "ts3", "ts4", "ts_hpwr1_in", "ts_hpwr1_out", "ts_hpwr2_in", "ts_hpwr2_out"];

/// Voltage inputs of both products.
pub const VINS: usize = 13;

/// What a board sends where there is nothing to measure (benchlab-pycore 0.8.0).
pub const ABSENT: i16 = 0x7FFF;

/// `FanExtDuty` without an external PWM signal (benchlab-pycore 0.8.0).
pub const NO_FAN_SIGNAL: u8 = 255;

/// The shape of a reply to READ_SENSORS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorLayout {
    /// How many of [`RAILS`].
    pub rails: usize,
    /// How many of [`PROBES`].
    pub probes: usize,
    /// Whether the fault masks follow.
    pub faults: bool,
}

impl SensorLayout {
    /// BENCHLAB ORIGINAL, 216 bytes.
    pub const ORIGINAL: Self = Self { rails: 11, probes: 4, faults: false };
    /// BENCHLAB 2 before firmware 05, 368 bytes.
    pub const BENCHLAB2_WITHOUT_FAULTS: Self = Self { rails: 23, probes: 8, faults: false };
    /// BENCHLAB 2 from firmware 05, 384 bytes.
    pub const BENCHLAB2: Self = Self { rails: 23, probes: 8, faults: true };

    /// Size of the reply.
    pub const fn bytes(self) -> usize {
        40 + 2 * self.probes + 12 * self.rails + 4 * FANS + if self.faults { 16 } else { 0 }
    }
}

/// One rail: voltage, current, power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RailReading {
    /// mV, or [`ABSENT`].
    pub voltage_mv: i16,
    /// mA.
    pub current_ma: i32,
    /// mW.
    pub power_mw: i32,
}

impl RailReading {
    /// Whether the rail was measured.
    pub fn is_usable(self) -> bool {
        self.voltage_mv != ABSENT
    }
}

/// One fan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FanReading {
    /// 0 or 1.
    pub enable: u8,
    /// PWM duty in %.
    pub duty_pct: u8,
    /// Speed in rpm.
    pub tach_rpm: u16,
}

/// A snapshot in the board's own integers. What lies beyond the counts of [`layout`](Self::layout) is 0 and means
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The shape it came in.
    pub layout: SensorLayout,
    /// Voltage inputs in mV, or [`ABSENT`].
    pub vin_mv: [i16; VINS],
    /// Supply of the controller in mV.
    pub vdd_mv: u16,
    /// Its voltage reference in mV.
    pub vref_mv: u16,
    /// Its temperature, in the unit that the contract says, or [`ABSENT`].
    pub chip: i16,
    /// Probes in 0.1 degC, or [`ABSENT`].
    pub probes_dc: [i16; 8],
    /// Ambient temperature in 0.1 degC; 0 together with humidity 0 when the sensor did not answer.
    pub ambient_dc: i16,
    /// Relative humidity in 0.1 %.
    pub humidity_permille: u16,
    /// 0 auto, 1 50 %, 2 100 %.
    pub fan_switch: u8,
    /// 0 work, 1 play.
    pub rgb_switch: u8,
    /// 0 no external RGB signal, 1 detected.
    pub rgb_ext: u8,
    /// Duty of the external PWM signal in %, or [`NO_FAN_SIGNAL`].
    pub fan_ext_duty_pct: u8,
    /// The rails.
    pub rails: [RailReading; 23],
    /// The fans.
    pub fans: [FanReading; FANS],
    /// Faults now, one bit each.
    pub fault_status: u64,
    /// Faults latched, one bit each.
    pub fault_log: u64,
}

impl Sample {
    /// A snapshot of that shape with all fields 0.
    pub fn blank(layout: SensorLayout) -> Self {
        Self {
            layout,
            vin_mv: [0; VINS],
            vdd_mv: 0,
            vref_mv: 0,
            chip: 0,
            probes_dc: [0; 8],
            ambient_dc: 0,
            humidity_permille: 0,
            fan_switch: 0,
            rgb_switch: 0,
            rgb_ext: 0,
            fan_ext_duty_pct: 0,
            rails: [RailReading::default(); 23],
            fans: [FanReading::default(); FANS],
            fault_status: 0,
            fault_log: 0,
        }
    }

    /// The rails that this board has.
    pub fn rails(&self) -> &[RailReading] {
        &self.rails[..self.layout.rails]
    }

    /// The probes that this board has.
    pub fn probes(&self) -> &[i16] {
        &self.probes_dc[..self.layout.probes]
    }

    /// Power of some rails together in mW; `None` if one of them was not measured, or cannot be what came.
    pub fn power_mw(&self, rails: std::ops::Range<usize>) -> Option<i64> {
        let power = |rail: &RailReading| {
            let usable = possible(rail.power_mw, POWER_MW).filter(|_| rail.is_usable());
            usable.map(i64::from)
        };
        self.rails()[rails].iter().map(power).sum()
    }

    /// EPS1 + EPS2, in mW.
    pub fn cpu_mw(&self) -> Option<i64> {
        self.power_mw(0..2)
    }

    /// The ATX rails, in mW.
    pub fn mainboard_mw(&self) -> Option<i64> {
        self.power_mw(2..6)
    }

    /// PCIE1..3 + HPWR1..2, in mW; the pins are parts of the latter.
    pub fn gpu_mw(&self) -> Option<i64> {
        self.power_mw(6..11)
    }

    /// All of them, in mW.
    pub fn system_mw(&self) -> Option<i64> {
        Some(self.cpu_mw()? + self.mainboard_mw()? + self.gpu_mw()?)
    }

    /// Ambient temperature in 0.1 degC and humidity in 0.1 %, or `None` when the board's sensor did not answer: it
    /// then sends 0 for both (benchlab-pycore 0.8.0).
    pub fn climate(&self) -> Option<(i16, u16)> {
        (self.ambient_dc != 0 || self.humidity_permille != 0)
            .then_some((self.ambient_dc, self.humidity_permille))
    }
}

impl Layout for RailReading {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.i16(&mut self.voltage_mv);
        wire.pad::<2>();
        wire.i32(&mut self.current_ma);
        wire.i32(&mut self.power_mw);
    }
}

impl Layout for FanReading {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.u8(&mut self.enable);
        wire.u8(&mut self.duty_pct);
        wire.u16(&mut self.tach_rpm);
    }
}

impl Layout for Sample {
    fn wire(&mut self, wire: &mut impl Wire) {
        self.vin_mv.iter_mut().for_each(|v| wire.i16(v));
        wire.u16(&mut self.vdd_mv);
        wire.u16(&mut self.vref_mv);
        wire.i16(&mut self.chip);
        self.probes_dc[..self.layout.probes].iter_mut().for_each(|t| wire.i16(t));
        wire.i16(&mut self.ambient_dc);
        wire.u16(&mut self.humidity_permille);
        wire.u8(&mut self.fan_switch);
        wire.u8(&mut self.rgb_switch);
        wire.u8(&mut self.rgb_ext);
        wire.u8(&mut self.fan_ext_duty_pct);
        self.rails[..self.layout.rails].iter_mut().for_each(|r| r.wire(wire));
        self.fans.iter_mut().for_each(|f| f.wire(wire));
        if self.layout.faults {
            wire.u64(&mut self.fault_status);
            wire.u64(&mut self.fault_log);
        }
    }
}

#[cfg(test)]
mod tests;
