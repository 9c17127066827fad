//! What a board can be set to: its name, fan and RGB profiles, protection against faults.

use super::contract::Model;
use super::wire::{Layout, Wire};

/// Fans of a board.
pub const FANS: usize = 9;
/// Fan profiles of a board, each with a configuration for every fan.
pub const FAN_PROFILES: usize = 3;
/// RGB profiles of a board.
pub const RGB_PROFILES: usize = 2;
/// The name's field, NUL-padded.
pub const NAME_BYTES: usize = 32;

/// What one fan does in one profile. The enumerations are kept as the board's bytes: a newer firmware may know more
/// of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FanConfig {
    /// 0 by temperature, 1 fixed, 2 by the external signal.
    pub mode: u8,
    /// 0 auto, 1-4 probes, 5 ambient; BENCHLAB 2 from firmware 04 also 6-9, the probes of the connectors.
    pub temp_source: u8,
    /// The curve's two temperatures in 0.1 degC.
    pub temp_dc: [i16; 2],
    /// The curve's two duties in %.
    pub duty_pct: [u8; 2],
    /// Largest change of the duty a control tick, in %.
    pub ramp_step_pct: u8,
    /// Duty in mode 1, in %.
    pub fixed_duty_pct: u8,
    /// Lowest duty in %.
    pub min_duty_pct: u8,
    /// Highest duty in %.
    pub max_duty_pct: u8,
    /// Whether the fan may stop: 0 or 1.
    pub fan_stop: u8,
}

impl FanConfig {
    /// Size on the wire.
    pub const BYTES: usize = 14;
}

impl Layout for FanConfig {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.u8(&mut self.mode);
        wire.u8(&mut self.temp_source);
        self.temp_dc.iter_mut().for_each(|t| wire.i16(t));
        self.duty_pct.iter_mut().for_each(|d| wire.u8(d));
        wire.u8(&mut self.ramp_step_pct);
        wire.u8(&mut self.fixed_duty_pct);
        wire.u8(&mut self.min_duty_pct);
        wire.u8(&mut self.max_duty_pct);
        wire.u8(&mut self.fan_stop);
        wire.pad::<1>();
    }
}

/// One RGB profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RgbConfig {
    /// 0 rainbow cycle … 8 single colour chase, 9 single colour; BENCHLAB 2 also 239 fault, 255 none.
    pub mode: u8,
    /// Red, green and blue.
    pub rgb: [u8; 3],
    /// 0 clockwise, 1 counter-clockwise.
    pub direction: u8,
    /// Speed of the effect.
    pub speed: u8,
}

impl RgbConfig {
    /// Size on the wire.
    pub const BYTES: usize = 6;
}

impl Layout for RgbConfig {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.u8(&mut self.mode);
        wire.bytes(&mut self.rgb);
        wire.u8(&mut self.direction);
        wire.u8(&mut self.speed);
    }
}

/// What a BENCHLAB 2 from firmware 06 does about faults; indices are the numbers of faults and of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultConfig {
    /// For each action the faults that trigger it, one bit each.
    pub action_enable: [u64; 6],
    /// For each action the wait before it, in s.
    pub action_wait_s: [u8; 6],
    /// For each fault its limit: degC for temperatures, 0.5 A for currents.
    pub max_limit: [u8; 34],
    /// For each fault how long the limit must be exceeded, in s.
    pub min_duration_s: [u8; 34],
}

impl FaultConfig {
    /// Size on the wire.
    pub const BYTES: usize = 128;
}

impl Default for FaultConfig {
    fn default() -> Self {
        Self {
            action_enable: [0; 6],
            action_wait_s: [0; 6],
            max_limit: [0; 34],
            min_duration_s: [0; 34],
        }
    }
}

impl Layout for FaultConfig {
    fn wire(&mut self, wire: &mut impl Wire) {
        self.action_enable.iter_mut().for_each(|m| wire.u64(m));
        wire.bytes(&mut self.action_wait_s);
        wire.bytes(&mut self.max_limit);
        wire.bytes(&mut self.min_duration_s);
        wire.pad::<6>();
    }
}

/// A board's whole configuration, as READ_DEFAULT_CONFIG sends the compiled-in one and as a board holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Always 0 so far.
    pub version: u8,
    /// [`crc16`](super::crc16) of what follows it.
    pub crc: u16,
    /// The name, NUL-padded.
    pub name: [u8; NAME_BYTES],
    /// Fan profiles.
    pub fans: [[FanConfig; FANS]; FAN_PROFILES],
    /// RGB profiles.
    pub rgb: [RgbConfig; RGB_PROFILES],
    /// Protection against faults, BENCHLAB 2 only.
    pub faults: Option<FaultConfig>,
}

impl DeviceConfig {
    /// Where the CRC lies, and where what it covers begins.
    pub const CRC_AT: usize = 2;
    /// Where the name begins.
    pub const NAME_AT: usize = 4;

    /// A configuration of the model's shape with all fields 0.
    pub fn blank(model: Model) -> Self {
        Self {
            version: 0,
            crc: 0,
            name: [0; NAME_BYTES],
            fans: [[FanConfig::default(); FANS]; FAN_PROFILES],
            rgb: [RgbConfig::default(); RGB_PROFILES],
            faults: (model == Model::Benchlab2).then(FaultConfig::default),
        }
    }

    /// Where the configuration of a fan begins.
    pub const fn fan_at(profile: usize, fan: usize) -> usize {
        Self::NAME_AT + NAME_BYTES + (profile * FANS + fan) * FanConfig::BYTES
    }

    /// Where an RGB profile begins.
    pub const fn rgb_at(profile: usize) -> usize {
        Self::fan_at(FAN_PROFILES, 0) + profile * RgbConfig::BYTES
    }

    /// Where the protection against faults begins: aligned to 8.
    pub const FAULTS_AT: usize = Self::rgb_at(RGB_PROFILES).next_multiple_of(8);
}

impl Layout for DeviceConfig {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.u8(&mut self.version);
        wire.pad::<1>();
        wire.u16(&mut self.crc);
        wire.bytes(&mut self.name);
        self.fans.iter_mut().flatten().for_each(|f| f.wire(wire));
        self.rgb.iter_mut().for_each(|r| r.wire(wire));
        if let Some(faults) = &mut self.faults {
            wire.pad::<6>();
            faults.wire(wire);
        }
    }
}

/// The name in a reply to READ_NAME: what precedes the first NUL.
pub fn name_from_reply(reply: &[u8]) -> String {
    let end = reply.iter().position(|b| *b == 0).unwrap_or(reply.len());
    String::from_utf8_lossy(&reply[..end]).into_owned()
}

/// A name that the board has no room for. The firmware copies one byte more than it was given, so that 31 bytes
/// and a NUL would already reach beyond the field (benchlab-pycore 0.8.0).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} has {len} bytes in UTF-8, a board's name at most 30: shorten it", name = .0, len = .0.len())]
pub struct NameTooLong(pub String);
