//! What DRM tells of an open graphics card (Linux Documentation/gpu/drm-usage-stats.rst).

use std::collections::BTreeMap;

use crate::sysfs::{fields, lines, number};

/// What an engine of a card has done for a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Engine {
    /// Nanoseconds of work (`drm-engine-NAME`).
    ns: Option<u64>,
    /// Cycles of work, and in all (`drm-cycles-NAME`, `drm-total-cycles-NAME`), as xe tells.
    cycles: Option<u64>,
    total_cycles: Option<u64>,
}

impl Engine {
    /// For how long it worked since the reading `before`, which was so long ago.
    pub(super) fn worked_ns(&self, before: &Self, elapsed_ns: i64) -> u64 {
        let gained = |now: Option<u64>, before: Option<u64>| now?.checked_sub(before?);
        if let Some(ns) = gained(self.ns, before.ns) {
            return ns;
        }
        let share = || {
            let total =
                gained(self.total_cycles, before.total_cycles).filter(|total| *total > 0)?;
            Some(gained(self.cycles, before.cycles)? as f64 / total as f64)
        };
        share().map_or(0, |share| (share * elapsed_ns as f64) as u64)
    }
}

/// A client of a card: what a program has opened. Copies of the descriptor are the same client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Client {
    /// Number of the client, and PCI address of the card.
    pub(super) id: u64,
    pub(super) card: String,
    pub(super) engines: BTreeMap<String, Engine>,
    /// Memory of the card, where the driver tells.
    pub(super) memory_bytes: Option<u64>,
}

impl Client {
    /// Reads a file `/proc/PID/fdinfo/FD`; `None` if it is not that of a card whose driver tells of its clients.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut client = Self::default();
        let (mut id, mut resident, mut used) = (None, None, None);
        for line in lines(text) {
            let Some(line) = line.strip_prefix(b"drm-") else { continue };
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let key = std::str::from_utf8(&line[..colon]).unwrap_or_default();
            let mut values = fields(&line[colon + 1..]);
            let value = values.next().unwrap_or_default();
            let count = number(value);
            let mut bytes = || count?.checked_mul(unit(values.next()));
            if key == "client-id" {
                id = count;
            } else if key == "pdev" {
                client.card = String::from_utf8_lossy(value).into_owned();
            } else if let Some(name) = key.strip_prefix("total-cycles-") {
                client.engine(name).total_cycles = count;
            } else if let Some(name) = key.strip_prefix("cycles-") {
                client.engine(name).cycles = count;
            } else if key.starts_with("engine-capacity-") {
                // How many engines share the name; their time is summed already.
            } else if let Some(name) = key.strip_prefix("engine-") {
                client.engine(name).ns = count;
            } else if key.starts_with("resident-vram") {
                resident = sum(resident, bytes());
            } else if key.starts_with("memory-vram") {
                used = sum(used, bytes());
            }
        }
        client.id = id?;
        client.memory_bytes = resident.or(used);
        Some(client)
    }
}

impl Client {
    fn engine(&mut self, name: &str) -> &mut Engine {
        self.engines.entry(name.to_owned()).or_default()
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.map_or(b, |a| Some(a.saturating_add(b.unwrap_or(0))))
}

/// Bytes in one of a size's units; without one it is in bytes.
fn unit(name: Option<&[u8]>) -> u64 {
    match name {
        Some(b"KiB") => 1 << 10,
        Some(b"MiB") => 1 << 20,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As amdgpu writes it.
    const AMD: &[u8] = b"pos:\t0\nflags:\t02100002\nmnt_id:\t27\nino:\t531\ndrm-driver:\tamdgpu\ndrm-client-id:\t42\n\
        drm-pdev:\t0000:03:00.0\npasid:\t32772\ndrm-memory-vram:\t2048 KiB\ndrm-memory-gtt: \t512 KiB\n\
        drm-engine-gfx:\t1000000000 ns\ndrm-engine-enc:\t5000 ns\ndrm-engine-capacity-video:\t2\n";

    #[test]
    fn nanoseconds_of_amdgpu() {
        let client = Client::parse(AMD).unwrap();
        assert_eq!((client.id, client.card.as_str()), (42, "0000:03:00.0"));
        assert_eq!(client.memory_bytes, Some(2 << 20));
        let names: Vec<_> = client.engines.keys().map(String::as_str).collect();
        assert_eq!(names, ["enc", "gfx"]);
        let before = Engine { ns: Some(999_999_000), ..Engine::default() };
        assert_eq!(client.engines["gfx"].worked_ns(&before, 5), 1000);
    }

    #[test]
    fn cycles_of_xe() {
        let text =
            b"drm-driver:\txe\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:02.0\ndrm-cycles-rcs:\t300\n\
            drm-total-cycles-rcs:\t2000\ndrm-resident-vram0:\t3 MiB\ndrm-memory-vram0:\t9 MiB\n";
        let client = Client::parse(text).unwrap();
        assert_eq!(client.memory_bytes, Some(3 << 20));
        let before = Engine { cycles: Some(50), total_cycles: Some(1000), ns: None };
        assert_eq!(client.engines["rcs"].worked_ns(&before, 1_000_000), 250_000);
        assert_eq!(client.engines["rcs"].worked_ns(&client.engines["rcs"], 1_000_000), 0);
    }

    #[test]
    fn other_files_are_none() {
        assert_eq!(Client::parse(b"pos:\t0\nflags:\t02100002\n"), None);
        assert_eq!(Client::parse(b"drm-driver:\tnvidia-drm\n"), None);
    }
}
