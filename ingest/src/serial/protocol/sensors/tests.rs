use proptest::prelude::*;

use super::super::wire::{decode, encode};
use super::super::{Contract, Model};
use super::*;
use crate::serial::emulator::{Shape, Signal};

fn plausible(contract: &Contract, seed: u64, instant_ns: i64) -> Sample {
    Signal::desktop(seed).sample_at(contract, instant_ns)
}

#[test]
fn sums_leave_the_pins_out_and_are_unknown_if_a_rail_is() {
    let mut sample = Sample::blank(SensorLayout::BENCHLAB2);
    for (i, rail) in sample.rails.iter_mut().enumerate() {
        rail.power_mw = 1 << i;
    }
    assert_eq!(sample.cpu_mw(), Some(0b11));
    assert_eq!(sample.mainboard_mw(), Some(0b11_1100));
    assert_eq!(sample.gpu_mw(), Some(0b111_1100_0000));
    assert_eq!(sample.system_mw(), Some(0b111_1111_1111));
    sample.rails[7].voltage_mv = ABSENT;
    assert_eq!((sample.gpu_mw(), sample.system_mw()), (None, None));
    assert_eq!(sample.cpu_mw(), Some(0b11));
}

fn doubt(contract: &Contract, sample: &Sample) -> Option<Doubt> {
    Doubt::of(sample, &sample.odd_readings(contract.chip_unit_dc))
}

#[test]
fn sums_leave_out_power_that_cannot_be() {
    let mut sample = plausible(Model::Original.newest(), 1, 0);
    let cpu_mw = sample.cpu_mw();
    sample.rails[7].power_mw = 32_767_001;
    assert_eq!((sample.gpu_mw(), sample.system_mw()), (None, None));
    assert_eq!(sample.cpu_mw(), cpu_mw);
    // Whatever is left fits nine digits.
    let most = i64::from(*POWER_MW.end());
    sample.rails[..11].iter_mut().for_each(|rail| rail.power_mw = most as i32);
    assert_eq!(sample.system_mw(), Some(11 * most));
    assert!(11 * most < 1_000_000_000);
}

#[test]
fn one_kind_of_odd_reading_raises_no_doubt_and_two_do() {
    let contract = Model::Benchlab2.newest();
    let mut sample = plausible(contract, 1, 0);
    sample.fans.iter_mut().for_each(|fan| fan.duty_pct = 101);
    // A probe that is broken says nothing of the reply.
    (sample.probes_dc[0], sample.chip) = (1_200, 1_200);
    assert_eq!(sample.odd_readings(1).len(), FANS + 2);
    assert_eq!(doubt(contract, &sample), None);
    sample.fan_switch = 3;
    let first = doubt(contract, &sample);
    assert!(first.is_some());
    // What it measures changes, what it says of its switches does not.
    sample.rails[0].power_mw += 1;
    assert_eq!(doubt(contract, &sample), first);
    sample.fan_switch = 4;
    assert_ne!(doubt(contract, &sample), first);
}

#[test]
fn a_rail_that_is_absent_is_not_odd() {
    let mut sample = plausible(Model::Benchlab2.newest(), 1, 0);
    sample.rails[3] = RailReading { voltage_mv: ABSENT, current_ma: i32::MIN, power_mw: i32::MIN };
    assert_eq!(sample.odd_readings(1), []);
}

#[test]
fn the_rails_sum_up_to_the_signal() {
    for shape in [Shape::Constant, Shape::Step, Shape::Sine, Shape::Saw, Shape::Desktop] {
        let signal = Signal { shape, ..Signal::desktop(3) };
        for contract in Contract::all() {
            for instant_ns in (0..20_000_000_000).step_by(123_456_789) {
                let sample = signal.sample_at(contract, instant_ns);
                let want_mw = (signal.power_w_at(instant_ns) * 1000.0).round() as i64;
                assert_eq!(sample.system_mw(), Some(want_mw));
                assert_eq!(sample.odd_readings(contract.chip_unit_dc), []);
            }
        }
    }
}

/// A reply read out of step, by any number of bytes, looks so.
#[test]
fn replies_out_of_step_raise_doubt() {
    let mut unseen = Vec::new();
    for contract in Contract::all() {
        let bytes = contract.sensors.bytes();
        for instant_ns in (0..8_000_000_000).step_by(987_654_321) {
            let one = encode(&plausible(contract, 5, instant_ns));
            let next = encode(&plausible(contract, 5, instant_ns + 20_000_000));
            for shift in 1..bytes {
                let shifted = [&one[shift..], &next[..shift]].concat();
                let blank = Sample::blank(contract.sensors);
                let sample = decode("snapshot", blank, &shifted).unwrap();
                if doubt(contract, &sample).is_none() {
                    unseen.push((contract.to_string(), shift, instant_ns));
                }
            }
        }
    }
    assert_eq!(unseen, []);
}

proptest! {
    /// So do random bytes.
    #[test]
    fn garbage_raises_doubt(number in 0usize..10, bytes in prop::collection::vec(any::<u8>(), 384)) {
        let contract = &Contract::all()[number];
        let layout = contract.sensors;
        let sample = decode("snapshot", Sample::blank(layout), &bytes[..layout.bytes()]).unwrap();
        prop_assert!(doubt(contract, &sample).is_some());
    }
}
