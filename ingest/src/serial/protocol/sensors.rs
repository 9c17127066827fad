//! The reply to READ_SENSORS: one snapshot of everything that a board measures.

use super::config::FANS;
use super::wire::{Layout, Wire};

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

/// The largest magnitude that `decimal(9,3)` holds, in thousandths.
const DECIMAL_MAX: i64 = 999_999_999;

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

    /// Power of some rails together in mW; `None` if one of them was not measured.
    pub fn power_mw(&self, rails: std::ops::Range<usize>) -> Option<i64> {
        self.rails()[rails].iter().map(|r| r.is_usable().then_some(i64::from(r.power_mw))).sum()
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

    /// Whether this can be a board's snapshot at all. The protocol has no checksum, so a reply that is out of step
    /// shows only by values that cannot be.
    ///
    /// # Errors
    /// The first thing found that cannot be.
    pub fn check(&self) -> Result<(), Implausible> {
        in_range("Vdd", i64::from(self.vdd_mv), 3000..=3600)?;
        in_range("the fan switch", i64::from(self.fan_switch), 0..=2)?;
        in_range("the RGB switch", i64::from(self.rgb_switch), 0..=1)?;
        in_range("the external RGB status", i64::from(self.rgb_ext), 0..=1)?;
        if self.fan_ext_duty_pct != NO_FAN_SIGNAL {
            in_range("the external fan duty", i64::from(self.fan_ext_duty_pct), 0..=100)?;
        }
        for fan in &self.fans {
            in_range("a fan's enable flag", i64::from(fan.enable), 0..=1)?;
            in_range("a fan's duty", i64::from(fan.duty_pct), 0..=100)?;
        }
        for (rail, name) in self.rails().iter().zip(RAILS) {
            rail.check(name)?;
        }
        let system_mw = self.system_mw().unwrap_or(0);
        in_range("the power of all rails", system_mw, -DECIMAL_MAX..=DECIMAL_MAX)
    }
}

impl RailReading {
    /// Whether the three can belong together; a rail that was not measured can be anything.
    ///
    /// # Errors
    /// The first thing found that cannot be.
    pub fn check(self, name: &'static str) -> Result<(), Implausible> {
        if !self.is_usable() {
            return Ok(());
        }
        let (current, power) = (i64::from(self.current_ma), i64::from(self.power_mw));
        in_range(name, current, -DECIMAL_MAX..=DECIMAL_MAX)?;
        in_range(name, power, -DECIMAL_MAX..=DECIMAL_MAX)?;
        // The board filters the three on its own, so they agree only roughly while the load changes.
        let product_mw = i64::from(self.voltage_mv) * current / 1000;
        let tolerance_mw = 2_000 + product_mw.abs().max(power.abs()) / 4;
        if (product_mw - power).abs() > tolerance_mw {
            return Err(Implausible::Power { rail: name, power_mw: power, product_mw });
        }
        Ok(())
    }
}

fn in_range(
    what: &'static str,
    value: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<(), Implausible> {
    if range.contains(&value) { Ok(()) } else { Err(Implausible::Range { what, value }) }
}

/// A snapshot that no board would send: the reply was out of step or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    /// A value outside of what it can be.
    #[error("{what} cannot be {value}")]
    Range {
        /// Of what.
        what: &'static str,
        /// The value.
        value: i64,
    },
    /// Power that is not the product of voltage and current.
    #[error("{rail} cannot have {power_mw} mW where voltage and current make {product_mw} mW")]
    Power {
        /// Of which rail.
        rail: &'static str,
        /// As sent.
        power_mw: i64,
        /// As computed.
        product_mw: i64,
    },
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
mod tests {
    use proptest::prelude::*;

    use super::super::wire::{decode, encode};
    use super::super::{Contract, Model};
    use super::*;
    use crate::serial::board::{Shape, Signal};

    fn plausible(contract: &Contract, seed: u64, instant_ns: i64) -> Sample {
        Signal::desktop(seed).sample_at(contract, instant_ns)
    }

    #[test]
    fn sums_leave_the_pins_out_and_are_unknown_if_a_rail_is() {
        let mut sample = Sample::blank(SensorLayout::BENCHLAB2);
        for (i, rail) in sample.rails.iter_mut().enumerate() {
            rail.power_mw = 1 << i;
        }
        assert_eq!(sample.cpu_mw(), Some(0b11));
        assert_eq!(sample.mainboard_mw(), Some(0b11_1100));
        assert_eq!(sample.gpu_mw(), Some(0b111_1100_0000));
        assert_eq!(sample.system_mw(), Some(0b111_1111_1111));
        sample.rails[7].voltage_mv = ABSENT;
        assert_eq!((sample.gpu_mw(), sample.system_mw()), (None, None));
        assert_eq!(sample.cpu_mw(), Some(0b11));
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let good = plausible(Model::Benchlab2.newest(), 1, 0);
        assert_eq!(good.check(), Ok(()));
        let spoil: [fn(&mut Sample); 12] = [
            |s| s.vdd_mv = 2999,
            |s| s.vdd_mv = 3601,
            |s| s.fan_switch = 3,
            |s| s.rgb_switch = 2,
            |s| s.rgb_ext = 2,
            |s| s.fan_ext_duty_pct = 101,
            |s| s.fans[8].enable = 2,
            |s| s.fans[0].duty_pct = 101,
            |s| s.rails[0].power_mw += 50_000,
            |s| s.rails[22].current_ma = -90_000,
            |s| s.rails[1] = RailReading { voltage_mv: 0, current_ma: 1_000_000_000, power_mw: 0 },
            |s| s.rails[1].power_mw = 1_000_000_000,
        ];
        for (i, spoil) in spoil.iter().enumerate() {
            let mut sample = good;
            spoil(&mut sample);
            assert!(sample.check().is_err(), "{i}");
        }
        let mut absent = good;
        absent.rails[3] = RailReading { voltage_mv: ABSENT, current_ma: -1, power_mw: i32::MIN };
        assert_eq!(absent.check(), Ok(()));
    }

    #[test]
    fn sums_beyond_the_column_are_refused() {
        let mut sample = plausible(Model::Original.newest(), 1, 0);
        for rail in &mut sample.rails[..2] {
            let (voltage_mv, current_ma) = (12_000, 50_000_000);
            *rail = RailReading { voltage_mv, current_ma, power_mw: 600_000_000 };
        }
        assert!(matches!(sample.check(), Err(Implausible::Range { value: 1_200_000_000.., .. })));
    }

    #[test]
    fn the_rails_sum_up_to_the_signal() {
        for shape in [Shape::Constant, Shape::Step, Shape::Sine, Shape::Saw, Shape::Desktop] {
            let signal = Signal { shape, ..Signal::desktop(3) };
            for contract in Contract::all() {
                for instant_ns in (0..20_000_000_000).step_by(123_456_789) {
                    let sample = signal.sample_at(contract, instant_ns);
                    let want_mw = (signal.power_w_at(instant_ns) * 1000.0).round() as i64;
                    assert_eq!(sample.system_mw(), Some(want_mw));
                    assert_eq!(sample.check(), Ok(()));
                }
            }
        }
    }

    proptest! {
        /// A reply read out of step, by any number of bytes, never passes for a snapshot.
        #[test]
        fn replies_out_of_step_are_refused(
            number in 0usize..10, seed: u64, instant_ns in 0i64..1_000_000_000_000, shift in 1usize..383,
        ) {
            let contract = &Contract::all()[number];
            let bytes = contract.sensors.bytes();
            let one = encode(&plausible(contract, seed, instant_ns));
            let next = encode(&plausible(contract, seed, instant_ns + 20_000_000));
            let shift = 1 + shift % (bytes - 1);
            let shifted = [&one[shift..], &next[..shift]].concat();
            let sample = decode("snapshot", Sample::blank(contract.sensors), &shifted).unwrap();
            prop_assert!(sample.check().is_err());
        }

        /// Nor do random bytes.
        #[test]
        fn garbage_is_refused(number in 0usize..10, bytes in prop::collection::vec(any::<u8>(), 384)) {
            let layout = Contract::all()[number].sensors;
            let sample = decode("snapshot", Sample::blank(layout), &bytes[..layout.bytes()]).unwrap();
            prop_assert!(sample.check().is_err());
        }
    }
}
