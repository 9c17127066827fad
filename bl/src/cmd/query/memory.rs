//! How much memory a query may take.

use std::fs::read_to_string;
use std::path::Path;

use crate::config::bytes;

/// The least that DataFusion sorts with.
const LEAST_BYTES: usize = 16 << 20;

/// Reads a size such as "2 GiB".
pub fn size(text: &str) -> Result<usize, String> {
    let size = bytes(text).and_then(|size| usize::try_from(size).ok());
    match size {
        Some(size) if size >= LEAST_BYTES => Ok(size),
        Some(_) => Err(format!("a query needs at least {} MiB", LEAST_BYTES >> 20)),
        None => Err("give a size such as \"512 MiB\" or \"2 GiB\"".into()),
    }
}

/// Half of the memory that this process can have; none where the system does not tell.
pub fn half_of_machine() -> Option<usize> {
    let machine = of_meminfo(&read_to_string("/proc/meminfo").ok()?)?;
    let group = read_to_string("/proc/self/cgroup").ok().and_then(|text| of_group(&text));
    Some(machine.min(group.unwrap_or(usize::MAX)) / 2)
}

/// `MemTotal`, whose "kB" is 1,024 bytes (proc_meminfo(5)).
fn of_meminfo(text: &str) -> Option<usize> {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// `memory.max` of the control group (version 2) that `/proc/self/cgroup` names; none where it is "max".
fn of_group(text: &str) -> Option<usize> {
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(group).join("memory.max");
    read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_refused_with_a_reason() {
        assert_eq!(size("2 GiB"), Ok(2 << 30));
        assert_eq!(size("512MB"), Ok(512_000_000));
        assert!(size("1 MiB").unwrap_err().contains("at least 16 MiB"));
        assert!(size("much").unwrap_err().contains("such as"));
    }

    #[test]
    fn the_machine_tells_its_memory() {
        let text = "MemTotal:       16384000 kB\nMemFree:         100 kB\n";
        assert_eq!(of_meminfo(text), Some(16_384_000 * 1024));
        assert_eq!(of_meminfo("MemFree: 100 kB\n"), None);
        assert!(half_of_machine().is_some_and(|half| half > LEAST_BYTES));
    }
}
