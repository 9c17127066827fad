//! The protocol of BENCHLAB boards, pure: bytes to values and back, no I/O.
//!
//! There is no framing, no checksum, no length and no error reply. A request is one USB transfer that begins with
//! an opcode; a reply is a bare blob of a size that only the pair (product, firmware) tells; a malformed request
//! is answered by nothing. All integers are little-endian, structures have the natural alignment of C.

mod calibration;
mod config;
mod contract;
#[cfg(test)]
mod golden;
mod request;
mod sensors;
mod wire;

use std::fmt;
use std::str::FromStr;

pub use calibration::{Calibration, CalibrationSlot, CalibrationValue, crc16};
pub use config::{
    DeviceConfig, FAN_PROFILES, FANS, FanConfig, FaultConfig, NAME_BYTES, NameTooLong,
    RGB_PROFILES, RgbConfig, name_from_reply,
};
pub use contract::{CalibrationWrite, Contract, Model, PACKET_BYTES, UnknownFirmware};
pub use request::{Action, Opcode, Request, Status, UNLOCK_PHRASE};
pub use sensors::{
    ABSENT, CURRENT_MA, DUTY_PCT, Doubt, FAN_SWITCH, FLAG, FanReading, Field, HUMIDITY_PERMILLE,
    NO_FAN_SIGNAL, OddReading, POWER_MW, PROBES, RAILS, RailReading, Sample, SensorLayout,
    TEMPERATURE_DC, VDD_MV, possible,
};
pub use wire::{Layout, WrongSize, decode, encode, size};

/// `VendorId`, the first byte of the reply to READ_VENDOR_DATA: what tells a BENCHLAB from the many other devices
/// with ST's stock USB ids (benchlab-pycore 0.8.0).
pub const VENDOR_ID: u8 = 0xEE;

/// What every welcome begins with; older firmware sends just this and a NUL, newer pads to 32 bytes
/// (benchlab-pycore 0.8.0).
pub const WELCOME: &[u8] = b"BENCHLAB";

/// The reply to READ_VENDOR_DATA: who a board is, and by (product, firmware) how to talk to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VendorData {
    /// 0xEE.
    pub vendor: u8,
    /// 0x10 for BENCHLAB ORIGINAL, 0x11 for BENCHLAB 2.
    pub product: u8,
    /// Version of the firmware.
    pub firmware: u8,
}

impl VendorData {
    /// Size on the wire.
    pub const BYTES: usize = 3;

    /// From the reply; `None` when it is not a BENCHLAB's.
    pub fn from_reply(reply: [u8; Self::BYTES]) -> Option<Self> {
        let [vendor, product, firmware] = reply;
        (vendor == VENDOR_ID).then_some(Self { vendor, product, firmware })
    }

    /// As the board sends it.
    pub fn to_reply(self) -> [u8; Self::BYTES] {
        [self.vendor, self.product, self.firmware]
    }
}

/// A board's identity: 12 bytes, written as 24 upper-case hex digits in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub [u8; 12]);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

impl FromStr for Uid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        let invalid = || InvalidUid(text.to_owned());
        if text.len() != 24 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut uid = [0; 12];
        for (i, byte) in uid.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(uid))
    }
}

/// A text that is not a [`Uid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a board's UID: that has 24 hex digits, see `bl device list`")]
pub struct InvalidUid(String);
