//! Table `power_supply`, from `/sys/class/power_supply` (Linux Documentation/ABI/testing/sysfs-class-power).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bl_store::clock::{Anchor, monotonic_ns};
use bl_store::{ColumnIndex, Rows};

use super::Reader;
use crate::source::{Faults, Reason, rows_of};
use crate::sysfs::{Attribute, Gone, KernelFileError};

pub(super) const NAME: &str = "host.power_supply";

const CLASS: &str = "sys/class/power_supply";

/// How often supplies that came are looked for.
const SEARCH_NS: i64 = 10_000_000_000;

/// Numbers of a supply: the attribute, and how many of its units make one of ours.
const NUMBERS: [(&str, f64); 8] = [
    ("capacity", 1.0),
    // Microwatt hours; a joule is a watt second.
    ("energy_now", 1e6 / 3600.0),
    ("charge_now", 1e6 / 3600.0),
    ("power_now", 1e6),
    ("voltage_now", 1e6),
    ("current_now", 1e6),
    ("cycle_count", 1.0),
    ("online", 1.0),
];

pub(super) struct Supplies {
    root: PathBuf,
    list: Vec<Supply>,
    search_ns: i64,
    rows: Rows,
    supply: ColumnIndex,
    kind: ColumnIndex,
    status: ColumnIndex,
    online: ColumnIndex,
    charge: ColumnIndex,
    floats: [ColumnIndex; 4],
    cycles: ColumnIndex,
}

struct Supply {
    name: String,
    kind: Option<String>,
    status: Attribute,
    numbers: [Attribute; NUMBERS.len()],
}

impl Supplies {
    pub(super) fn open(root: &Path) -> Result<Box<dyn Reader>, KernelFileError> {
        let list = supplies(root)?;
        if list.is_empty() {
            // As a machine whose kernel has no such class at all.
            let cause = ErrorKind::NotFound.into();
            return Err(KernelFileError { path: root.join(CLASS), cause });
        }
        let rows = rows_of("power_supply");
        Ok(Box::new(Self {
            root: root.to_owned(),
            list: list.into_iter().map(|name| Supply::open(root, name)).collect(),
            search_ns: monotonic_ns() + SEARCH_NS,
            supply: rows.column("supply"),
            kind: rows.column("kind"),
            status: rows.column("status"),
            online: rows.column("online"),
            charge: rows.column("charge_pct"),
            floats: ["energy_j", "power_w", "voltage_v", "current_a"].map(|name| rows.column(name)),
            cycles: rows.column("cycles"),
            rows,
        }))
    }

    fn search(&mut self) {
        // What cannot be listed now may be the next time; what is open is read all the same.
        for name in supplies(&self.root).unwrap_or_default() {
            if !self.list.iter().any(|supply| supply.name == name) {
                self.list.push(Supply::open(&self.root, name));
            }
        }
    }

    fn add(&mut self, i: usize, anchor: Anchor, faults: &mut Faults) -> Result<(), Gone> {
        let supply = &mut self.list[i];
        let from_ns = monotonic_ns();
        let status = supply.status.read(faults, |text| {
            std::str::from_utf8(text).ok().map(|text| text.trim().to_owned())
        })?;
        let mut numbers = [None; NUMBERS.len()];
        for ((number, attribute), (_, divisor)) in
            numbers.iter_mut().zip(&mut supply.numbers).zip(NUMBERS)
        {
            *number = attribute.scaled(divisor, faults)?;
        }
        let [capacity, energy, charge, power, volts, amperes, cycles, online] = numbers;
        let times = |a: Option<f64>, b: Option<f64>| Some(a? * b?);
        let floats =
            [energy.or(times(charge, volts)), power.or(times(volts, amperes)), volts, amperes];
        let at_ns = from_ns + (monotonic_ns() - from_ns) / 2;
        self.rows.begin(anchor.ts(at_ns), NAME);
        self.rows.str(self.supply, supply.name.as_str());
        self.rows.str(self.kind, supply.kind.as_deref());
        self.rows.str(self.status, status.as_deref());
        if let Some(online) = online {
            self.rows.bool(self.online, online > 0.0);
        }
        self.rows.f32(self.charge, capacity.map(|pct| pct as f32));
        for (column, value) in self.floats.iter().zip(floats) {
            self.rows.f64(*column, value);
        }
        self.rows.i32(self.cycles, cycles.map(|count| count as i32));
        Ok(())
    }
}

impl Reader for Supplies {
    fn sample(&mut self, anchor: Anchor, faults: &mut Faults) -> Result<(), KernelFileError> {
        if monotonic_ns() >= self.search_ns {
            self.search_ns = monotonic_ns() + SEARCH_NS;
            self.search();
        }
        let mut gone = Vec::new();
        for i in 0..self.list.len() {
            if self.add(i, anchor, faults).is_err() {
                faults.note(Reason::Unplugged, 1, format!("power supply {}", self.list[i].name));
                gone.push(i);
            }
        }
        for i in gone.into_iter().rev() {
            self.list.remove(i);
        }
        Ok(())
    }

    fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

impl Supply {
    fn open(root: &Path, name: String) -> Self {
        let attribute = |file: &str| Attribute::open(root, &format!("{CLASS}/{name}/{file}"));
        let kind = std::fs::read_to_string(root.join(CLASS).join(&name).join("type"));
        Self {
            kind: kind.ok().map(|kind| kind.trim().to_owned()),
            status: attribute("status"),
            numbers: NUMBERS.map(|(file, _)| attribute(file)),
            name,
        }
    }
}

/// The supplies that the kernel shows, but for those of mice and the like (`scope` is `Device`): a question wakes their
/// radio, and they supply nothing here.
pub(crate) fn supplies(root: &Path) -> Result<Vec<String>, KernelFileError> {
    let path = root.join(CLASS);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(cause) => return Err(KernelFileError { path, cause }),
    };
    let is_own = |name: &String| {
        let scope = std::fs::read_to_string(path.join(name).join("scope"));
        !scope.is_ok_and(|scope| scope.trim() == "Device")
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(is_own).collect();
    names.sort();
    Ok(names)
}
