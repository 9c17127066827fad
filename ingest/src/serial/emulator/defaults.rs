//! What a virtual board holds as it comes out of its box, drawn from its seed.

use super::firmware::seal;
use super::random::Random;
use crate::serial::protocol::{
    Calibration, CalibrationValue, DeviceConfig, FanConfig, Model, RgbConfig, Uid, encode,
};

/// The identity of the board with that seed: begins with "BL", so that a simulated board can be told by eye.
pub fn uid(model: Model, seed: u64) -> Uid {
    let mut uid = [0; 12];
    uid[..4].copy_from_slice(&[b'B', b'L', model.product(), 0]);
    uid[4..].copy_from_slice(&Random::new(seed).draw().to_be_bytes());
    Uid(uid)
}

/// The compiled-in configuration.
pub fn config(model: Model) -> Vec<u8> {
    let mut config = DeviceConfig::blank(model);
    let name = model.to_string();
    config.name[..name.len()].copy_from_slice(name.as_bytes());
    for (profile, base_pct) in config.fans.iter_mut().zip([30, 50, 80]) {
        profile.fill(FanConfig {
            mode: 0,
            temp_source: 0,
            temp_dc: [300, 600],
            duty_pct: [base_pct, 100],
            ramp_step_pct: 5,
            fixed_duty_pct: base_pct,
            min_duty_pct: 20,
            max_duty_pct: 100,
            fan_stop: 0,
        });
    }
    config.rgb[0] = RgbConfig { mode: 0, rgb: [255, 255, 255], direction: 0, speed: 10 };
    config.rgb[1] = RgbConfig { mode: 9, rgb: [255, 64, 0], direction: 0, speed: 10 };
    if let Some(faults) = &mut config.faults {
        // The LED shows every fault; the limits are 90 degC, 60 A and, for a pin, 10 A.
        faults.action_enable[0] = (1 << 34) - 1;
        faults.max_limit[..9].fill(90);
        faults.max_limit[9..20].fill(120);
        faults.max_limit[20..32].fill(20);
        faults.min_duration_s.fill(1);
    }
    let mut bytes = encode(&config);
    seal(&mut bytes, DeviceConfig::CRC_AT);
    bytes
}

/// The factory's calibration: small corrections, other ones for each seed.
pub fn factory_calibration(model: Model, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ 0xCA11);
    let mut value = || CalibrationValue {
        offset: random.below(21) as i16 - 10,
        gain_offset: random.below(101) as i16 - 50,
    };
    let mut calibration = Calibration::blank(model);
    calibration.vin.fill_with(&mut value);
    calibration.vdd = value();
    calibration.vref = value();
    calibration.probes[..model.probes()].fill_with(&mut value);
    calibration.ambient = value();
    calibration.humidity = value();
    calibration.rail_voltage[..model.rails()].fill_with(&mut value);
    calibration.rail_current[..model.rails()].fill_with(&mut value);
    sealed(&calibration)
}

/// The user's calibration, as long as there is none: it corrects nothing.
pub fn user_calibration(model: Model) -> Vec<u8> {
    sealed(&Calibration::blank(model))
}

fn sealed(calibration: &Calibration) -> Vec<u8> {
    let mut bytes = encode(calibration);
    seal(&mut bytes, 0);
    bytes
}
