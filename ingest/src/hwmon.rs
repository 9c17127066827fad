//! Sensors of the kernel's hwmon class.

mod chip;
mod rates;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use bl_store::{ColumnIndex, Rows};

use crate::source::{Context, Faults, LOOK_AGAIN, Reason, Source, SourceError, rows_of, sample_at};
use chip::Chip;
pub use rates::Rates;

const NAME: &str = "host.hwmon";
const CLASS: &str = "sys/class/hwmon";

/// Chips that are left out: those of graphics cards are in table `gpu`, and reading them here would wake a card
/// that sleeps; `drivetemp` may keep a disk from spinning down (Linux Documentation/hwmon/drivetemp.rst).
const LEFT_OUT: [&str; 4] = ["amdgpu", "i915", "xe", "drivetemp"];

/// A chip that answers slowly is read less often, so that it takes at most a tenth of the time.
const REST_FOR_EACH_NS: i64 = 9;

/// How often chips that came or went are looked for.
const SEARCH_NS: i64 = 10_000_000_000;

/// Samples table `hwmon`: every sensor of every chip of the kernel's hwmon class, but for graphics cards and disks.
///
/// A sensor whose driver reports a fault (an unplugged diode), or does not answer, is null in that sample.
#[derive(Debug)]
pub struct HwmonSource {
    root: PathBuf,
    hz: f64,
    rates: Rates,
}

impl HwmonSource {
    /// Samples `hz` times a second what lies under `root` (`/`, but for tests), and what is not to be disturbed so often
    /// as rarely as [`Rates`] says.
    pub fn new(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { root: root.into(), hz, rates: Rates::default() }
    }

    /// Samples some chips at rates of their own.
    pub fn with_rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }
}

impl Source for HwmonSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    /// What is not there may come later: by its driver, or at an external port.
    fn back_off(&self) -> (Duration, Duration) {
        (LOOK_AGAIN, LOOK_AGAIN)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut chips = Chips::new(self.hz, self.rates.clone());
        let mut table = Table::new();
        let mut denied = Vec::new();
        context.watched(Duration::ZERO, || {
            chips.search(&self.root, |reason, text| {
                denied.extend((reason == Reason::Denied).then(|| text.to_owned()));
            });
        });
        if let Some(text) = denied.first().filter(|_| chips.list.is_empty()) {
            return Err(SourceError::Denied(text.clone()));
        }
        if chips.list.is_empty() {
            return Err(SourceError::Retry(
                "this machine shows no hwmon sensors (virtual machines have none; else load their \
                 drivers, which sensors-detect of lm-sensors finds)"
                    .to_owned(),
            ));
        }
        let sensors: usize = chips.list.iter().map(|c| c.chip.sensors.len()).sum();
        for text in &denied {
            context.health(Reason::Denied, 1, text);
        }
        context.up(format!("{sensors} sensors of {} chips at {} Hz", chips.list.len(), self.hz));
        let mut search_ns = monotonic_ns() + SEARCH_NS;
        sample_at(context, self.hz, |tick| {
            if monotonic_ns() >= search_ns {
                search_ns = monotonic_ns() + SEARCH_NS;
                chips.search(&self.root, |reason, name| tick.faults.note(reason, 1, name));
            }
            for watched in &mut chips.list {
                watched.sample(&mut table, context, &mut tick.faults);
            }
            tick.flush(context, &mut table.rows);
            if chips.list.is_empty() {
                context.flush(&mut table.rows);
                return Err(SourceError::Retry("every hwmon chip has gone".to_owned()));
            }
            Ok(())
        })
    }
}

/// The chips that are sampled, by the folder of each (`hwmon3`).
struct Chips {
    hz: f64,
    rates: Rates,
    list: Vec<Watched>,
    /// What was refused, which is told once.
    refused: BTreeSet<PathBuf>,
}

struct Watched {
    folder: String,
    chip: Chip,
    /// How often it is read at most; 0 is at each sample.
    period_ns: i64,
    /// Not to be read before, by its own rate.
    due_ns: i64,
    /// Not to be read before, as it answers slowly.
    rests_until_ns: i64,
    /// Whether its device has gone, so that its files are of no use even if it returns.
    gone: bool,
}

impl Chips {
    fn new(hz: f64, rates: Rates) -> Self {
        Self { hz, rates, list: Vec::new(), refused: BTreeSet::new() }
    }

    /// Opens chips that came, drops those that went, and tells which may not be read.
    fn search(&mut self, root: &Path, mut tell: impl FnMut(Reason, &str)) {
        let entries = std::fs::read_dir(root.join(CLASS)).into_iter().flatten().flatten();
        let mut folders: Vec<_> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        folders.sort();
        self.list.retain(|watched| {
            let name = chip::name(root, &watched.folder);
            let stays = !watched.gone && name.as_deref() == Some(watched.chip.name.as_str());
            if !stays {
                tell(Reason::Unplugged, &format!("chip {}", watched.chip.name));
            }
            stays
        });
        for folder in folders {
            if self.list.iter().any(|watched| watched.folder == folder) {
                continue;
            }
            // A chip that is never read is not opened either.
            let name = chip::name(root, &folder);
            let Some(period_ns) = self.rates.period_ns(name.as_deref(), self.hz) else { continue };
            let mut refused = Vec::new();
            if let Some(chip) = Chip::open(root, &folder, &mut refused) {
                tell(Reason::Up, &format!("chip {}", chip.name));
                self.list.push(Watched {
                    folder,
                    chip,
                    period_ns,
                    due_ns: 0,
                    rests_until_ns: 0,
                    gone: false,
                });
            }
            refused.retain(|error| self.refused.insert(error.path.clone()));
            for error in refused {
                tell(
                    Reason::Denied,
                    &format!("{error}: let the user of bl read it, or run bl as root"),
                );
            }
        }
    }
}

impl Watched {
    fn sample(&mut self, table: &mut Table, context: &Context, faults: &mut Faults) {
        let from_ns = monotonic_ns();
        if from_ns < self.due_ns {
            return;
        }
        if from_ns < self.rests_until_ns {
            let text = format!("chip {} answers slowly and is read less often", self.chip.name);
            return faults.note(Reason::Late, 1, text);
        }
        for sensor in &mut self.chip.sensors {
            let reading = sensor.read();
            if let Some(e) = reading.error {
                self.gone |= e.is_absent();
                faults.note(e.reason(), 1, e.to_string());
            }
            table.add(context.anchor().ts(reading.at_ns), &self.chip.name, sensor, reading.value);
        }
        let to_ns = monotonic_ns();
        self.due_ns = from_ns + self.period_ns;
        self.rests_until_ns = to_ns + REST_FOR_EACH_NS * (to_ns - from_ns);
    }
}

struct Table {
    rows: Rows,
    chip: ColumnIndex,
    sensor: ColumnIndex,
    label: ColumnIndex,
    unit: ColumnIndex,
    value: ColumnIndex,
}

impl Table {
    fn new() -> Self {
        let rows = rows_of("hwmon");
        let [chip, sensor, label, unit, value] =
            ["chip", "sensor", "label", "unit", "value"].map(|name| rows.column(name));
        Self { rows, chip, sensor, label, unit, value }
    }

    fn add(&mut self, ts: i64, chip: &str, sensor: &chip::Sensor, value: Option<f64>) {
        self.rows.begin(ts, NAME);
        self.rows.str(self.chip, chip);
        self.rows.str(self.sensor, sensor.name.as_str());
        self.rows.str(self.label, sensor.label.as_deref());
        self.rows.str(self.unit, sensor.unit);
        self.rows.f64(self.value, value);
    }
}

#[cfg(test)]
mod tests;
