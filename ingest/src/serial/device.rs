//! One connected board.

use std::path::Path;
use std::time::Duration;

use super::port::{Port, PortError, RoundTrip};
use super::protocol::{
    Calibration, Contract, Doubt, OddReading, Opcode, Request, Sample, SensorLayout, Status, Uid,
    UnknownFirmware, VendorData, WrongSize, decode, name_from_reply,
};
use crate::source::Stop;

/// How often a board is asked who it is before it counts as something else.
const PROBES: usize = 3;

/// Pauses after a request without a reply, first and second try: what the port hands over together with the next
/// request would be one request to the firmware.
const WRITE_WAITS_NS: [i64; 2] = [20_000_000, 100_000_000];

/// What failed on a board.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// It answers, but not as a BENCHLAB does: many other devices have the same USB ids.
    #[error("{0}: not a BENCHLAB board: it does not answer as one")]
    Foreign(String),
    /// Its protocol is not known.
    #[error("{path}: {reason}")]
    UnknownFirmware {
        /// Of the port.
        path: String,
        /// Which one.
        reason: UnknownFirmware,
    },
    /// A snapshot whose bytes are not where they belong.
    #[error("{path}: the reply is out of step: {doubt}")]
    OutOfStep {
        /// Of the port.
        path: String,
        /// What shows it.
        doubt: Doubt,
    },
    /// A structure of the wrong size.
    #[error(transparent)]
    WrongSize(#[from] WrongSize),
    /// The board does not know the command.
    #[error("{contract} does not know {opcode:?}")]
    Unsupported {
        /// What it speaks.
        contract: String,
        /// The command.
        opcode: Opcode,
    },
    /// The board refused a request.
    #[error("{path}: the board refused {opcode:?}: {status:?}")]
    Refused {
        /// Of the port.
        path: String,
        /// The command.
        opcode: Opcode,
        /// Its reason.
        status: Status,
    },
}

impl DeviceError {
    /// Whether the recording ends.
    pub fn is_stopping(&self) -> bool {
        matches!(self, DeviceError::Port(PortError::Stopping))
    }

    /// Whether the board has left: nothing but waiting helps.
    pub fn is_gone(&self) -> bool {
        matches!(self, DeviceError::Port(PortError::Gone(_) | PortError::Absent(_)))
    }
}

/// How to talk to boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectOptions {
    /// How long a reply may take.
    pub timeout: Duration,
    /// Whether to record a board of unknown firmware whose reply has a known size.
    pub allow_unknown_firmware: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_millis(500), allow_unknown_firmware: false }
    }
}

/// Who a board is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it speaks.
    pub contract: Contract,
    /// Its identity, which stays when the port changes.
    pub uid: Uid,
    /// Its name.
    pub name: String,
}

/// A snapshot with the bounds of its time.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was asked for, and had.
    pub round_trip: RoundTrip,
    /// The readings.
    pub sample: Sample,
    /// Those among them that cannot be; none as a rule.
    pub odd: Vec<OddReading>,
}

/// A board that is connected and known.
#[derive(Debug)]
pub struct Device {
    port: Port,
    identity: Identity,
    reply: Vec<u8>,
    /// What made a snapshot look out of step last.
    doubt: Option<Doubt>,
}

impl Device {
    /// Opens the port, lets it fall silent, finds out who is there.
    ///
    /// # Errors
    /// When the port cannot be opened, or what is there is no board that can be talked to.
    pub fn connect(
        path: &Path,
        options: &ConnectOptions,
        stop: &Stop,
    ) -> Result<Self, DeviceError> {
        let mut port = Port::open(path, options.timeout)?;
        let vendor = probe(&mut port, None, stop)?;
        let contract = match Contract::of(vendor) {
            Ok(known) => *known,
            Err(reason) => {
                let assumed = match options.allow_unknown_firmware {
                    true => assume(&mut port, vendor, stop)?,
                    false => None,
                };
                let path = path.display().to_string();
                assumed.ok_or(DeviceError::UnknownFirmware { path, reason })?
            }
        };
        let mut uid = Uid([0; 12]);
        port.exchange(&Request::Plain(Opcode::ReadUid).encode(), &mut uid.0, stop)?;
        let identity = Identity { contract, uid, name: String::new() };
        let mut device = Self { port, identity, reply: Vec::new(), doubt: None };
        device.identity.name =
            name_from_reply(&device.read(Request::Plain(Opcode::ReadName), stop)?);
        Ok(device)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.port.path()
    }

    /// Takes a snapshot. One that looks out of step is refused, unless the one refused before was the same in that.
    ///
    /// # Errors
    /// After any but [`DeviceError::is_gone`], [`resynchronise`](Self::resynchronise).
    pub fn read_sensors(&mut self, stop: &Stop) -> Result<Reading, DeviceError> {
        let Contract { sensors: layout, chip_unit_dc, .. } = self.identity.contract;
        self.reply.resize(layout.bytes(), 0);
        let request = [Opcode::ReadSensors as u8];
        let round_trip = self.port.exchange(&request, &mut self.reply, stop)?;
        let sample = decode("snapshot", Sample::blank(layout), &self.reply)?;
        let odd = sample.odd_readings(chip_unit_dc);
        if let Some(doubt) = Doubt::of(&sample, &odd)
            && self.doubt.as_ref() != Some(&doubt)
        {
            self.doubt = Some(doubt.clone());
            return Err(DeviceError::OutOfStep { path: self.shown(), doubt });
        }
        Ok(Reading { round_trip, sample, odd })
    }

    /// The CRC that the firmware wrote when the calibration that the board works with was stored. Which bytes it covers
    /// no contract says, so whether it is right cannot be told; that it changes can.
    ///
    /// # Errors
    /// After any but [`DeviceError::is_gone`], [`resynchronise`](Self::resynchronise).
    pub fn calibration_crc(&mut self, stop: &Stop) -> Result<u16, DeviceError> {
        let reply = self.read(Request::Plain(Opcode::ReadCalibration), stop)?;
        let blank = Calibration::blank(self.identity.contract.model);
        Ok(decode("calibration", blank, &reply)?.crc)
    }

    /// Lets the line fall silent and makes sure that the same board answers in step: a reply that comes too late
    /// would else pass for that to the next request.
    ///
    /// # Errors
    /// When the board does not answer any more, or another one does.
    pub fn resynchronise(&mut self, stop: &Stop) -> Result<(), DeviceError> {
        probe(&mut self.port, Some(self.identity.contract.vendor_data()), stop).map(drop)
    }

    /// Sends a request and returns its reply.
    ///
    /// # Errors
    /// When the firmware does not know the command, or nothing comes: a board answers malformed requests so.
    pub fn read(&mut self, request: Request<'_>, stop: &Stop) -> Result<Vec<u8>, DeviceError> {
        self.supported(request.opcode())?;
        let mut reply = vec![0; self.identity.contract.reply_bytes(request.opcode())];
        self.port.exchange(&request.encode(), &mut reply, stop)?;
        Ok(reply)
    }

    /// Sends a request that has no reply, and asks what became of it where the firmware can tell.
    ///
    /// # Errors
    /// When the firmware does not know the command, or says that it refused it.
    pub fn write(&mut self, request: Request<'_>, stop: &Stop) -> Result<(), DeviceError> {
        self.supported(request.opcode())?;
        let [first_ns, second_ns] = WRITE_WAITS_NS;
        let mut status = self.send_and_ask(&request, first_ns, stop)?;
        if status == Status::BadLength {
            // The port may have handed STATUS over together with the request: then nothing was done.
            status = self.send_and_ask(&request, second_ns, stop)?;
        }
        match status {
            Status::Ok => Ok(()),
            status => {
                Err(DeviceError::Refused { path: self.shown(), opcode: request.opcode(), status })
            }
        }
    }

    /// Sends a request without a reply; firmware that cannot tell is taken to have done it.
    fn send_and_ask(
        &mut self,
        request: &Request<'_>,
        wait_ns: i64,
        stop: &Stop,
    ) -> Result<Status, DeviceError> {
        self.port.send(&request.encode())?;
        stop.sleep_ns(wait_ns);
        if self.identity.contract.supports(Opcode::Status) {
            self.status(stop)
        } else {
            Ok(Status::Ok)
        }
    }

    /// What became of the request before.
    fn status(&mut self, stop: &Stop) -> Result<Status, DeviceError> {
        let request = Request::Plain(Opcode::Status);
        let reply = match self.read(request, stop) {
            Err(DeviceError::Port(PortError::Timeout { .. })) => {
                self.port.drain(stop)?;
                self.read(request, stop)?
            }
            reply => reply?,
        };
        let status = reply.first().and_then(|code| Status::of(*code));
        status.ok_or_else(|| DeviceError::Foreign(self.shown()))
    }

    fn supported(&self, opcode: Opcode) -> Result<(), DeviceError> {
        if self.identity.contract.supports(opcode) {
            return Ok(());
        }
        Err(DeviceError::Unsupported { contract: self.identity.contract.to_string(), opcode })
    }

    fn shown(&self) -> String {
        self.port.path().display().to_string()
    }
}

/// Asks who is there, after the line has fallen silent. READ_VENDOR_DATA serves, since its reply has the same size
/// on every firmware.
fn probe(
    port: &mut Port,
    expected: Option<VendorData>,
    stop: &Stop,
) -> Result<VendorData, DeviceError> {
    let mut last = DeviceError::Foreign(port.path().display().to_string());
    for _ in 0..PROBES {
        port.drain(stop)?;
        let mut reply = [0; VendorData::BYTES];
        match port.exchange(&Request::Plain(Opcode::ReadVendorData).encode(), &mut reply, stop) {
            Ok(_) => match VendorData::from_reply(reply) {
                Some(vendor) if expected.is_none_or(|e| e == vendor) => return Ok(vendor),
                _ => last = DeviceError::Foreign(port.path().display().to_string()),
            },
            Err(e @ (PortError::Timeout { .. } | PortError::Excess { .. })) => last = e.into(),
            Err(e) => return Err(e.into()),
        }
    }
    Err(last)
}

/// Looks whether firmware that is not known answers with a snapshot of known size.
fn assume(
    port: &mut Port,
    vendor: VendorData,
    stop: &Stop,
) -> Result<Option<Contract>, DeviceError> {
    port.send(&Request::Plain(Opcode::ReadSensors).encode())?;
    let reply = port.read_until_quiet(2 * SensorLayout::BENCHLAB2.bytes(), stop)?;
    Ok(Contract::assumed(vendor, reply.len()))
}
