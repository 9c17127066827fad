//! The firmware of a virtual board: its memory, and what it answers. Pure: time is given, nothing is read or sent.

use super::defaults;
use crate::serial::protocol::{
    CalibrationWrite, Contract, DeviceConfig, FanConfig, Opcode, PACKET_BYTES, Request, RgbConfig,
    Status, Uid, WELCOME, crc16,
};

/// The period of the main loop, which runs what a request has queued (benchlab-pycore 0.8.0).
const TICK_NS: i64 = 100_000_000;

/// The largest transfer that the firmware has room for.
const RECEIVE_BYTES: usize = 512;

/// What a request leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No byte.
    Nothing,
    /// These bytes.
    Reply(Vec<u8>),
    /// A snapshot, which whoever knows the signals makes.
    Sensors,
}

/// What the main loop does to the USB connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusEvent {
    /// The board leaves the bus and comes back.
    Reset,
    /// The board leaves the bus and comes back as ST's bootloader, which is no serial port.
    Bootloader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deferred {
    Action,
    LoadCalibration(usize),
    StoreCalibration(usize),
    LoadConfig,
    StoreConfig,
    Unlock,
    Reset,
    Bootloader,
}

/// One board's firmware with its RAM, EEPROM and flash.
#[derive(Debug)]
pub struct Firmware {
    contract: &'static Contract,
    uid: Uid,
    default_config: Vec<u8>,
    config: Vec<u8>,
    eeprom: Vec<u8>,
    calibration: Vec<u8>,
    slots: [Vec<u8>; 2],
    protected: bool,
    status: Status,
    deferred: Option<(i64, Deferred)>,
    /// What was received last, over what was received before: the firmware never clears it.
    receive: [u8; RECEIVE_BYTES],
}

impl Firmware {
    /// A board as it comes out of its box.
    pub fn new(contract: &'static Contract, seed: u64) -> Self {
        let default_config = defaults::config(contract.model);
        let factory = defaults::factory_calibration(contract.model, seed);
        let user = defaults::user_calibration(contract.model);
        let slots = if contract.factory_slot == 0 { [factory, user] } else { [user, factory] };
        let mut firmware = Self {
            contract,
            uid: defaults::uid(contract.model, seed),
            config: default_config.clone(),
            eeprom: default_config.clone(),
            default_config,
            calibration: Vec::new(),
            slots,
            protected: contract.factory_unlock,
            status: Status::Ok,
            deferred: None,
            receive: [0; RECEIVE_BYTES],
        };
        firmware.power_on();
        firmware
    }

    /// Loads RAM from EEPROM and flash, as after a reset or a power cycle.
    pub fn power_on(&mut self) {
        self.config.clone_from(&self.eeprom);
        self.calibration.clone_from(&self.slots[self.contract.factory_slot as usize]);
        self.status = Status::Ok;
        self.deferred = None;
        self.receive = [0; RECEIVE_BYTES];
    }

    /// What it speaks.
    pub fn contract(&self) -> &'static Contract {
        self.contract
    }

    /// Its identity.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The product's greeting.
    pub fn welcome(&self) -> Vec<u8> {
        let text = if self.contract.welcome_bytes > WELCOME.len() + 1 {
            self.contract.model.to_string().into_bytes()
        } else {
            WELCOME.to_vec()
        };
        padded(&text, self.contract.welcome_bytes)
    }

    /// How many bytes that have arrived make up the next transfer; 0 when it is not complete yet.
    ///
    /// Older firmware takes each packet as a request; where a request does not fit into a packet, newer firmware
    /// reassembles the transfer (benchlab-pycore 0.8.0).
    pub fn transfer_bytes(&self, arrived: &[u8]) -> usize {
        let Some(opcode) = arrived.first().and_then(|code| Opcode::of(*code)) else {
            return arrived.len().min(PACKET_BYTES);
        };
        let whole = match (opcode, self.contract.calibration_write) {
            (Opcode::WriteCalibration, CalibrationWrite::Whole) => {
                1 + self.contract.model.calibration_bytes()
            }
            (Opcode::WriteFault, _) if self.contract.fault_config => {
                1 + self.contract.reply_bytes(Opcode::ReadFault)
            }
            _ => return arrived.len().min(PACKET_BYTES),
        };
        if arrived.len() < whole { 0 } else { whole }
    }

    /// Handles one transfer.
    pub fn handle(&mut self, transfer: &[u8], now_ns: i64) -> Answer {
        let length = transfer.len().min(RECEIVE_BYTES);
        self.receive[..length].copy_from_slice(&transfer[..length]);
        let request = match Request::parse(self.contract, &transfer[..length]) {
            Ok(request) => request,
            Err(status) => {
                self.status = status;
                return Answer::Nothing;
            }
        };
        let mut status = Status::Ok;
        let answer = match request {
            Request::Plain(Opcode::Status) => return Answer::Reply(vec![self.status as u8]),
            Request::Plain(opcode) => self.plain(opcode, now_ns, &mut status),
            Request::ReadFanProfile(profile, fan) => {
                self.config_part(DeviceConfig::fan_at(profile.into(), fan.into()), FanConfig::BYTES)
            }
            Request::ReadRgb(profile) => {
                self.config_part(DeviceConfig::rgb_at(profile.into()), RgbConfig::BYTES)
            }
            write => {
                status = self.write(write, length, now_ns);
                Answer::Nothing
            }
        };
        self.status = status;
        answer
    }

    fn plain(&mut self, opcode: Opcode, now_ns: i64, status: &mut Status) -> Answer {
        let deferred = match opcode {
            Opcode::LoadConfig => Deferred::LoadConfig,
            Opcode::StoreConfig => Deferred::StoreConfig,
            Opcode::Reset => Deferred::Reset,
            Opcode::Bootloader => Deferred::Bootloader,
            Opcode::ReadSensors => return Answer::Sensors,
            _ => return Answer::Reply(self.memory(opcode)),
        };
        *status = self.defer(deferred, now_ns);
        Answer::Nothing
    }

    fn memory(&self, opcode: Opcode) -> Vec<u8> {
        let part = |at: usize| self.config[at..at + self.contract.reply_bytes(opcode)].to_vec();
        match opcode {
            Opcode::Welcome => self.welcome(),
            Opcode::ReadName => part(DeviceConfig::NAME_AT),
            Opcode::ReadFault => part(DeviceConfig::FAULTS_AT),
            Opcode::ReadCalibration => self.calibration.clone(),
            Opcode::ReadUid => self.uid.0.to_vec(),
            Opcode::ReadVendorData => self.contract.vendor_data().to_reply().to_vec(),
            Opcode::ReadDefaultConfig => self.default_config.clone(),
            _ => Vec::new(),
        }
    }

    fn config_part(&self, at: usize, bytes: usize) -> Answer {
        Answer::Reply(self.config[at..at + bytes].to_vec())
    }

    fn write(&mut self, request: Request<'_>, length: usize, now_ns: i64) -> Status {
        match request {
            // The firmware copies as many bytes as the transfer has, not one less for the opcode: a byte of what
            // it received earlier goes with them, at full length beyond the name's field (benchlab-pycore 0.8.0).
            Request::WriteName(_) => {
                let stale = &self.receive[1..=length];
                self.config[DeviceConfig::NAME_AT..][..length].copy_from_slice(stale);
            }
            Request::WriteFanProfile(profile, fan, config) => {
                let at = DeviceConfig::fan_at(profile.into(), fan.into());
                self.config[at..at + config.len()].copy_from_slice(config);
            }
            Request::WriteRgb(profile, config) => {
                let at = DeviceConfig::rgb_at(profile.into());
                self.config[at..at + config.len()].copy_from_slice(config);
            }
            Request::WriteFault(config) => {
                self.config[DeviceConfig::FAULTS_AT..][..config.len()].copy_from_slice(config);
            }
            Request::WriteCalibration(offset, data) => {
                let at = usize::from(offset.unwrap_or(0));
                self.calibration[at..at + data.len()].copy_from_slice(data);
            }
            Request::Action(_) => return self.defer(Deferred::Action, now_ns),
            Request::LoadCalibration(slot) => {
                return self.defer(Deferred::LoadCalibration(slot.into()), now_ns);
            }
            Request::StoreCalibration(slot) => {
                return self.defer(Deferred::StoreCalibration(slot.into()), now_ns);
            }
            Request::FactoryCalUnlock(_) => return self.defer(Deferred::Unlock, now_ns),
            Request::Plain(_) | Request::ReadFanProfile(..) | Request::ReadRgb(_) => {}
        }
        Status::Ok
    }

    /// Queues work for the main loop, which holds one piece of it.
    fn defer(&mut self, work: Deferred, now_ns: i64) -> Status {
        if self.deferred.is_some() {
            return Status::Busy;
        }
        self.deferred = Some(((now_ns / TICK_NS + 1) * TICK_NS, work));
        Status::Ok
    }

    /// When the main loop has something to do.
    pub fn next_tick_ns(&self) -> Option<i64> {
        self.deferred.map(|(due_ns, _)| due_ns)
    }

    /// The main loop: does what is due.
    pub fn tick(&mut self, now_ns: i64) -> Option<BusEvent> {
        let (_, work) = self.deferred.take_if(|(due_ns, _)| *due_ns <= now_ns)?;
        match work {
            Deferred::Action => None,
            Deferred::LoadCalibration(slot) => {
                self.calibration.clone_from(&self.slots[slot]);
                None
            }
            Deferred::StoreCalibration(slot) => self.store_calibration(slot),
            Deferred::LoadConfig => {
                self.config.clone_from(&self.eeprom);
                None
            }
            Deferred::StoreConfig => {
                seal(&mut self.config, DeviceConfig::CRC_AT);
                self.eeprom.clone_from(&self.config);
                None
            }
            Deferred::Unlock => {
                self.protected = false;
                Some(BusEvent::Reset)
            }
            Deferred::Reset => Some(BusEvent::Reset),
            Deferred::Bootloader => Some(BusEvent::Bootloader),
        }
    }

    /// Storing into a factory slot that has been unlocked protects it again and resets the board; while it is
    /// protected nothing happens (benchlab-pycore 0.8.0).
    fn store_calibration(&mut self, slot: usize) -> Option<BusEvent> {
        let guarded =
            self.contract.factory_unlock && slot == usize::from(self.contract.factory_slot);
        if guarded && self.protected {
            return None;
        }
        seal(&mut self.calibration, 0);
        self.slots[slot].clone_from(&self.calibration);
        self.protected |= guarded;
        guarded.then_some(BusEvent::Reset)
    }
}

/// Writes the CRC of what follows it.
pub(super) fn seal(memory: &mut [u8], crc_at: usize) {
    let crc = crc16(&memory[crc_at + 2..]);
    memory[crc_at..crc_at + 2].copy_from_slice(&crc.to_le_bytes());
}

fn padded(text: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = text.to_vec();
    padded.resize(bytes, 0);
    padded
}

#[cfg(test)]
#[path = "firmware_tests.rs"]
mod tests;
