//! What each firmware of each product speaks: one table, keyed by (product, firmware).

use std::fmt;

use super::calibration::CalibrationSlot;
use super::config::{FanConfig, FaultConfig, NAME_BYTES, RgbConfig};
use super::request::Opcode;
use super::sensors::SensorLayout;
use super::{Uid, VendorData};

/// A USB packet of the board: firmware that does not reassemble transfers takes each one as a request of its own.
pub const PACKET_BYTES: usize = 64;

/// The two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    /// BENCHLAB ORIGINAL.
    Original,
    /// BENCHLAB 2.
    Benchlab2,
}

impl Model {
    /// Its `ProductId`.
    pub const fn product(self) -> u8 {
        match self {
            Model::Original => 0x10,
            Model::Benchlab2 => 0x11,
        }
    }

    /// The model of a `ProductId`.
    pub fn of_product(product: u8) -> Option<Self> {
        [Model::Original, Model::Benchlab2].into_iter().find(|m| m.product() == product)
    }

    /// How many of [`RAILS`](super::RAILS) it measures.
    pub const fn rails(self) -> usize {
        match self {
            Model::Original => SensorLayout::ORIGINAL.rails,
            Model::Benchlab2 => SensorLayout::BENCHLAB2.rails,
        }
    }

    /// How many of [`PROBES`](super::PROBES) it has.
    pub const fn probes(self) -> usize {
        match self {
            Model::Original => SensorLayout::ORIGINAL.probes,
            Model::Benchlab2 => SensorLayout::BENCHLAB2.probes,
        }
    }

    /// Size of its whole calibration.
    pub const fn calibration_bytes(self) -> usize {
        match self {
            Model::Original => 178,
            Model::Benchlab2 => 294,
        }
    }

    /// Size of its whole configuration.
    pub const fn config_bytes(self) -> usize {
        match self {
            Model::Original => 426,
            Model::Benchlab2 => 560,
        }
    }

    /// The newest firmware known of it.
    pub fn newest(self) -> &'static Contract {
        match self {
            Model::Original => &ORIGINAL_06,
            Model::Benchlab2 => &BENCHLAB2_07,
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Model::Original => "BENCHLAB ORIGINAL",
            Model::Benchlab2 => "BENCHLAB 2",
        })
    }
}

/// How WRITE_CALIBRATION takes the data; the wrong form is refused or does damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationWrite {
    /// An 8-bit offset and a part, at most [`PACKET_BYTES`] in all.
    Chunks,
    /// Everything at once.
    Whole,
}

/// What one firmware speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contract {
    /// The product.
    pub model: Model,
    /// Version of the firmware.
    pub firmware: u8,
    /// Never released by that number: its contract is a draft.
    pub draft: bool,
    /// Shape of the reply to READ_SENSORS.
    pub sensors: SensorLayout,
    /// What the controller's temperature counts, in 0.1 degC: 10 or 1.
    pub chip_unit_dc: i16,
    /// Size of the welcome. Firmware with the long one also sends it unasked when a host opens the port.
    pub welcome_bytes: usize,
    /// How calibration is written.
    pub calibration_write: CalibrationWrite,
    /// Number of the factory's calibration slot; the user's is the other one of 0 and 1.
    pub factory_slot: u8,
    /// Whether it knows LOAD_CONFIG, STORE_CONFIG, STATUS, RESET and BOOTLOADER.
    pub config_commands: bool,
    /// Whether READ_DEFAULT_CONFIG has a known reply.
    pub default_config: bool,
    /// Whether it knows READ_FAULT and WRITE_FAULT, with a known size.
    pub fault_config: bool,
    /// Whether the factory's calibration is protected and FACTORY_CAL_UNLOCK lifts that.
    pub factory_unlock: bool,
}

const ORIGINAL_02: Contract = Contract {
    model: Model::Original,
    firmware: 2,
    draft: false,
    sensors: SensorLayout::ORIGINAL,
    chip_unit_dc: 10,
    welcome_bytes: 9,
    calibration_write: CalibrationWrite::Chunks,
    factory_slot: 0,
    config_commands: false,
    default_config: false,
    fault_config: false,
    factory_unlock: false,
};
const ORIGINAL_03: Contract =
    Contract { firmware: 3, chip_unit_dc: 1, factory_slot: 1, ..ORIGINAL_02 };
const ORIGINAL_04: Contract =
    Contract { firmware: 4, draft: true, config_commands: true, ..ORIGINAL_03 };
const ORIGINAL_05: Contract =
    Contract { firmware: 5, draft: false, welcome_bytes: 32, default_config: true, ..ORIGINAL_04 };
const ORIGINAL_06: Contract =
    Contract { firmware: 6, calibration_write: CalibrationWrite::Whole, ..ORIGINAL_05 };

const BENCHLAB2_03: Contract = Contract {
    model: Model::Benchlab2,
    firmware: 3,
    draft: true,
    sensors: SensorLayout::BENCHLAB2_WITHOUT_FAULTS,
    ..ORIGINAL_02
};
const BENCHLAB2_04: Contract =
    Contract { firmware: 4, draft: false, chip_unit_dc: 1, factory_slot: 1, ..BENCHLAB2_03 };
const BENCHLAB2_05: Contract = Contract {
    firmware: 5,
    draft: true,
    sensors: SensorLayout::BENCHLAB2,
    config_commands: true,
    ..BENCHLAB2_04
};
const BENCHLAB2_06: Contract = Contract {
    firmware: 6,
    draft: false,
    welcome_bytes: 32,
    default_config: true,
    fault_config: true,
    ..BENCHLAB2_05
};
const BENCHLAB2_07: Contract = Contract {
    firmware: 7,
    calibration_write: CalibrationWrite::Whole,
    factory_unlock: true,
    ..BENCHLAB2_06
};

static CONTRACTS: [Contract; 10] = [
    ORIGINAL_02,
    ORIGINAL_03,
    ORIGINAL_04,
    ORIGINAL_05,
    ORIGINAL_06,
    BENCHLAB2_03,
    BENCHLAB2_04,
    BENCHLAB2_05,
    BENCHLAB2_06,
    BENCHLAB2_07,
];

impl Contract {
    /// All that are known.
    pub fn all() -> &'static [Contract] {
        &CONTRACTS
    }

    /// What the firmware of that board speaks.
    ///
    /// # Errors
    /// When the pair is not known. A neighbour's layout is never borrowed: it could decode to plausible nonsense.
    pub fn of(vendor: VendorData) -> Result<&'static Contract, UnknownFirmware> {
        CONTRACTS
            .iter()
            .find(|c| c.model.product() == vendor.product && c.firmware == vendor.firmware)
            .ok_or(UnknownFirmware { product: vendor.product, firmware: vendor.firmware })
    }

    /// What the firmware of that model speaks, for those who choose it (virtual boards).
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn of_model(model: Model, firmware: u8) -> Result<&'static Contract, UnknownFirmware> {
        Self::of(VendorData { vendor: super::VENDOR_ID, product: model.product(), firmware })
    }

    /// For unknown firmware of a known product that answers READ_SENSORS with a known size: enough to record it,
    /// if the user insists. It claims no more commands than every firmware has.
    pub fn assumed(vendor: VendorData, sensor_bytes: usize) -> Option<Contract> {
        let model = Model::of_product(vendor.product)?;
        let same_size = |c: &&Contract| c.model == model && c.sensors.bytes() == sensor_bytes;
        // The chip's unit changed once and for all with the second firmware of each: older ones count whole degrees.
        let oldest = CONTRACTS.iter().find(same_size)?;
        let newest = CONTRACTS.iter().rfind(same_size)?;
        let like = if vendor.firmware < oldest.firmware { oldest } else { newest };
        Some(Contract {
            firmware: vendor.firmware,
            draft: true,
            config_commands: false,
            default_config: false,
            fault_config: false,
            factory_unlock: false,
            ..*like
        })
    }

    /// The board's answer to READ_VENDOR_DATA.
    pub fn vendor_data(&self) -> VendorData {
        VendorData {
            vendor: super::VENDOR_ID,
            product: self.model.product(),
            firmware: self.firmware,
        }
    }

    /// Whether it knows the command.
    pub fn supports(&self, opcode: Opcode) -> bool {
        match opcode {
            Opcode::LoadConfig
            | Opcode::StoreConfig
            | Opcode::Status
            | Opcode::Reset
            | Opcode::Bootloader => self.config_commands,
            Opcode::ReadDefaultConfig => self.default_config,
            Opcode::ReadFault | Opcode::WriteFault => self.fault_config,
            Opcode::FactoryCalUnlock => self.factory_unlock,
            _ => true,
        }
    }

    /// Size of the reply to the command; 0 when none is sent by design.
    pub fn reply_bytes(&self, opcode: Opcode) -> usize {
        match opcode {
            Opcode::Welcome => self.welcome_bytes,
            Opcode::ReadSensors => self.sensors.bytes(),
            Opcode::ReadName => NAME_BYTES,
            Opcode::ReadFanProfile => FanConfig::BYTES,
            Opcode::ReadRgb => RgbConfig::BYTES,
            Opcode::ReadCalibration => self.model.calibration_bytes(),
            Opcode::ReadUid => size_of::<Uid>(),
            Opcode::ReadVendorData => VendorData::BYTES,
            Opcode::ReadFault => FaultConfig::BYTES,
            Opcode::ReadDefaultConfig => self.model.config_bytes(),
            Opcode::Status => 1,
            _ => 0,
        }
    }

    /// The number of a calibration slot.
    pub fn slot_number(&self, slot: CalibrationSlot) -> u8 {
        match slot {
            CalibrationSlot::Factory => self.factory_slot,
            CalibrationSlot::User => 1 - self.factory_slot,
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} firmware {:02}", self.model, self.firmware)
    }
}

/// A board whose protocol is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct UnknownFirmware {
    /// Its `ProductId`.
    pub product: u8,
    /// Its `FwVersion`.
    pub firmware: u8,
}

impl fmt::Display for UnknownFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { product, firmware } = self;
        let Some(model) = Model::of_product(*product) else {
            return write!(
                f,
                "a BENCHLAB with product id {product:#04x} is not known to this version of bl: update bl"
            );
        };
        let known: Vec<String> = CONTRACTS
            .iter()
            .filter(|c| c.model == model)
            .map(|c| format!("{:02}", c.firmware))
            .collect();
        write!(
            f,
            "{model} firmware {firmware:02} is not known to this version of bl (known: {}): update bl, or record \
             it with --allow-unknown-firmware if its sensor reply has a known size",
            known.join(", ")
        )
    }
}

#[cfg(test)]
mod tests;
