//! Samples as rows of table `benchlab`.

use bl_store::{ColumnIndex, Rows};

use super::protocol::{ABSENT, Contract, NO_FAN_SIGNAL, PROBES, RAILS, Sample};

/// When a sample was taken: somewhere in `ts` ± `ts_err_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Midpoint of the round trip, UTC.
    pub ts: i64,
    /// From the request's write to the last byte of the reply.
    pub rtt_ns: i64,
}

impl Stamp {
    /// The stamp of a round trip between two instants.
    pub fn of_round_trip(sent_ts: i64, received_ts: i64) -> Self {
        let rtt_ns = received_ts - sent_ts;
        Self { ts: sent_ts + rtt_ns / 2, rtt_ns }
    }

    /// Half the round trip, rounded up.
    pub fn err_ns(&self) -> i64 {
        self.rtt_ns / 2 + self.rtt_ns % 2
    }
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

    /// Appends a sample that has passed [`Sample::check`]. What the board does not have or does not measure is null.
    pub fn push(
        &self,
        rows: &mut Rows,
        source: &str,
        uid: &str,
        stamp: Stamp,
        contract: &Contract,
        sample: &Sample,
    ) {
        rows.begin(stamp.ts, source);
        rows.str(self.device_uid, uid);
        rows.i64(self.rtt_ns, stamp.rtt_ns);
        rows.i64(self.ts_err_ns, stamp.err_ns());
        self.push_power(rows, sample);
        for (column, mv) in self.vin.iter().zip(sample.vin_mv) {
            rows.decimal(*column, present(mv));
        }
        rows.decimal(self.vdd, i32::from(sample.vdd_mv));
        rows.decimal(self.vref, i32::from(sample.vref_mv));
        self.push_climate(rows, contract, sample);
        for (columns, fan) in self.fans.iter().zip(sample.fans) {
            let [rpm, duty, enabled] = *columns;
            rows.i32(rpm, i32::from(fan.tach_rpm));
            rows.i16(duty, i16::from(fan.duty_pct));
            rows.bool(enabled, fan.enable == 1);
        }
        let fan_ext = sample.fan_ext_duty_pct;
        rows.i16(self.fan_ext, (fan_ext != NO_FAN_SIGNAL).then_some(i16::from(fan_ext)));
        rows.str(self.fan_switch, name(&["auto", "50pct", "100pct"], sample.fan_switch));
        rows.str(self.rgb_switch, name(&["work", "play"], sample.rgb_switch));
        rows.bool(self.rgb_ext, sample.rgb_ext == 1);
        if sample.layout.faults {
            rows.u64(self.fault_status, sample.fault_status);
            rows.u64(self.fault_log, sample.fault_log);
        }
    }

    fn push_power(&self, rows: &mut Rows, sample: &Sample) {
        // `check` has bounded the sums.
        let sum = |mw: Option<i64>| mw.and_then(|mw| i32::try_from(mw).ok());
        rows.decimal(self.sys_w, sum(sample.system_mw()));
        rows.decimal(self.cpu_w, sum(sample.cpu_mw()));
        rows.decimal(self.gpu_w, sum(sample.gpu_mw()));
        rows.decimal(self.mb_w, sum(sample.mainboard_mw()));
        for (columns, rail) in self.rails.iter().zip(sample.rails()) {
            if rail.is_usable() {
                let [v, a, w] = *columns;
                rows.decimal(v, i32::from(rail.voltage_mv));
                rows.decimal(a, rail.current_ma);
                rows.decimal(w, rail.power_mw);
            }
        }
    }

    fn push_climate(&self, rows: &mut Rows, contract: &Contract, sample: &Sample) {
        let chip_dc = present(sample.chip).map(|t| t * i32::from(contract.chip_unit_dc));
        rows.decimal(self.chip, chip_dc);
        for (column, dc) in self.probes.iter().zip(sample.probes()) {
            rows.decimal(*column, present(*dc));
        }
        if let Some((ambient_dc, humidity_permille)) = sample.climate() {
            rows.decimal(self.ambient, present(ambient_dc));
            rows.decimal(self.humidity, i32::from(humidity_permille));
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
