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

#[test]
fn values_that_cannot_be_are_refused() {
    let good = plausible(Model::Benchlab2.newest(), 1, 0);
    assert_eq!(good.check(), Ok(()));
    let spoil: [fn(&mut Sample); 12] = [
        |s| s.vdd_mv = 2999,
        |s| s.vdd_mv = 3601,
        |s| s.fan_switch = 3,
        |s| s.rgb_switch = 2,
        |s| s.rgb_ext = 2,
        |s| s.fan_ext_duty_pct = 101,
        |s| s.fans[8].enable = 2,
        |s| s.fans[0].duty_pct = 101,
        |s| s.rails[0].power_mw += 50_000,
        |s| s.rails[22].current_ma = -90_000,
        |s| s.rails[1] = RailReading { voltage_mv: 0, current_ma: 1_000_000_000, power_mw: 0 },
        |s| s.rails[1].power_mw = 1_000_000_000,
    ];
    for (i, spoil) in spoil.iter().enumerate() {
        let mut sample = good;
        spoil(&mut sample);
        assert!(sample.check().is_err(), "{i}");
    }
    let mut absent = good;
    absent.rails[3] = RailReading { voltage_mv: ABSENT, current_ma: -1, power_mw: i32::MIN };
    assert_eq!(absent.check(), Ok(()));
}

#[test]
fn sums_beyond_the_column_are_refused() {
    let mut sample = plausible(Model::Original.newest(), 1, 0);
    for rail in &mut sample.rails[..2] {
        let (voltage_mv, current_ma) = (12_000, 50_000_000);
        *rail = RailReading { voltage_mv, current_ma, power_mw: 600_000_000 };
    }
    assert!(matches!(sample.check(), Err(Implausible::Range { value: 1_200_000_000.., .. })));
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
                assert_eq!(sample.check(), Ok(()));
            }
        }
    }
}

proptest! {
    /// A reply read out of step, by any number of bytes, never passes for a snapshot.
    #[test]
    fn replies_out_of_step_are_refused(
        number in 0usize..10, seed: u64, instant_ns in 0i64..1_000_000_000_000, shift in 1usize..383,
    ) {
        let contract = &Contract::all()[number];
        let bytes = contract.sensors.bytes();
        let one = encode(&plausible(contract, seed, instant_ns));
        let next = encode(&plausible(contract, seed, instant_ns + 20_000_000));
        let shift = 1 + shift % (bytes - 1);
        let shifted = [&one[shift..], &next[..shift]].concat();
        let sample = decode("snapshot", Sample::blank(contract.sensors), &shifted).unwrap();
        prop_assert!(sample.check().is_err());
    }

    /// Nor do random bytes.
    #[test]
    fn garbage_is_refused(number in 0usize..10, bytes in prop::collection::vec(any::<u8>(), 384)) {
        let layout = Contract::all()[number].sensors;
        let sample = decode("snapshot", Sample::blank(layout), &bytes[..layout.bytes()]).unwrap();
        prop_assert!(sample.check().is_err());
    }
}
