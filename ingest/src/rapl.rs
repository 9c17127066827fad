//! Energy counters of the processor (RAPL).

mod perf;
mod powercap;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use bl_store::{ColumnIndex, Rows};

use crate::meter::Meter;
use crate::source::{Context, Faults, LOOK_AGAIN, Reason, Source, SourceError, rows_of, sample_at};
use crate::sysfs::KernelFileError;

const NAME: &str = "host.rapl";

/// How often domains that came or went are looked for.
const SEARCH_NS: i64 = 10_000_000_000;

/// The rule that lets a group read the counters, which the kernel shows to root alone since 5.10.
pub(crate) const UDEV_RULE: &str = "SUBSYSTEM==\"powercap\", ACTION==\"add|change\", \
    RUN+=\"/bin/sh -c 'chgrp benchlab /sys%p/energy_uj; chmod g+r /sys%p/energy_uj'\"";

/// Samples table `rapl`: the energy of each RAPL domain, from powercap, or where that is not readable from the
/// energy events of perf.
///
/// What AMD's processors show as `core` in powercap is one physical core, and is called `one_core`; all cores of a package are
/// `core` where perf tells each of them (Linux 6.14, with CAP_PERFMON).
#[derive(Debug)]
pub struct RaplSource {
    root: PathBuf,
    hz: f64,
}

impl RaplSource {
    /// Samples `hz` times a second what lies under `root` (`/`, but for tests).
    pub fn new(root: impl Into<PathBuf>, hz: f64) -> Self {
        Self { root: root.into(), hz }
    }
}

/// One energy counter.
struct Domain {
    /// Such as `package-0` or `package-0/core`.
    name: String,
    /// Where the kernel shows it: its zone, or its event.
    place: String,
    /// `powercap` or `perf`.
    method: &'static str,
    counter: Box<dyn Counter>,
    meter: Meter,
}

impl Domain {
    fn gone(&self) -> String {
        format!("energy of {}", self.name)
    }
}

/// Where a domain's counter is read.
trait Counter {
    /// The counter, and the monotonic time it is of.
    fn read(&mut self) -> Result<(u64, i64), KernelFileError>;

    /// The counter in microjoules, if that is what it counts.
    fn as_microjoules(&self, count: u64) -> Option<i64>;
}

/// Names of the domains whose energy can be read; else why those that are there cannot, and none where there are none.
pub(crate) fn domains(root: &Path) -> Result<Vec<String>, Option<String>> {
    let found = [powercap::open(root), perf::open(root)];
    let readable = found.iter().find(|found| !found.domains.is_empty());
    match readable {
        Some(found) => {
            let cores = perf::open_cores(root).domains;
            Ok(found.domains.iter().chain(&cores).map(|domain| domain.name.clone()).collect())
        }
        None => Err(found.iter().flat_map(|f| &f.failed).next().map(ToString::to_string)),
    }
}

/// Finds the domains that can be read: all of powercap, else all of perf. What cannot be read is told in `health`.
///
/// # Errors
/// Permission is refused, there are no counters, or they make no sense: all of that may change.
fn open(root: &Path, context: &Context) -> Result<Vec<Domain>, SourceError> {
    let mut powercap = powercap::open(root);
    if !powercap.domains.is_empty() {
        if let Some((reason, text)) = trouble(&powercap.failed) {
            context.health(reason, powercap.failed.len() as u64, text);
        }
        return Ok(with_cores(root, powercap.domains, context));
    }
    let perf = perf::open(root);
    if !perf.domains.is_empty() {
        return Ok(with_cores(root, perf.domains, context));
    }
    powercap.failed.extend(perf.failed);
    match trouble(&powercap.failed) {
        Some((Reason::Denied, text)) => Err(SourceError::Denied(text)),
        Some((_, text)) => Err(SourceError::Retry(text)),
        None => Err(SourceError::Retry(
            "this machine shows no RAPL energy counters (virtual machines have none; else try: \
             modprobe intel_rapl_msr)"
                .to_owned(),
        )),
    }
}

/// Adds the energy of all cores of a package, where the processor counts each by itself and the kernel lets us ask.
fn with_cores(root: &Path, mut domains: Vec<Domain>, context: &Context) -> Vec<Domain> {
    let cores = perf::open_cores(root);
    if let Some(e) = cores.failed.first() {
        let text = format!("no energy of all cores: {e}; grant CAP_PERFMON");
        context.health(e.reason(), cores.failed.len() as u64, text);
    }
    domains.extend(cores.domains);
    domains
}

/// Drops the domains of powercap that the kernel no longer shows, and opens those that came.
fn search(root: &Path, domains: &mut Vec<Domain>, context: &Context) {
    let of_powercap = |domain: &Domain| domain.method == powercap::METHOD;
    if !domains.iter().any(of_powercap) {
        return;
    }
    let zones = powercap::zones(root);
    domains.retain(|domain| {
        let stays = !of_powercap(domain) || zones.contains(&domain.place);
        if !stays {
            context.health(Reason::Unplugged, 1, domain.gone());
        }
        stays
    });
    for zone in zones {
        if domains.iter().any(|domain| domain.place == zone) {
            continue;
        }
        // One that could not be opened at first was told then.
        if let Ok(domain) = powercap::open_zone(root, zone) {
            context.health(Reason::Up, 1, format!("energy of {}", domain.name));
            domains.push(domain);
        }
    }
}

/// Why counters that are there cannot be read, a refusal before any other reason, and what to do; `None` if
/// nothing failed.
fn trouble(failed: &[KernelFileError]) -> Option<(Reason, String)> {
    let Some(denied) = failed.iter().find(|e| e.is_denied()) else {
        let first = failed.first()?;
        return Some((first.reason(), first.to_string()));
    };
    let text = format!(
        "{denied}. The kernel shows energy to root only: put this line into \
         /etc/udev/rules.d/70-benchlab-rapl.rules and run `udevadm trigger -s powercap`: \
         {UDEV_RULE}; or grant CAP_PERFMON, for the energy events of perf"
    );
    Some((Reason::Denied, text))
}

/// What was found of one way to read RAPL.
#[derive(Default)]
struct Found {
    domains: Vec<Domain>,
    failed: Vec<KernelFileError>,
}

impl Source for RaplSource {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    /// What is refused or missing lasts until a person mends it, or loads its driver.
    fn back_off(&self) -> (Duration, Duration) {
        (LOOK_AGAIN, LOOK_AGAIN)
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut domains = context.watched(Duration::ZERO, || open(&self.root, context))?;
        let mut table = Table::new();
        let methods: BTreeSet<_> = domains.iter().map(|domain| domain.method).collect();
        let methods = methods.into_iter().rev().collect::<Vec<_>>().join(" and ");
        context.up(format!("{} domains of {methods} at {} Hz", domains.len(), self.hz));
        let mut search_ns = monotonic_ns() + SEARCH_NS;
        sample_at(context, self.hz, |tick| {
            if monotonic_ns() >= search_ns {
                search_ns = monotonic_ns() + SEARCH_NS;
                search(&self.root, &mut domains, context);
            }
            domains.retain_mut(|domain| table.sample(domain, context, &mut tick.faults));
            tick.flush(context, &mut table.rows);
            if domains.is_empty() {
                tick.faults.tell(context);
                context.flush(&mut table.rows);
                let text = "every energy counter has gone; its driver may have been unloaded";
                return Err(SourceError::Retry(text.to_owned()));
            }
            Ok(())
        })
    }
}

struct Table {
    rows: Rows,
    domain: ColumnIndex,
    method: ColumnIndex,
    energy_j: ColumnIndex,
    power_w: ColumnIndex,
    energy_uj: ColumnIndex,
}

impl Table {
    fn new() -> Self {
        let rows = rows_of("rapl");
        let [domain, method, energy_j, power_w, energy_uj] =
            ["domain", "method", "energy_j", "power_w", "energy_uj"].map(|name| rows.column(name));
        Self { rows, domain, method, energy_j, power_w, energy_uj }
    }

    /// Adds a row, where the counter can be read; false when the domain has gone.
    fn sample(&mut self, domain: &mut Domain, context: &Context, faults: &mut Faults) -> bool {
        let (count, at_ns) = match domain.counter.read() {
            Ok(read) => read,
            Err(e) if e.is_absent() => {
                faults.note(Reason::Unplugged, 1, domain.gone());
                return false;
            }
            Err(e) => {
                faults.note(e.reason(), 1, e.to_string());
                return true;
            }
        };
        let step = domain.meter.advance(at_ns, count);
        self.rows.begin(context.anchor().ts(at_ns), NAME);
        self.rows.str(self.domain, domain.name.as_str());
        self.rows.str(self.method, domain.method);
        self.rows.f64(self.energy_j, domain.meter.joules());
        self.rows.f64(self.power_w, step.power_w);
        self.rows.i64(self.energy_uj, domain.counter.as_microjoules(count));
        if step.reset {
            faults.note(Reason::CounterReset, 1, format!("energy of {}", domain.name));
        }
        true
    }
}

#[cfg(test)]
mod tests;
