//! Calibration: an offset and a gain for everything that a board measures.

use super::contract::Model;
use super::sensors::VINS;
use super::wire::{Layout, Wire};

/// Correction of one reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CalibrationValue {
    /// Added, in raw units.
    pub offset: i16,
    /// Gain in 1/4096 above 1.
    pub gain_offset: i16,
}

impl Layout for CalibrationValue {
    fn wire(&mut self, wire: &mut impl Wire) {
        wire.i16(&mut self.offset);
        wire.i16(&mut self.gain_offset);
    }
}

/// A board's whole calibration. What lies beyond its model's counts is 0 and means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// Which shape it has: 178 bytes for ORIGINAL, 294 for BENCHLAB 2.
    pub model: Model,
    /// [`crc16`] of what follows it, made by the firmware.
    pub crc: u16,
    /// Voltage inputs.
    pub vin: [CalibrationValue; VINS],
    /// Supply of the controller.
    pub vdd: CalibrationValue,
    /// Its voltage reference.
    pub vref: CalibrationValue,
    /// Probes.
    pub probes: [CalibrationValue; 8],
    /// Kind of each probe's thermistor: 0 B = 3950, 1 B = 3380.
    pub thermistors: [u8; 8],
    /// Ambient temperature.
    pub ambient: CalibrationValue,
    /// Humidity.
    pub humidity: CalibrationValue,
    /// Voltage of the rails.
    pub rail_voltage: [CalibrationValue; 23],
    /// Current of the rails.
    pub rail_current: [CalibrationValue; 23],
}

impl Calibration {
    /// A calibration of the model's shape that corrects nothing.
    pub fn blank(model: Model) -> Self {
        let none = CalibrationValue::default();
        Self {
            model,
            crc: 0,
            vin: [none; VINS],
            vdd: none,
            vref: none,
            probes: [none; 8],
            thermistors: [0; 8],
            ambient: none,
            humidity: none,
            rail_voltage: [none; 23],
            rail_current: [none; 23],
        }
    }
}

impl Layout for Calibration {
    fn wire(&mut self, wire: &mut impl Wire) {
        let (rails, probes) = (self.model.rails(), self.model.probes());
        wire.u16(&mut self.crc);
        self.vin.iter_mut().for_each(|v| v.wire(wire));
        self.vdd.wire(wire);
        self.vref.wire(wire);
        self.probes[..probes].iter_mut().for_each(|v| v.wire(wire));
        self.thermistors[..probes].iter_mut().for_each(|b| wire.u8(b));
        self.ambient.wire(wire);
        self.humidity.wire(wire);
        self.rail_voltage[..rails].iter_mut().for_each(|v| v.wire(wire));
        self.rail_current[..rails].iter_mut().for_each(|v| v.wire(wire));
    }
}

/// A place in the board's flash. Their numbers changed places with ORIGINAL firmware 03 and BENCHLAB 2 firmware 04:
/// ask [`Contract::slot_number`](super::Contract::slot_number).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationSlot {
    /// As it left the factory.
    Factory,
    /// The user's own.
    User,
}

/// CRC-16/CCITT-FALSE (polynomial 0x1021, initial 0xFFFF), as ElmorLabs' own C# client computes it.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 }
        })
    })
}
