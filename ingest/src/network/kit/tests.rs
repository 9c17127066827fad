use proptest::prelude::*;
use serde_json::{Value, json};

use super::telemetry::{Repair, Telemetry};
use super::*;
use crate::serial::emulator::Signal;
use crate::serial::protocol::{ABSENT, Contract, FanReading, Model, RailReading, Sample, encode};
use crate::source::kept::{Kept, kept};

/// A board's reply, read as benchlabd reads it: 194 bytes without the ones that fill up, everything divided by 1000,
/// 100 or 255.
struct Misread(Vec<u8>);

impl Misread {
    fn new(sample: &Sample) -> Self {
        let bytes = encode(sample);
        assert_eq!(bytes.len(), 216);
        Self(bytes)
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes([0, 1, 2, 3].map(|i| self.0[at + i]))
    }

    fn hundredths(&self, at: usize) -> f64 {
        f64::from(self.i16(at)) / 100.0
    }

    fn power(&self, names: [&str; 3]) -> Vec<Value> {
        let rails = (0..11).map(|i| 48 + 10 * i);
        rails
            .map(|at| {
                let [v, a, w] = names;
                json!({
                    v: f64::from(self.i16(at)) / 1000.0,
                    a: f64::from(self.i32(at + 2)) / 1000.0,
                    w: f64::from(self.i32(at + 6)) / 1000.0,
                })
            })
            .collect()
    }

    fn fans(&self) -> Vec<Value> {
        let fans = (0..9).map(|i| 158 + 4 * i);
        fans.map(|at| {
            json!({
                "enabled": self.0[at] != 0,
                "duty": f64::from(self.0[at + 1]) / 255.0 * 100.0,
                "rpm": self.i16(at + 2) as u16,
            })
        })
        .collect()
    }

    fn stream(&self) -> Value {
        json!({
            "device": "/dev/ttyACM0",
            "timestamp": "2025-11-12T10:20:30.1234567Z",
            "voltages": (0..13).map(|i| self.i16(2 * i)).collect::<Vec<_>>(),
            "chipTemp": self.hundredths(30),
            "ambientTemp": self.hundredths(40),
            "humidity": self.hundredths(42),
            "power": self.power(["v", "a", "w"]),
            "fans": self.fans(),
        })
    }

    fn sensors(&self) -> Value {
        let inputs = (0..13).map(|i| {
            let mv = self.i16(2 * i);
            json!({"channel": i, "millivolts": mv, "volts": f64::from(mv) / 1000.0})
        });
        let temperatures: Vec<f64> = (30..=40).step_by(2).map(|at| self.hundredths(at)).collect();
        let numbered = |list: Vec<Value>| {
            let entries = list.into_iter().enumerate();
            entries.map(|(i, mut entry)| (entry["channel"] = json!(i), entry).1).collect::<Vec<_>>()
        };
        json!({
            "device": "/dev/ttyACM0",
            "timestamp": "2025-11-12T10:20:30.1234567Z",
            "voltages": inputs.collect::<Vec<_>>(),
            "temperatures": {
                "chip": temperatures[0],
                "ambient": temperatures[5],
                "sensors": temperatures,
            },
            "humidity": self.hundredths(42),
            "power": numbered(self.power(["voltage", "current", "power"])),
            "fans": numbered(self.fans()),
        })
    }
}

/// What a service without the fault would send.
fn well_read(sample: &Sample) -> Value {
    let tenths = |dc: i16| f64::from(dc) / 10.0;
    let milli = |n: i32| f64::from(n) / 1000.0;
    let rail = |r: &RailReading| json!({"v": milli(r.voltage_mv.into()), "a": milli(r.current_ma), "w": milli(r.power_mw)});
    let fan =
        |f: &FanReading| json!({"enabled": f.enable == 1, "duty": f.duty_pct, "rpm": f.tach_rpm});
    json!({
        "voltages": sample.vin_mv,
        "chipTemp": tenths(sample.chip),
        "ambientTemp": tenths(sample.ambient_dc),
        "humidity": f64::from(sample.humidity_permille) / 10.0,
        "power": sample.rails().iter().map(rail).collect::<Vec<_>>(),
        "fans": sample.fans.iter().map(fan).collect::<Vec<_>>(),
    })
}

fn parse(document: &Value) -> Telemetry {
    Telemetry::parse(document.as_object().unwrap()).unwrap()
}

fn contract() -> &'static Contract {
    Model::Original.newest()
}

fn milli(value: Option<f64>) -> Option<i64> {
    value.map(|v| (v * 1000.0).round() as i64)
}

prop_compose! {
    /// A rail of about `nominal_mv`, with power that is only roughly the product.
    fn rail(nominal_mv: i16, most_ma: i32)(
        off in -30i16..=30, current_ma in -300..=most_ma, percent in -3.0..3.0f64, extra_mw in -500..500i32,
    ) -> RailReading {
        let voltage_mv = nominal_mv + nominal_mv / 1000 * off;
        let product = f64::from(voltage_mv) * f64::from(current_ma) / 1000.0;
        let power_mw = (product * (1.0 + percent / 100.0)) as i32 + extra_mw;
        RailReading { voltage_mv, current_ma, power_mw }
    }
}

prop_compose! {
    fn sample()(
        eps in prop::collection::vec(rail(12_050, 60_000), 2),
        atx in (rail(3_310, 25_000), rail(5_020, 25_000), rail(5_040, 4_000), rail(12_030, 25_000)),
        pcie in prop::collection::vec(rail(12_040, 25_000), 3),
        hpwr in prop::collection::vec(rail(12_020, 70_000), 2),
        fans in prop::collection::vec((0..=1u8, 0..=100u8, 0..=6_000u16), 9),
        climate in (150..900i16, -200..450i16, 1..1000u16),
        probes in prop::collection::vec(prop_oneof![Just(ABSENT), -200..900i16], 4),
    ) -> Sample {
        let mut sample = Signal::desktop(1).sample_at(contract(), 0);
        let all = eps.into_iter().chain([atx.0, atx.1, atx.2, atx.3]).chain(pcie).chain(hpwr);
        for (place, rail) in sample.rails.iter_mut().zip(all) {
            *place = rail;
        }
        for (place, (enable, duty_pct, tach_rpm)) in sample.fans.iter_mut().zip(fans) {
            *place = FanReading { enable, duty_pct, tach_rpm };
        }
        (sample.chip, sample.ambient_dc, sample.humidity_permille) = climate;
        sample.probes_dc[..4].copy_from_slice(&probes);
        sample
    }
}

fn assert_repaired(mut telemetry: Telemetry, sample: &Sample) -> Result<(), TestCaseError> {
    let repair = telemetry.repair(Some(6));
    prop_assert_eq!(repair, Ok(Repair { power: true, climate: true }));
    for (i, (got, want)) in telemetry.power.iter().zip(sample.rails()).enumerate() {
        let want = [i64::from(want.voltage_mv), want.current_ma.into(), want.power_mw.into()];
        if i < 9 || want[1] < 65_536 {
            prop_assert_eq!(got.map(milli), want.map(Some), "rail {}", i);
        } else {
            // A byte that cannot be found again was needed.
            prop_assert_eq!(*got, [None; 3], "rail {}", i);
        }
    }
    for (i, (got, want)) in telemetry.fans.iter().zip(&sample.fans).enumerate() {
        let here = i < 4;
        prop_assert_eq!(got.enabled, here.then_some(want.enable == 1));
        prop_assert_eq!(got.duty_pct, here.then_some(f64::from(want.duty_pct)));
        prop_assert_eq!(got.rpm, None);
    }
    let tenths = |value: Option<f64>| value.map(|v| (v * 10.0).round() as i32);
    prop_assert_eq!(tenths(telemetry.chip), Some(sample.chip.into()));
    prop_assert_eq!(tenths(telemetry.ambient), Some(sample.ambient_dc.into()));
    prop_assert_eq!(tenths(telemetry.humidity), Some(sample.humidity_permille.into()));
    for (got, want) in telemetry.inputs.iter().zip(sample.vin_mv) {
        prop_assert_eq!(milli(*got), Some(want.into()));
    }
    Ok(())
}

proptest! {
    /// Whatever the board says, what the daemon makes of it is turned back into it.
    #[test]
    fn what_the_daemon_misreads_is_put_right(sample in sample()) {
        let misread = Misread::new(&sample);
        assert_repaired(parse(&misread.stream()), &sample)?;
        let telemetry = parse(&misread.sensors());
        let probes = telemetry.probes.map(|c| c.map(|c| (c * 100.0).round() as i16));
        prop_assert_eq!(&probes.map(Option::unwrap), &sample.probes_dc[..4]);
        assert_repaired(telemetry, &sample)?;
    }

    /// A service without the fault is believed.
    #[test]
    fn what_is_right_is_left_alone(sample in sample()) {
        // Very dry and cold at once would be taken for the fault.
        prop_assume!(sample.humidity_permille >= 100 || sample.ambient_dc.abs() >= 60);
        let mut telemetry = parse(&well_read(&sample));
        let given = telemetry.clone();
        prop_assert_eq!(telemetry.repair(Some(6)), Ok(Repair::default()));
        prop_assert_eq!(telemetry, given);
    }
}

fn recorded(document: &Value, firmware: Option<i64>) -> std::sync::Arc<Kept> {
    let (kept, context) = kept();
    let options = KitOptions {
        endpoint: String::new(),
        api_key: None,
        device_timeout: Duration::ZERO,
        hz: 1.0,
    };
    let mut source = KitSource::new(options, None);
    let device = KitDevice::known("/dev/ttyACM0", firmware);
    let taken = Taken::Within(1_000, 1_005);
    for _ in 0..2 {
        source.document(&context, &device, document.as_object().unwrap(), taken);
    }
    kept
}

#[test]
fn repaired_readings_are_recorded_to_the_last_digit_and_told_once() {
    let sample = Signal::desktop(1).sample_at(contract(), 0);
    let kept = recorded(&Misread::new(&sample).sensors(), Some(6));
    let first = |column: &str| kept.decimals("benchlab", column)[0];
    for (name, rail) in crate::serial::protocol::RAILS.iter().zip(sample.rails()) {
        assert_eq!(first(&format!("{name}_v")), Some(rail.voltage_mv.into()), "{name}");
        assert_eq!(first(&format!("{name}_a")), Some(rail.current_ma), "{name}");
        assert_eq!(first(&format!("{name}_w")), Some(rail.power_mw), "{name}");
    }
    assert_eq!(first("sys_w").map(i64::from), sample.system_mw());
    assert_eq!(first("gpu_w").map(i64::from), sample.gpu_mw());
    assert_eq!(first("vin0_v"), Some(sample.vin_mv[0].into()));
    assert_eq!((first("vin12_v"), first("ts4_c"), first("ts_hpwr1_in_c")), (None, None, None));
    assert_eq!((first("ambient_c"), first("humidity_pct")), (Some(235), Some(412)));
    assert_eq!(first("chip_c"), Some(sample.chip.into()));
    assert_eq!(first("ts2_c"), Some(sample.probes_dc[1].into()));
    assert_eq!(kept.texts("benchlab", "device_uid")[0], "/dev/ttyACM0");
    assert_eq!(kept.numbers("benchlab", "ts_err_ns")[0], Some(3));
    assert_eq!(kept.stamps("benchlab")[0], 1_000 + 1_002);
    let told: Vec<_> = kept.health().into_iter().filter(|(r, _, _)| r == "repaired").collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn the_chips_temperature_is_null_where_its_unit_is_not_known() {
    let mut sample = Signal::desktop(1).sample_at(contract(), 0);
    sample.chip = 41;
    let document = Misread::new(&sample).stream();
    assert_eq!(recorded(&document, None).decimals("benchlab", "chip_c")[0], None);
    assert_eq!(recorded(&document, Some(2)).decimals("benchlab", "chip_c")[0], Some(410));
}

#[test]
fn a_duty_taken_for_a_byte_is_a_percentage_again() {
    let sample = Signal::desktop(1).sample_at(contract(), 0);
    let mut document = well_read(&sample);
    for fan in document["fans"].as_array_mut().unwrap() {
        fan["duty"] = json!(fan["duty"].as_f64().unwrap() / 255.0 * 100.0);
    }
    let mut telemetry = parse(&document);
    telemetry.repair(None).unwrap();
    for (got, want) in telemetry.fans.iter().zip(&sample.fans) {
        assert_eq!(got.duty_pct, Some(want.duty_pct.into()));
    }
}

#[test]
fn what_fits_no_board_is_not_recorded() {
    let sample = Signal::desktop(1).sample_at(contract(), 0);
    let mut document = Misread::new(&sample).stream();
    document["power"][3]["w"] = json!(123.456);
    let kept = recorded(&document, Some(6));
    assert!(kept.of("benchlab").is_empty());
    let (reason, count, detail) = kept.health().remove(0);
    assert_eq!((reason.as_str(), count), ("malformed", 1));
    assert!(detail.contains("do not belong together"), "{detail}");
    // A BENCHLAB 2: the daemon reads the beginning of a longer structure.
    let long = encode(&Signal::desktop(1).sample_at(Model::Benchlab2.newest(), 0));
    let document = Misread(long[..216].to_vec()).stream();
    assert!(recorded(&document, Some(7)).of("benchlab").is_empty());
}

#[test]
fn what_a_document_lacks_is_null() {
    let kept = recorded(&json!({"voltages": [null, 1_000], "humidity": null, "power": null}), None);
    assert_eq!(kept.decimals("benchlab", "vin1_v")[0], Some(1_000));
    for column in ["vin0_v", "humidity_pct", "eps1_w", "sys_w", "chip_c"] {
        assert_eq!(kept.decimals("benchlab", column)[0], None, "{column}");
    }
    for bad in
        [json!({"voltages": 5}), json!({"power": vec![json!({}); 12]}), json!({"chipTemp": "warm"})]
    {
        assert!(Telemetry::parse(bad.as_object().unwrap()).is_err(), "{bad}");
    }
    assert!(recorded(&json!({"device": "/dev/ttyACM0"}), None).of("benchlab").is_empty());
}
