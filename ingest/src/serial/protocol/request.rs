//! Requests: how the host writes them, how the board checks them.

use super::NameTooLong;
use super::config::{
    FAN_PROFILES, FANS, FanConfig, FaultConfig, NAME_BYTES, RGB_PROFILES, RgbConfig,
};
use super::contract::{CalibrationWrite, Contract, PACKET_BYTES};

/// The phrase of FACTORY_CAL_UNLOCK: a guard against accidents, not a secret (benchlab-pycore 0.8.0).
pub const UNLOCK_PHRASE: &[u8] = b"benchlab";

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The first byte of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Opcode { $($(#[$doc])* $name = $code,)* }

        impl Opcode {
            /// The opcode of that number.
            pub fn of(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

opcodes! {
    /// The product's greeting.
    Welcome = 0x00,
    /// A snapshot of everything measured.
    ReadSensors = 0x01,
    /// Presses a button of the attached PC, or beeps.
    Action = 0x02,
    /// The board's name.
    ReadName = 0x03,
    /// Renames the board.
    WriteName = 0x04,
    /// One fan's configuration in one profile.
    ReadFanProfile = 0x05,
    /// Sets it.
    WriteFanProfile = 0x06,
    /// One RGB profile.
    ReadRgb = 0x07,
    /// Sets it.
    WriteRgb = 0x08,
    /// The calibration in RAM.
    ReadCalibration = 0x09,
    /// Sets it, or a part.
    WriteCalibration = 0x0A,
    /// Loads the calibration in RAM from a slot in flash.
    LoadCalibration = 0x0B,
    /// Stores it there.
    StoreCalibration = 0x0C,
    /// The board's identity.
    ReadUid = 0x0D,
    /// Vendor, product and firmware.
    ReadVendorData = 0x0E,
    /// The protection against faults.
    ReadFault = 0x0F,
    /// Sets it.
    WriteFault = 0x10,
    /// Loads the configuration from EEPROM.
    LoadConfig = 0x11,
    /// Stores it there.
    StoreConfig = 0x12,
    /// The compiled-in configuration.
    ReadDefaultConfig = 0x13,
    /// What became of the request before this one: the only acknowledgement that writes have.
    Status = 0x14,
    /// Lifts the protection of the factory's calibration; the board resets.
    FactoryCalUnlock = 0x16,
    /// Restarts the board.
    Reset = 0xF0,
    /// Restarts it into ST's bootloader.
    Bootloader = 0xF1,
}

/// The board's opinion of a request, as STATUS tells it (benchlab-pycore 0.8.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done, or queued.
    Ok = 0,
    /// Wrong number of bytes.
    BadLength = 1,
    /// A value out of range.
    BadParameter = 2,
    /// No such command.
    UnknownOpcode = 3,
    /// Something queued is not done yet.
    Busy = 4,
}

impl Status {
    /// The status of that number.
    pub fn of(code: u8) -> Option<Self> {
        [Self::Ok, Self::BadLength, Self::BadParameter, Self::UnknownOpcode, Self::Busy]
            .into_iter()
            .find(|s| *s as u8 == code)
    }
}

/// What ACTION does. It drives the front-panel pins of the attached PC: `Button` with number 0 is its power button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Button (0 power, 1 reset, 2 other, 3 5VSB on BENCHLAB 2), level (0 releases), time in 100 ms (0 until
    /// released).
    Button(u8, u8, u8),
    /// Beeps on BENCHLAB 2, does nothing on ORIGINAL.
    Buzzer,
}

/// A request. Configurations are in the bytes of the wire, as the board keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A command without parameters.
    Plain(Opcode),
    /// ACTION.
    Action(Action),
    /// WRITE_NAME, with what the board is to copy; ends in a NUL.
    WriteName(&'a [u8]),
    /// READ_FAN_PROFILE: profile, fan.
    ReadFanProfile(u8, u8),
    /// WRITE_FAN_PROFILE: profile, fan, [`FanConfig`].
    WriteFanProfile(u8, u8, &'a [u8]),
    /// READ_RGB: profile.
    ReadRgb(u8),
    /// WRITE_RGB: profile, [`RgbConfig`].
    WriteRgb(u8, &'a [u8]),
    /// WRITE_CALIBRATION: where, and what; a firmware that takes only the whole has no place for the former.
    WriteCalibration(Option<u8>, &'a [u8]),
    /// LOAD_CALIBRATION: number of the slot.
    LoadCalibration(u8),
    /// STORE_CALIBRATION: number of the slot.
    StoreCalibration(u8),
    /// WRITE_FAULT: [`FaultConfig`].
    WriteFault(&'a [u8]),
    /// FACTORY_CAL_UNLOCK with its phrase.
    FactoryCalUnlock(&'a [u8]),
}

impl<'a> Request<'a> {
    /// Its opcode.
    pub fn opcode(&self) -> Opcode {
        match self {
            Request::Plain(opcode) => *opcode,
            Request::Action(_) => Opcode::Action,
            Request::WriteName(_) => Opcode::WriteName,
            Request::ReadFanProfile(..) => Opcode::ReadFanProfile,
            Request::WriteFanProfile(..) => Opcode::WriteFanProfile,
            Request::ReadRgb(_) => Opcode::ReadRgb,
            Request::WriteRgb(..) => Opcode::WriteRgb,
            Request::WriteCalibration(..) => Opcode::WriteCalibration,
            Request::LoadCalibration(_) => Opcode::LoadCalibration,
            Request::StoreCalibration(_) => Opcode::StoreCalibration,
            Request::WriteFault(_) => Opcode::WriteFault,
            Request::FactoryCalUnlock(_) => Opcode::FactoryCalUnlock,
        }
    }

    /// The bytes, which have to go out in one write: the firmware tests the length of what arrives together.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.opcode() as u8];
        match *self {
            Request::Plain(_) => {}
            Request::Action(Action::Button(button, level, hold)) => {
                bytes.extend([1, button, level, hold]);
            }
            Request::Action(Action::Buzzer) => bytes.extend([2, 0, 0, 0]),
            Request::ReadFanProfile(profile, fan) => bytes.extend([profile, fan]),
            Request::WriteFanProfile(profile, fan, config) => {
                bytes.extend([profile, fan]);
                bytes.extend(config);
            }
            Request::ReadRgb(number)
            | Request::LoadCalibration(number)
            | Request::StoreCalibration(number) => bytes.push(number),
            Request::WriteRgb(profile, config) => {
                bytes.push(profile);
                bytes.extend(config);
            }
            Request::WriteCalibration(offset, data) => {
                bytes.extend(offset);
                bytes.extend(data);
            }
            Request::WriteName(data)
            | Request::WriteFault(data)
            | Request::FactoryCalUnlock(data) => bytes.extend(data),
        }
        bytes
    }

    /// What the board makes of a transfer: the request, or the status that says why not.
    ///
    /// # Errors
    /// The status; the board then answers nothing.
    pub fn parse(contract: &Contract, transfer: &'a [u8]) -> Result<Self, Status> {
        let (code, rest) = transfer.split_first().ok_or(Status::BadLength)?;
        let opcode =
            Opcode::of(*code).filter(|o| contract.supports(*o)).ok_or(Status::UnknownOpcode)?;
        match opcode {
            Opcode::Action => parse_action(rest),
            // The firmware lets 32 bytes pass and copies one more (benchlab-pycore 0.8.0).
            Opcode::WriteName => sized(rest.len() <= NAME_BYTES, Request::WriteName(rest)),
            Opcode::ReadFanProfile => match *rest {
                [profile, fan] => in_range(
                    (profile as usize) < FAN_PROFILES && (fan as usize) < FANS,
                    Request::ReadFanProfile(profile, fan),
                ),
                _ => Err(Status::BadLength),
            },
            Opcode::WriteFanProfile => match *rest {
                [profile, fan, ref config @ ..] if config.len() == FanConfig::BYTES => in_range(
                    (profile as usize) < FAN_PROFILES && (fan as usize) < FANS,
                    Request::WriteFanProfile(profile, fan, config),
                ),
                _ => Err(Status::BadLength),
            },
            Opcode::ReadRgb => match *rest {
                [profile] => in_range((profile as usize) < RGB_PROFILES, Request::ReadRgb(profile)),
                _ => Err(Status::BadLength),
            },
            Opcode::WriteRgb => match *rest {
                [profile, ref config @ ..] if config.len() == RgbConfig::BYTES => {
                    in_range((profile as usize) < RGB_PROFILES, Request::WriteRgb(profile, config))
                }
                _ => Err(Status::BadLength),
            },
            Opcode::ReadCalibration => sized(rest.is_empty(), Request::Plain(opcode)),
            Opcode::WriteCalibration => parse_calibration(contract, rest),
            Opcode::LoadCalibration | Opcode::StoreCalibration => match *rest {
                [slot] if opcode == Opcode::LoadCalibration => {
                    in_range(slot < 2, Request::LoadCalibration(slot))
                }
                [slot] => in_range(slot < 2, Request::StoreCalibration(slot)),
                _ => Err(Status::BadLength),
            },
            Opcode::WriteFault => {
                sized(rest.len() == FaultConfig::BYTES, Request::WriteFault(rest))
            }
            Opcode::FactoryCalUnlock => {
                in_range(rest == UNLOCK_PHRASE, Request::FactoryCalUnlock(rest))
            }
            // The others do not look at what follows.
            _ => Ok(Request::Plain(opcode)),
        }
    }

    /// The bytes of a name for [`Request::WriteName`]: with the NUL, without which the tail of a longer old name
    /// would stay.
    ///
    /// # Errors
    /// When the name has more than 30 bytes.
    pub fn name_bytes(name: &str) -> Result<Vec<u8>, NameTooLong> {
        if name.len() > NAME_BYTES - 2 {
            return Err(NameTooLong(name.to_owned()));
        }
        Ok([name.as_bytes(), &[0]].concat())
    }

    /// The requests that write a whole calibration, given its bytes.
    pub fn write_calibration(contract: &Contract, calibration: &'a [u8]) -> Vec<Self> {
        match contract.calibration_write {
            CalibrationWrite::Whole => vec![Request::WriteCalibration(None, calibration)],
            CalibrationWrite::Chunks => calibration
                .chunks(PACKET_BYTES - 2)
                .enumerate()
                // 294 bytes at most: the last chunk begins at 248.
                .map(|(i, part)| {
                    Request::WriteCalibration(Some((i * (PACKET_BYTES - 2)) as u8), part)
                })
                .collect(),
        }
    }
}

fn parse_action<'a>(rest: &[u8]) -> Result<Request<'a>, Status> {
    match *rest {
        [1, button, level, hold] => Ok(Request::Action(Action::Button(button, level, hold))),
        [2, _, _, _] => Ok(Request::Action(Action::Buzzer)),
        [_, _, _, _] => Err(Status::BadParameter),
        _ => Err(Status::BadLength),
    }
}

fn parse_calibration<'a>(contract: &Contract, rest: &'a [u8]) -> Result<Request<'a>, Status> {
    let whole = contract.model.calibration_bytes();
    match (contract.calibration_write, rest) {
        (CalibrationWrite::Whole, data) => {
            sized(data.len() == whole, Request::WriteCalibration(None, data))
        }
        (CalibrationWrite::Chunks, [offset, data @ ..]) if !data.is_empty() => in_range(
            *offset as usize + data.len() <= whole,
            Request::WriteCalibration(Some(*offset), data),
        ),
        (CalibrationWrite::Chunks, _) => Err(Status::BadLength),
    }
}

fn sized(fits: bool, request: Request<'_>) -> Result<Request<'_>, Status> {
    if fits { Ok(request) } else { Err(Status::BadLength) }
}

fn in_range(fits: bool, request: Request<'_>) -> Result<Request<'_>, Status> {
    if fits { Ok(request) } else { Err(Status::BadParameter) }
}

#[cfg(test)]
mod tests;
