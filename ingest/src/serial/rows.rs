//! Samples as rows of table `benchlab`.

use bl_store::{ColumnIndex, Rows};

use super::protocol::{
    ABSENT, CURRENT_MA, Contract, DUTY_PCT, FLAG, HUMIDITY_PERMILLE, POWER_MW, PROBES, RAILS,
    Sample, TEMPERATURE_DC, VDD_MV, possible,
};

/// When a board had its readings ready: somewhere in `ts` ± `err_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Midpoint of the request's write and the reply's first byte, UTC.
    pub ts: i64,
    /// Half the time between the two, rounded up.
    pub err_ns: i64,
    /// From the request's write to the last byte of the reply.
    pub rtt_ns: i64,
}

impl Stamp {
    /// The stamp of a request written at `sent_ts` whose reply came from `first_ts` to `last_ts`.
    pub fn of_exchange(sent_ts: i64, first_ts: i64, last_ts: i64) -> Self {
        let wait_ns = first_ts - sent_ts;
        Self {
            ts: sent_ts + wait_ns / 2,
            err_ns: wait_ns / 2 + wait_ns % 2,
            rtt_ns: last_ts - sent_ts,
        }
    }
}

/// A snapshot on its way into a row.
#[derive(Debug, Clone, Copy)]
pub struct SampleRow<'a> {
    /// What the row carries in `source`.
    pub source: &'a str,
    /// The board's identity.
    pub uid: &'a str,
    /// When.
    pub stamp: Stamp,
    /// What the board speaks.
    pub contract: &'a Contract,
    /// What it measured.
    pub sample: &'a Sample,
    /// Whether that is the same as the one before; `None` where there is none before.
    pub repeats: Option<bool>,
}

/// Where the parts of a sample go in table `benchlab`.
#[derive(Debug)]
pub struct SampleColumns {
    device_uid: ColumnIndex,
    rtt_ns: ColumnIndex,
    ts_err_ns: ColumnIndex,
    sys_w: ColumnIndex,
    cpu_w: ColumnIndex,
    gpu_w: ColumnIndex,
    mb_w: ColumnIndex,
    repeat: ColumnIndex,
    rails: Vec<[ColumnIndex; 3]>,
    vin: Vec<ColumnIndex>,
    vdd: ColumnIndex,
    vref: ColumnIndex,
    chip: ColumnIndex,
    ambient: ColumnIndex,
    humidity: ColumnIndex,
    probes: Vec<ColumnIndex>,
    fans: Vec<[ColumnIndex; 3]>,
    fan_ext: ColumnIndex,
    fan_switch: ColumnIndex,
    rgb_switch: ColumnIndex,
    rgb_ext: ColumnIndex,
    fault_status: ColumnIndex,
    fault_log: ColumnIndex,
}

impl SampleColumns {
    /// Looks the columns up; `rows` are of table `benchlab`.
    pub fn new(rows: &Rows) -> Self {
        let column = |name: &str| rows.column(name);
        Self {
            device_uid: column("device_uid"),
            rtt_ns: column("rtt_ns"),
            ts_err_ns: column("ts_err_ns"),
            sys_w: column("sys_w"),
            cpu_w: column("cpu_w"),
            gpu_w: column("gpu_w"),
            mb_w: column("mb_w"),
            repeat: column("repeat"),
            rails: RAILS
                .iter()
                .map(|rail| ["v", "a", "w"].map(|unit| column(&format!("{rail}_{unit}"))))
                .collect(),
            vin: (0..13).map(|i| column(&format!("vin{i}_v"))).collect(),
            vdd: column("vdd_v"),
            vref: column("vref_v"),
            chip: column("chip_c"),
            ambient: column("ambient_c"),
            humidity: column("humidity_pct"),
            probes: PROBES.iter().map(|p| column(&format!("{p}_c"))).collect(),
            fans: (1..=9)
                .map(|i| {
                    ["rpm", "duty_pct", "enabled"].map(|what| column(&format!("fan{i}_{what}")))
                })
                .collect(),
            fan_ext: column("fan_ext_duty_pct"),
            fan_switch: column("fan_switch"),
            rgb_switch: column("rgb_switch"),
            rgb_ext: column("rgb_ext"),
            fault_status: column("fault_status"),
            fault_log: column("fault_log"),
        }
    }

    /// Appends a snapshot. What the board does not have, does not measure or cannot have measured
    /// ([`Sample::odd_readings`]) is null.
    pub fn push(&self, rows: &mut Rows, row: &SampleRow<'_>) {
        let SampleRow { stamp, contract, sample, .. } = *row;
        rows.begin(stamp.ts, row.source);
        rows.str(self.device_uid, row.uid);
        rows.i64(self.rtt_ns, stamp.rtt_ns);
        rows.i64(self.ts_err_ns, stamp.err_ns);
        rows.bool(self.repeat, row.repeats);
        self.push_power(rows, sample);
        for (column, mv) in self.vin.iter().zip(sample.vin_mv) {
            rows.decimal(*column, present(mv));
        }
        rows.decimal(self.vdd, possible(sample.vdd_mv, VDD_MV).map(i32::from));
        rows.decimal(self.vref, i32::from(sample.vref_mv));
        self.push_climate(rows, contract, sample);
        for (columns, fan) in self.fans.iter().zip(sample.fans) {
            let [rpm, duty, enabled] = *columns;
            rows.i32(rpm, i32::from(fan.tach_rpm));
            rows.i16(duty, possible(fan.duty_pct, DUTY_PCT).map(i16::from));
            rows.bool(enabled, possible(fan.enable, FLAG).map(|flag| flag == 1));
        }
        // The byte for no signal lies beyond the range, too.
        let fan_ext = possible(sample.fan_ext_duty_pct, DUTY_PCT);
        rows.i16(self.fan_ext, fan_ext.map(i16::from));
        rows.str(self.fan_switch, name(&["auto", "50pct", "100pct"], sample.fan_switch));
        rows.str(self.rgb_switch, name(&["work", "play"], sample.rgb_switch));
        rows.bool(self.rgb_ext, possible(sample.rgb_ext, FLAG).map(|flag| flag == 1));
        if sample.layout.faults {
            rows.u64(self.fault_status, sample.fault_status);
            rows.u64(self.fault_log, sample.fault_log);
        }
    }

    fn push_power(&self, rows: &mut Rows, sample: &Sample) {
        // A sum has as many rails at most as fit, each within its bounds.
        let sum = |mw: Option<i64>| mw.and_then(|mw| i32::try_from(mw).ok());
        rows.decimal(self.sys_w, sum(sample.system_mw()));
        rows.decimal(self.cpu_w, sum(sample.cpu_mw()));
        rows.decimal(self.gpu_w, sum(sample.gpu_mw()));
        rows.decimal(self.mb_w, sum(sample.mainboard_mw()));
        for (columns, rail) in self.rails.iter().zip(sample.rails()) {
            if rail.is_usable() {
                let [v, a, w] = *columns;
                rows.decimal(v, i32::from(rail.voltage_mv));
                rows.decimal(a, possible(rail.current_ma, CURRENT_MA));
                rows.decimal(w, possible(rail.power_mw, POWER_MW));
            }
        }
    }

    fn push_climate(&self, rows: &mut Rows, contract: &Contract, sample: &Sample) {
        let temperature = |raw: i16, unit_dc: i16| {
            present(raw).and_then(|raw| possible(raw * i32::from(unit_dc), TEMPERATURE_DC))
        };
        rows.decimal(self.chip, temperature(sample.chip, contract.chip_unit_dc));
        for (column, raw) in self.probes.iter().zip(sample.probes()) {
            rows.decimal(*column, temperature(*raw, 1));
        }
        if let Some((ambient_dc, humidity_permille)) = sample.climate() {
            rows.decimal(self.ambient, present(ambient_dc));
            let humidity = possible(humidity_permille, HUMIDITY_PERMILLE);
            rows.decimal(self.humidity, humidity.map(i32::from));
        }
    }
}

/// A reading, or null where the board says that there is none.
fn present(value: i16) -> Option<i32> {
    (value != ABSENT).then_some(i32::from(value))
}

/// The name of an enumeration's value.
fn name(names: &'static [&'static str], value: u8) -> Option<&'static str> {
    names.get(usize::from(value)).copied()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Decimal32Type, Int16Type, Int32Type, UInt64Type};
    use arrow_array::{Array, RecordBatch};

    use super::*;
    use crate::serial::emulator::{Quirk, Signal};
    use crate::serial::protocol::Model;

    fn row_of(contract: &Contract, sample: &Sample) -> RecordBatch {
        let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
        let columns = SampleColumns::new(&rows);
        let stamp = Stamp::of_exchange(1_000, 1_005, 1_009);
        let (source, uid, repeats) = ("benchlab.usb", "00FF", Some(false));
        columns.push(&mut rows, &SampleRow { source, uid, stamp, contract, sample, repeats });
        rows.finish()
    }

    fn decimal(row: &RecordBatch, name: &str) -> Option<i32> {
        let values = row.column_by_name(name).unwrap().as_primitive::<Decimal32Type>();
        values.is_valid(0).then(|| values.value(0))
    }

    fn text(row: &RecordBatch, name: &str) -> String {
        row.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned()
    }

    fn null_columns(row: &RecordBatch) -> Vec<String> {
        let schema = row.schema();
        let names = schema.fields().iter().map(|f| f.name().clone());
        names.filter(|name| row.column_by_name(name).unwrap().null_count() == 1).collect()
    }

    #[test]
    fn the_boards_integers_are_kept() {
        let contract = Model::Benchlab2.newest();
        let mut sample = Signal::desktop(1).sample_at(contract, 0);
        sample.fan_switch = 1;
        sample.rgb_switch = 1;
        sample.fan_ext_duty_pct = 42;
        sample.fault_status = u64::MAX;
        sample.fans[8].tach_rpm = u16::MAX;
        let row = row_of(contract, &sample);
        for (i, rail) in RAILS.iter().enumerate() {
            let want = sample.rails[i];
            let got = ["v", "a", "w"].map(|unit| decimal(&row, &format!("{rail}_{unit}")).unwrap());
            assert_eq!(got, [i32::from(want.voltage_mv), want.current_ma, want.power_mw]);
        }
        for (i, probe) in PROBES.iter().enumerate() {
            let want = present(sample.probes_dc[i]);
            assert_eq!(decimal(&row, &format!("{probe}_c")), want);
        }
        let sum = |name| decimal(&row, name).map(i64::from);
        assert_eq!(sum("cpu_w"), sample.cpu_mw());
        assert_eq!(sum("gpu_w"), sample.gpu_mw());
        assert_eq!(sum("mb_w"), sample.mainboard_mw());
        assert_eq!(sum("sys_w"), sample.system_mw());
        assert_eq!(decimal(&row, "vin0_v"), Some(i32::from(sample.vin_mv[0])));
        assert_eq!(decimal(&row, "vdd_v"), Some(3300));
        assert_eq!(decimal(&row, "vref_v"), Some(1210));
        assert_eq!(decimal(&row, "ambient_c"), Some(235));
        assert_eq!(decimal(&row, "humidity_pct"), Some(412));
        assert_eq!(text(&row, "fan_switch"), "50pct");
        assert_eq!(text(&row, "rgb_switch"), "play");
        let rpm = row.column_by_name("fan9_rpm").unwrap().as_primitive::<Int32Type>();
        assert_eq!(rpm.value(0), 65_535);
        let duty = row.column_by_name("fan_ext_duty_pct").unwrap().as_primitive::<Int16Type>();
        assert_eq!(duty.value(0), 42);
        let status = row.column_by_name("fault_status").unwrap().as_primitive::<UInt64Type>();
        assert_eq!(status.value(0), u64::MAX);
        // What the signal leaves out: an unused input and a probe that is not plugged in.
        assert_eq!(null_columns(&row), ["vin12_v", "ts4_c"]);
    }

    #[test]
    fn what_a_board_does_not_have_is_null() {
        let contract = Model::Original.newest();
        let row = row_of(contract, &Signal::desktop(1).sample_at(contract, 0));
        let nulls = null_columns(&row);
        assert!(nulls.contains(&"hpwr1_wire1_v".into()) && nulls.contains(&"hpwr2_wire6_w".into()));
        assert!(nulls.contains(&"ts_hpwr2_out_c".into()) && nulls.contains(&"fault_log".into()));
        assert_eq!(nulls.len(), 2 + 36 + 4 + 1 + 2);
    }

    #[test]
    fn what_is_not_measured_is_null() {
        let contract = Model::Original.newest();
        let mut sample = Signal::desktop(1).sample_at(contract, 0);
        sample.chip = ABSENT;
        sample.probes_dc = [ABSENT; 8];
        sample.vin_mv = [ABSENT; 13];
        (sample.ambient_dc, sample.humidity_permille) = (0, 0);
        sample.rails[2].voltage_mv = ABSENT;
        let row = row_of(contract, &sample);
        for name in ["chip_c", "ts1_c", "vin0_v", "ambient_c", "humidity_pct", "fan_ext_duty_pct"] {
            assert!(row.column_by_name(name).unwrap().is_null(0), "{name}");
        }
        for name in ["atx3v_v", "atx3v_a", "atx3v_w", "mb_w", "sys_w"] {
            assert_eq!(decimal(&row, name), None, "{name}");
        }
        assert_eq!(decimal(&row, "cpu_w").map(i64::from), sample.cpu_mw());
        // Freezing in humid air is a reading.
        (sample.ambient_dc, sample.humidity_permille) = (0, 990);
        let row = row_of(contract, &sample);
        assert_eq!(
            (decimal(&row, "ambient_c"), decimal(&row, "humidity_pct")),
            (Some(0), Some(990))
        );
    }

    /// Each odd reading is null in the column that it is told by, and alone.
    #[test]
    fn an_odd_reading_is_null_and_alone() {
        let contract = Model::Benchlab2.newest();
        let good = Signal::desktop(1).sample_at(contract, 0);
        let spoil: [(&str, Quirk); 14] = [
            ("vdd_v", |s| s.vdd_mv = 1_999),
            ("vdd_v", |s| s.vdd_mv = 4_001),
            ("chip_c", |s| s.chip = 1_001),
            ("ts1_c", |s| s.probes_dc[0] = -1_001),
            ("ts_hpwr2_out_c", |s| s.probes_dc[7] = i16::MIN),
            ("humidity_pct", |s| s.humidity_permille = 1_001),
            ("fan_switch", |s| s.fan_switch = 3),
            ("rgb_switch", |s| s.rgb_switch = 2),
            ("rgb_ext", |s| s.rgb_ext = 2),
            ("fan_ext_duty_pct", |s| s.fan_ext_duty_pct = 101),
            ("fan9_enabled", |s| s.fans[8].enable = 2),
            ("fan1_duty_pct", |s| s.fans[0].duty_pct = 101),
            ("hpwr2_wire6_a", |s| s.rails[22].current_ma = -1_000_001),
            ("hpwr1_wire1_w", |s| s.rails[11].power_mw = i32::MIN),
        ];
        for (column, spoil) in spoil {
            let mut sample = good;
            sample.fan_ext_duty_pct = 40;
            let usual = row_of(contract, &sample);
            assert!(sample.odd_readings(contract.chip_unit_dc).is_empty());
            spoil(&mut sample);
            let odd = sample.odd_readings(contract.chip_unit_dc);
            assert_eq!(odd.len(), 1, "{column}");
            assert_eq!(odd[0].field.to_string(), column);
            let mut nulls = null_columns(&row_of(contract, &sample));
            assert!(nulls.contains(&column.to_owned()), "{column}");
            nulls.retain(|null| null != column);
            assert_eq!(nulls, null_columns(&usual), "{column}");
        }
    }

    #[test]
    fn the_chips_unit_follows_the_firmware() {
        for contract in Contract::all() {
            let mut sample = Signal::desktop(1).sample_at(contract, 0);
            sample.chip = if contract.chip_unit_dc == 10 { 41 } else { 415 };
            let want = if contract.chip_unit_dc == 10 { 410 } else { 415 };
            assert_eq!(decimal(&row_of(contract, &sample), "chip_c"), Some(want), "{contract}");
        }
    }

    #[test]
    fn a_stamp_is_the_midpoint_and_its_error_reaches_both_ends() {
        let stamp = Stamp::of_exchange(1_000, 1_005, 1_050);
        assert_eq!((stamp.ts, stamp.rtt_ns, stamp.err_ns), (1_002, 50, 3));
        assert!(stamp.ts - stamp.err_ns <= 1_000 && stamp.ts + stamp.err_ns >= 1_005);
    }
}
