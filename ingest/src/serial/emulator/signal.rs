//! What a virtual board measures: a known function of time.

use std::time::Duration;

use super::random::Random;
use crate::serial::protocol::{ABSENT, Contract, FanReading, NO_FAN_SIGNAL, RailReading, Sample};

/// How the power of the simulated PC runs over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Always the mean.
    Constant,
    /// Half of each period `mean + amplitude`, the other half `mean - amplitude`.
    Step,
    /// A sine around the mean.
    Sine,
    /// Rises from `mean - amplitude` to `mean + amplitude` in each period.
    Saw,
    /// Slow swings, bursts and a little noise, as under a game.
    Desktop,
}

/// The power of the simulated PC, all rails together, as a function of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// How it runs.
    pub shape: Shape,
    /// Around which value, in W.
    pub mean_w: f64,
    /// How far from it, in W.
    pub amplitude_w: f64,
    /// Its period, in ns.
    pub period_ns: i64,
    /// Of the noise.
    pub seed: u64,
}

impl Signal {
    /// A PC under a game: around 300 W.
    pub fn desktop(seed: u64) -> Self {
        Self {
            shape: Shape::Desktop,
            mean_w: 300.0,
            amplitude_w: 120.0,
            period_ns: 8_000_000_000,
            seed,
        }
    }

    /// The true power at an instant of `CLOCK_MONOTONIC`, in W. The board sends it in whole mW.
    pub fn power_w_at(&self, monotonic_ns: i64) -> f64 {
        let phase = monotonic_ns.rem_euclid(self.period_ns) as f64 / self.period_ns as f64;
        let swing = match self.shape {
            Shape::Constant => 0.0,
            Shape::Step => {
                if phase < 0.5 {
                    1.0
                } else {
                    -1.0
                }
            }
            Shape::Sine => (phase * std::f64::consts::TAU).sin(),
            Shape::Saw => 2.0 * phase - 1.0,
            Shape::Desktop => self.desktop_swing(monotonic_ns, phase),
        };
        self.mean_w + self.amplitude_w * swing
    }

    fn desktop_swing(&self, monotonic_ns: i64, phase: f64) -> f64 {
        // A burst in some of the eighths of each period, noise anew each millisecond.
        let eighth = monotonic_ns.div_euclid(self.period_ns / 8);
        let burst = if Random::new(self.seed ^ eighth as u64).below(3) == 0 { 0.4 } else { 0.0 };
        let millisecond = monotonic_ns.div_euclid(1_000_000);
        let noise = Random::new(self.seed.rotate_left(32) ^ millisecond as u64).unit() - 0.5;
        0.5 * (phase * std::f64::consts::TAU).sin() + burst + 0.05 * noise
    }

    /// What the board measures at that instant. The rails sum up to [`power_w_at`](Self::power_w_at) to the mW.
    pub fn sample_at(&self, contract: &Contract, monotonic_ns: i64) -> Sample {
        let mut sample = Sample::blank(contract.sensors);
        let total_mw = (self.power_w_at(monotonic_ns) * 1000.0).round() as i64;
        split(&mut sample.rails[..11], total_mw, &RAIL_SHARES, HPWR1);
        if contract.sensors.rails > 11 {
            let connector_mw = i64::from(sample.rails[HPWR1].power_mw);
            split(&mut sample.rails[11..17], connector_mw, &PIN_SHARES, 5);
            split(&mut sample.rails[17..23], 0, &PIN_SHARES, 5);
        }
        let load = (total_mw / 1000).clamp(0, 1000) as i16;
        sample.vin_mv = std::array::from_fn(|i| 1_000 + 100 * i as i16 + load % 7);
        sample.vin_mv[12] = ABSENT;
        sample.vdd_mv = 3300;
        sample.vref_mv = 1210;
        sample.chip = (380 + load / 20) / contract.chip_unit_dc;
        for (i, probe) in sample.probes_dc[..contract.sensors.probes].iter_mut().enumerate() {
            *probe = if i == 3 { ABSENT } else { 350 + 25 * i as i16 + load / 10 };
        }
        sample.ambient_dc = 235;
        sample.humidity_permille = 412;
        sample.fan_ext_duty_pct = NO_FAN_SIGNAL;
        let duty_pct = (30 + load / 10).clamp(0, 100) as u8;
        for (i, fan) in sample.fans.iter_mut().enumerate() {
            let on = i < 5;
            let tach_rpm = if on { 15 * u16::from(duty_pct) + 40 * i as u16 } else { 0 };
            *fan = FanReading { enable: on.into(), duty_pct, tach_rpm };
        }
        sample
    }

    /// Power of each rail in mW, averaged over the time before that instant in steps of a millisecond.
    pub fn averaged_before(
        &self,
        contract: &Contract,
        monotonic_ns: i64,
        over: Duration,
    ) -> [i32; 23] {
        let steps = (over.as_millis() as i64).max(1);
        let mut sums = [0i64; 23];
        for step in 0..steps {
            let rails = self.sample_at(contract, monotonic_ns - step * 1_000_000).rails;
            sums.iter_mut().zip(rails).for_each(|(sum, rail)| *sum += i64::from(rail.power_mw));
        }
        sums.map(|sum| (sum / steps) as i32)
    }
}

const HPWR1: usize = 9;

/// Nominal mV and share of the total in 1/1000; hpwr1 takes the rest.
const RAIL_SHARES: [(i64, i64); 11] = [
    (12_050, 190),
    (12_050, 80),
    (3_310, 12),
    (5_020, 28),
    (5_040, 6),
    (12_030, 74),
    (12_040, 20),
    (12_040, 10),
    (12_040, 0),
    (12_020, 0),
    (12_060, 0),
];

/// The same for the pins of a connector: unevenly loaded; the last one takes the rest.
const PIN_SHARES: [(i64, i64); 6] =
    [(12_020, 170), (12_020, 160), (12_020, 175), (12_020, 165), (12_020, 168), (12_020, 0)];

/// Splits `total_mw` over rails, to the last mW.
fn split(rails: &mut [RailReading], total_mw: i64, shares: &[(i64, i64)], rest: usize) {
    let given: i64 = shares.iter().map(|(_, share)| total_mw * share / 1000).sum();
    for (i, (rail, (mv, share))) in rails.iter_mut().zip(shares).enumerate() {
        let power_mw = total_mw * share / 1000 + if i == rest { total_mw - given } else { 0 };
        *rail = RailReading {
            voltage_mv: *mv as i16,
            current_ma: ((power_mw * 1000 + mv / 2) / mv) as i32,
            power_mw: power_mw as i32,
        };
    }
}
