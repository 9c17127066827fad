//! Undoing what LinuxSupportKit's benchlabd does to the readings of power.
//!
//! The daemon reads the board's structure without the two bytes that fill up each rail after its voltage (its
//! `Structs.cs` has `Pack = 1`; benchlab-pycore's contracts, made from the firmware's headers, have 12 bytes a rail).
//! So each of its numbers is made of bytes that belong to something else. Almost no byte is lost on the way: written
//! back as the daemon read them, they are the board's 146 bytes from offset 48 on, but for the flag of a fan, which
//! only tells whether its byte was zero.

use crate::network::board::check_rail;
use crate::serial::protocol::{RAILS, RailReading, decode};

use super::telemetry::{FAN_COUNT, FanValues, RAIL_COUNT, Telemetry};

/// Of a rail, as the board sends it.
const RAIL_BYTES: usize = 12;

/// Of a rail and of a fan, as the daemon reads them.
const PACKED_RAIL_BYTES: usize = 10;
const FAN_BYTES: usize = 4;

/// Where the fans begin in the daemon's reading, and in the board's.
const PACKED_FANS: usize = RAIL_COUNT * PACKED_RAIL_BYTES;
const FANS: usize = RAIL_COUNT * RAIL_BYTES;

const TOTAL: usize = PACKED_FANS + FAN_COUNT * FAN_BYTES;

/// Rails as the board sent them: `None` where a lost byte was needed.
pub(super) type Rails = [Option<RailReading>; RAIL_COUNT];

/// Whether these can be the readings of a board.
pub(super) fn is_plausible(rails: &Rails) -> bool {
    let known = rails.iter().zip(RAILS).filter_map(|(rail, name)| Some(((*rail)?, name)));
    known.into_iter().all(|(rail, name)| check_rail(name, rail).is_ok())
}

/// The rails as they were given, in the board's units. `None` where a number is beyond what they can be.
pub(super) fn as_given(telemetry: &Telemetry) -> Option<Rails> {
    let mut rails = [None; RAIL_COUNT];
    for (rail, [v, a, w]) in rails.iter_mut().zip(telemetry.power) {
        let (Some(v), Some(a), Some(w)) = (v, a, w) else { continue };
        *rail = Some(RailReading {
            voltage_mv: nearest(v)?,
            current_ma: nearest(a)?,
            power_mw: nearest(w)?,
        });
    }
    Some(rails)
}

/// The rails and the first four fans as the board sent them, if these readings came through the daemon's fault.
pub(super) fn unpack(telemetry: &Telemetry) -> Option<(Rails, [FanValues; FAN_COUNT])> {
    let bytes = Packed::of(telemetry)?;
    let mut rails = [None; RAIL_COUNT];
    for (i, rail) in rails.iter_mut().enumerate() {
        *rail = bytes.rail(i * RAIL_BYTES);
    }
    let sure = rails[..9].iter().all(Option::is_some) && is_plausible(&rails);
    let fans = bytes.fans();
    let duties = fans.iter().filter_map(|fan| fan.duty_pct).all(|duty| duty <= 100.0);
    (sure && duties).then_some((rails, fans))
}

/// The board's bytes, and which of them are lost but not zero.
struct Packed {
    bytes: [u8; TOTAL],
    lost: [bool; TOTAL],
}

impl Packed {
    /// Writes the readings back as the daemon has read them.
    fn of(telemetry: &Telemetry) -> Option<Self> {
        let mut packed = Self { bytes: [0; TOTAL], lost: [false; TOTAL] };
        for (i, [v, a, w]) in telemetry.power.into_iter().enumerate() {
            let at = i * PACKED_RAIL_BYTES;
            packed.write(at, &thousandths::<i16>(v?)?.to_le_bytes());
            packed.write(at + 2, &thousandths::<i32>(a?)?.to_le_bytes());
            packed.write(at + 6, &thousandths::<i32>(w?)?.to_le_bytes());
        }
        for (i, fan) in telemetry.fans.iter().enumerate() {
            let at = PACKED_FANS + i * FAN_BYTES;
            packed.lost[at] = fan.enabled?;
            packed.write(at + 1, &[duty_byte(fan.duty_pct?)?]);
            packed.write(at + 2, &u16::try_from(fan.rpm?).ok()?.to_le_bytes());
        }
        Some(packed)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn rail(&self, at: usize) -> Option<RailReading> {
        let blank = RailReading::default();
        let rail = decode("a rail", blank, &self.bytes[at..at + RAIL_BYTES]).ok()?;
        let current_ma = match self.lost_in(at + 4) {
            true => self.near_zero(at + 4)?,
            false => rail.current_ma,
        };
        let power_mw = match self.lost_in(at + 8) {
            true => {
                let product_mw = i64::from(rail.voltage_mv) * i64::from(current_ma) / 1000;
                self.near(at + 8, product_mw)?
            }
            false => rail.power_mw,
        };
        Some(RailReading { voltage_mv: rail.voltage_mv, current_ma, power_mw })
    }

    /// Whether a byte of the four is lost: if any, it is the third.
    fn lost_in(&self, at: usize) -> bool {
        self.lost[at..at + 4].contains(&true)
    }

    /// The integer of four bytes whose third is lost and not zero, if it is a negative one that needs two bytes.
    /// A positive one is 65.536 or more, and of those there are many.
    fn near_zero(&self, at: usize) -> Option<i32> {
        let [low, high, _, sign] = [0, 1, 2, 3].map(|i| self.bytes[at + i]);
        (sign == 0xFF).then(|| i32::from_le_bytes([low, high, 0xFF, sign]))
    }

    /// The integer of four bytes whose third is lost and not zero, given about what it is: the possible ones lie
    /// 65,536 apart.
    fn near(&self, at: usize, about: i64) -> Option<i32> {
        let [low, high, _, sign] = [0, 1, 2, 3].map(|i| self.bytes[at + i]);
        let possible = (1..=255u8).map(|third| i32::from_le_bytes([low, high, third, sign]));
        possible
            .min_by_key(|mw| (i64::from(*mw) - about).abs())
            .filter(|mw| (i64::from(*mw) - about).abs() < 32_768)
    }

    /// The fans, as far as their bytes have come: flag and duty of four, no speed.
    fn fans(&self) -> [FanValues; FAN_COUNT] {
        std::array::from_fn(|i| {
            let at = FANS + i * FAN_BYTES;
            match self.bytes.get(at..at + 2) {
                Some([enable @ 0..=1, duty]) => FanValues {
                    enabled: Some(*enable == 1),
                    duty_pct: Some(f64::from(*duty)),
                    rpm: None,
                },
                _ => FanValues::default(),
            }
        })
    }
}

/// A number in thousandths.
fn nearest<T: TryFrom<i64>>(value: f64) -> Option<T> {
    T::try_from((value * 1000.0).round() as i64).ok()
}

/// The whole number of thousandths that a number is, if it is one.
fn thousandths<T: TryFrom<i64>>(value: f64) -> Option<T> {
    let error = (value * 1000.0 - (value * 1000.0).round()).abs();
    nearest(value).filter(|_| error <= 1e-6 * value.abs().max(1.0))
}

/// The byte that the daemon has turned into a percentage of 255.
fn duty_byte(duty_pct: f64) -> Option<u8> {
    let byte = duty_pct * 255.0 / 100.0;
    let whole = byte.round();
    ((byte - whole).abs() < 1e-6 && (0.0..=255.0).contains(&whole)).then_some(whole as u8)
}
