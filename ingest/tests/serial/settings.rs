//! Every setting of every firmware, written and read back by our host.

use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::{
    Calibration, CalibrationSlot, CalibrationValue, Contract, DeviceConfig, FanConfig, FaultConfig,
    Opcode, Request, RgbConfig, crc16, decode, encode, name_from_reply,
};
use bl_ingest::serial::{ConnectOptions, Device, DeviceError};
use bl_ingest::source::Stop;

use super::recording::await_true;

struct Bench {
    device: Device,
    stop: Stop,
    contract: Contract,
    board: VirtualBoard,
}

impl Bench {
    fn new(contract: &'static Contract) -> Self {
        let board = VirtualBoard::start(BoardOptions::of(contract, 4)).unwrap();
        let stop = Stop::new().unwrap();
        let path = board.path().unwrap();
        let device = Device::connect(&path, &ConnectOptions::default(), &stop).unwrap();
        assert_eq!(device.identity().uid, board.uid());
        assert_eq!(device.identity().contract, *contract);
        Self { device, stop, contract: *contract, board }
    }

    fn read(&mut self, request: Request<'_>) -> Vec<u8> {
        self.device.read(request, &self.stop).unwrap()
    }

    /// Without STATUS the host cannot know when the board has taken the request; the board does.
    fn write(&mut self, request: Request<'_>) {
        let requests = self.board.requests();
        self.device.write(request, &self.stop).unwrap();
        await_true("the board to take the request", || self.board.requests() > requests);
    }

    /// For what the board's main loop does.
    fn wait(&self) {
        self.stop.sleep_ns(150_000_000);
    }

    fn calibration(&mut self) -> Calibration {
        let bytes = self.read(Request::Plain(Opcode::ReadCalibration));
        decode("calibration", Calibration::blank(self.contract.model), &bytes).unwrap()
    }
}

#[test]
fn settings_are_read_back_as_written() {
    for contract in Contract::all() {
        let mut bench = Bench::new(contract);
        bench.write(Request::WriteName(&Request::name_bytes("Pr\u{fc}fstand").unwrap()));
        let name = bench.read(Request::Plain(Opcode::ReadName));
        assert_eq!(name_from_reply(&name), "Pr\u{fc}fstand", "{contract}");

        let fan =
            FanConfig { mode: 1, temp_dc: [-50, 900], fixed_duty_pct: 66, ..Default::default() };
        bench.write(Request::WriteFanProfile(2, 8, &encode(&fan)));
        let bytes = bench.read(Request::ReadFanProfile(2, 8));
        assert_eq!(decode("fan", FanConfig::default(), &bytes), Ok(fan));

        let rgb = RgbConfig { mode: 9, rgb: [1, 2, 3], direction: 1, speed: 4 };
        bench.write(Request::WriteRgb(1, &encode(&rgb)));
        let bytes = bench.read(Request::ReadRgb(1));
        assert_eq!(decode("rgb", RgbConfig::default(), &bytes), Ok(rgb));
    }
}

#[test]
fn calibration_is_written_by_the_firmwares_own_form() {
    for contract in Contract::all() {
        let mut bench = Bench::new(contract);
        let factory = bench.calibration();
        let crc = |bench: &mut Bench| bench.device.calibration_crc(&bench.stop).unwrap();
        assert_eq!(crc(&mut bench), crc16(&encode(&factory)[2..]), "{contract}");
        let mut own = factory;
        own.vin[0] = CalibrationValue { offset: -1, gain_offset: 4096 };
        own.rail_current[contract.model.rails() - 1] =
            CalibrationValue { offset: 12, gain_offset: -34 };
        for request in Request::write_calibration(contract, &encode(&own)) {
            bench.write(request);
        }
        assert_eq!(bench.calibration(), own, "{contract}");
        assert_eq!(crc(&mut bench), factory.crc, "{contract}: of the other one until it is stored");
        let slot = |slot| contract.slot_number(slot);
        bench.write(Request::StoreCalibration(slot(CalibrationSlot::User)));
        bench.wait();
        bench.write(Request::LoadCalibration(slot(CalibrationSlot::Factory)));
        bench.wait();
        assert_eq!(bench.calibration(), factory, "{contract}");
        bench.write(Request::LoadCalibration(slot(CalibrationSlot::User)));
        bench.wait();
        let stored = bench.calibration();
        assert_eq!(crc(&mut bench), crc16(&encode(&own)[2..]), "{contract}");
        assert_eq!(Calibration { crc: own.crc, ..stored }, own, "{contract}");
    }
}

#[test]
fn configuration_commands_where_there_are_any() {
    for contract in Contract::all() {
        let mut bench = Bench::new(contract);
        if contract.fault_config {
            let mut faults = FaultConfig::default();
            faults.max_limit[33] = 7;
            faults.action_enable[5] = 1 << 33;
            bench.write(Request::WriteFault(&encode(&faults)));
            let bytes = bench.read(Request::Plain(Opcode::ReadFault));
            assert_eq!(decode("faults", FaultConfig::default(), &bytes), Ok(faults));
        } else {
            let refused = bench.device.read(Request::Plain(Opcode::ReadFault), &bench.stop);
            assert!(matches!(refused, Err(DeviceError::Unsupported { .. })), "{contract}");
        }
        if contract.default_config {
            let bytes = bench.read(Request::Plain(Opcode::ReadDefaultConfig));
            let config = decode("default", DeviceConfig::blank(contract.model), &bytes).unwrap();
            assert_eq!(name_from_reply(&config.name), contract.model.to_string());
            assert_eq!(config.faults.is_some(), contract.fault_config);
        }
        if contract.config_commands {
            bench.write(Request::WriteName(b"kept\0"));
            bench.write(Request::Plain(Opcode::StoreConfig));
            bench.wait();
            bench.write(Request::WriteName(b"given up\0"));
            bench.write(Request::Plain(Opcode::LoadConfig));
            bench.wait();
            let name = bench.read(Request::Plain(Opcode::ReadName));
            assert_eq!(name_from_reply(&name), "kept", "{contract}");
        }
    }
}

#[test]
fn refusals_are_told_where_the_firmware_can_tell() {
    for contract in Contract::all().iter().filter(|c| c.config_commands) {
        let mut bench = Bench::new(contract);
        let refused = bench.device.write(Request::LoadCalibration(2), &bench.stop);
        assert!(matches!(refused, Err(DeviceError::Refused { .. })), "{contract}: {refused:?}");
    }
}
