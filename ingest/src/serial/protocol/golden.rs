//! Every layout against bytes that the ctypes structures of benchlab-pycore 0.8.0 wrote (`tests/pycore/golden.py`):
//! each field holds a number of its own, so a field in the wrong place or of the wrong width shows.

use std::fmt::Debug;

use super::config::{NAME_BYTES, RgbConfig};
use super::*;

/// The n-th field's number: the low bytes of n times the golden ratio.
struct Numbers(u64);

impl Numbers {
    fn u64(&mut self) -> u64 {
        self.0 += 1;
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
    fn u8(&mut self) -> u8 {
        self.u64() as u8
    }
    fn u16(&mut self) -> u16 {
        self.u64() as u16
    }
    fn i16(&mut self) -> i16 {
        self.u64() as i16
    }
    fn i32(&mut self) -> i32 {
        self.u64() as i32
    }
    fn value(&mut self) -> CalibrationValue {
        CalibrationValue { offset: self.i16(), gain_offset: self.i16() }
    }
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u8())
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn both_ways<T: Layout + Clone + PartialEq + Debug>(hex: &str, blank: T, want: &T) {
    let golden = bytes_of(hex);
    assert_eq!(&decode("golden", blank.clone(), &golden).unwrap(), want);
    assert_eq!(encode(want), golden);
    let wrong = decode("golden", blank, &golden[1..]).unwrap_err();
    assert_eq!((wrong.want, wrong.got), (golden.len(), golden.len() - 1));
}

fn sample(layout: SensorLayout) -> Sample {
    let mut n = Numbers(0);
    let mut s = Sample::blank(layout);
    s.vin_mv = std::array::from_fn(|_| n.i16());
    s.vdd_mv = n.u16();
    s.vref_mv = n.u16();
    s.chip = n.i16();
    s.probes_dc[..layout.probes].fill_with(|| n.i16());
    s.ambient_dc = n.i16();
    s.humidity_permille = n.u16();
    s.fan_switch = n.u8();
    s.rgb_switch = n.u8();
    s.rgb_ext = n.u8();
    s.fan_ext_duty_pct = n.u8();
    s.rails[..layout.rails].fill_with(|| RailReading {
        voltage_mv: n.i16(),
        current_ma: n.i32(),
        power_mw: n.i32(),
    });
    s.fans.fill_with(|| FanReading { enable: n.u8(), duty_pct: n.u8(), tach_rpm: n.u16() });
    if layout.faults {
        s.fault_status = n.u64();
        s.fault_log = n.u64();
    }
    s
}

#[test]
fn snapshots() {
    for (layout, bytes, hex) in [
        (SensorLayout::ORIGINAL, 216, include_str!("golden/SensorStructOriginal.hex")),
        (
            SensorLayout::BENCHLAB2_WITHOUT_FAULTS,
            368,
            include_str!("golden/SensorStructBL2Legacy.hex"),
        ),
        (SensorLayout::BENCHLAB2, 384, include_str!("golden/SensorStructBL2.hex")),
    ] {
        assert_eq!(layout.bytes(), bytes);
        both_ways(hex, Sample::blank(layout), &sample(layout));
    }
}

fn fan(n: &mut Numbers) -> FanConfig {
    FanConfig {
        mode: n.u8(),
        temp_source: n.u8(),
        temp_dc: [n.i16(), n.i16()],
        duty_pct: n.bytes(),
        ramp_step_pct: n.u8(),
        fixed_duty_pct: n.u8(),
        min_duty_pct: n.u8(),
        max_duty_pct: n.u8(),
        fan_stop: n.u8(),
    }
}

fn rgb(n: &mut Numbers) -> RgbConfig {
    RgbConfig { mode: n.u8(), rgb: n.bytes(), direction: n.u8(), speed: n.u8() }
}

fn faults(n: &mut Numbers) -> FaultConfig {
    FaultConfig {
        action_enable: std::array::from_fn(|_| n.u64()),
        action_wait_s: n.bytes(),
        max_limit: n.bytes(),
        min_duration_s: n.bytes(),
    }
}

#[test]
fn profiles_and_faults() {
    let first = || Numbers(0);
    let hex = include_str!("golden/FanConfigStruct.hex");
    both_ways(hex, FanConfig::default(), &fan(&mut first()));
    let hex = include_str!("golden/RGBConfigStruct.hex");
    both_ways(hex, RgbConfig::default(), &rgb(&mut first()));
    let hex = include_str!("golden/FaultConfigStruct.hex");
    both_ways(hex, FaultConfig::default(), &faults(&mut first()));
    assert_eq!(encode(&FanConfig::default()).len(), FanConfig::BYTES);
    assert_eq!(encode(&RgbConfig::default()).len(), RgbConfig::BYTES);
    assert_eq!(encode(&FaultConfig::default()).len(), FaultConfig::BYTES);
}

#[test]
fn device_configurations() {
    for (model, hex) in [
        (Model::Original, include_str!("golden/DeviceConfigStruct.hex")),
        (Model::Benchlab2, include_str!("golden/DeviceConfigStructBL2.hex")),
    ] {
        let mut n = Numbers(0);
        let mut name = [0; NAME_BYTES];
        name[..9].copy_from_slice("golden é".as_bytes());
        let want = DeviceConfig {
            version: n.u8(),
            crc: n.u16(),
            name,
            fans: std::array::from_fn(|_| std::array::from_fn(|_| fan(&mut n))),
            rgb: std::array::from_fn(|_| rgb(&mut n)),
            faults: (model == Model::Benchlab2).then(|| faults(&mut n)),
        };
        let golden = bytes_of(hex);
        assert_eq!(golden.len(), model.config_bytes());
        both_ways(hex, DeviceConfig::blank(model), &want);
        let part = |at: usize, bytes: usize| golden[at..at + bytes].to_vec();
        let at = DeviceConfig::fan_at(2, 8);
        assert_eq!(part(at, FanConfig::BYTES), encode(&want.fans[2][8]));
        assert_eq!(part(DeviceConfig::rgb_at(1), RgbConfig::BYTES), encode(&want.rgb[1]));
        if let Some(faults) = want.faults {
            assert_eq!(part(DeviceConfig::FAULTS_AT, FaultConfig::BYTES), encode(&faults));
        }
    }
}

#[test]
fn calibrations() {
    for (model, hex) in [
        (Model::Original, include_str!("golden/CalibrationStruct.hex")),
        (Model::Benchlab2, include_str!("golden/CalibrationStructBL2.hex")),
    ] {
        let mut n = Numbers(0);
        let mut want = Calibration::blank(model);
        want.crc = n.u16();
        want.vin.fill_with(|| n.value());
        want.vdd = n.value();
        want.vref = n.value();
        want.probes[..model.probes()].fill_with(|| n.value());
        want.thermistors[..model.probes()].fill_with(|| n.u8());
        want.ambient = n.value();
        want.humidity = n.value();
        want.rail_voltage[..model.rails()].fill_with(|| n.value());
        want.rail_current[..model.rails()].fill_with(|| n.value());
        assert_eq!(bytes_of(hex).len(), model.calibration_bytes());
        both_ways(hex, Calibration::blank(model), &want);
    }
}

#[test]
fn identities_names_and_checksums() {
    let vendor = VendorData::from_reply([0xEE, 0x11, 7]).unwrap();
    assert_eq!(vendor, VendorData { vendor: 0xEE, product: 0x11, firmware: 7 });
    assert_eq!(vendor.to_reply(), [0xEE, 0x11, 7]);
    assert_eq!(VendorData::from_reply([0x42, 0x45, 0x4E]), None);
    let uid: Uid = "00112233445566778899AABB".parse().unwrap();
    assert_eq!(uid.0, [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB]);
    assert_eq!(uid.to_string(), "00112233445566778899AABB");
    assert!("0011".parse::<Uid>().is_err());
    assert!("00112233445566778899AAB\u{e9}".parse::<Uid>().is_err());
    assert_eq!(name_from_reply(b"bench\0left over"), "bench");
    assert_eq!(crc16(b"123456789"), 0x29B1);
}
