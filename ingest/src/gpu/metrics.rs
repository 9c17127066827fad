//! amdgpu's binary table `gpu_metrics` (Linux drivers/gpu/drm/amd/include/kgd_pp_interface.h).

/// What of the table no other attribute tells, and whose unit the header fixes, so that it does not differ from chip
/// to chip.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Metrics {
    /// Energy counter; from version 1.4 on its unit is fixed, at 2^-16 J.
    pub(super) energy_j: Option<f64>,
    /// Throttle reasons, the bits that do not depend on the chip (`indep_throttle_status`).
    pub(super) throttle: Option<i64>,
    /// Power of the graphics core of an APU, in watts.
    pub(super) gfx_power_w: Option<f64>,
    /// Power of the processor's cores of an APU, in watts.
    pub(super) cores_power_w: Option<f64>,
    /// Load of the video engine of an APU, in percent.
    pub(super) media_pct: Option<f64>,
}

/// Where a field lies, how many bytes it has, and how many of its units make one of ours.
struct Field(usize, usize, f64);

/// One version of the table.
struct Layout {
    /// `format_revision` and `content_revision`.
    version: (u8, u8),
    /// The smallest table that has ever had that version; what lies behind the fields here may grow. A draft of 1.6
    /// that was reverted is shorter, and lays its fields out in another way.
    bytes: usize,
    throttle: Option<Field>,
    energy: Option<Field>,
    gfx_power: Option<Field>,
    cores_power: Option<Field>,
    media: Option<Field>,
}

const NOTHING: Layout = Layout {
    version: (0, 0),
    bytes: 0,
    throttle: None,
    energy: None,
    gfx_power: None,
    cores_power: None,
    media: None,
};

const fn throttles(content: (u8, u8), bytes: usize, at: usize) -> Layout {
    Layout { version: content, bytes, throttle: Some(Field(at, 8, 1.0)), ..NOTHING }
}

const fn counts(content: (u8, u8), bytes: usize, at: usize) -> Layout {
    Layout { version: content, bytes, energy: Some(Field(at, 8, 65_536.0)), ..NOTHING }
}

/// The versions that tell any of it. Until 2.3 the header leaves the units of power and load to the chip.
const LAYOUTS: [Layout; 10] = [
    throttles((1, 3), 120, 112),
    counts((1, 4), 288, 24),
    counts((1, 5), 360, 88),
    counts((1, 6), 1664, 16),
    counts((1, 7), 2208, 24),
    counts((1, 8), 3360, 24),
    throttles((2, 2), 128, 120),
    throttles((2, 3), 152, 120),
    Layout {
        // Loads in hundredths of a percent, powers in milliwatts.
        cores_power: Some(Field(42, 2, 1e3)),
        gfx_power: Some(Field(46, 2, 1e3)),
        media: Some(Field(30, 2, 100.0)),
        ..throttles((2, 4), 168, 120)
    },
    Layout {
        version: (3, 0),
        bytes: 264,
        gfx_power: Some(Field(124, 4, 1e3)),
        cores_power: Some(Field(132, 4, 1e3)),
        media: Some(Field(44, 2, 1.0)),
        ..NOTHING
    },
];

impl Metrics {
    /// Reads the table; `None` if it is no such table. In a version that is not known nothing is.
    pub(super) fn parse(table: &[u8]) -> Option<Self> {
        let [size_low, size_high, format, content, ..] = *table else { return None };
        // A table that is cut short, or longer than it says, is none.
        if usize::from(u16::from_le_bytes([size_low, size_high])) != table.len() {
            return None;
        }
        let known = |l: &&Layout| l.version == (format, content) && l.bytes <= table.len();
        let Some(layout) = LAYOUTS.iter().find(known) else { return Some(Self::default()) };
        let scaled = |field: &Option<Field>| field.as_ref().and_then(|field| field.scaled(table));
        let throttle = layout.throttle.as_ref().and_then(|field| field.count(table));
        Some(Self {
            energy_j: scaled(&layout.energy),
            throttle: throttle.map(|bits| bits as i64),
            gfx_power_w: scaled(&layout.gfx_power),
            cores_power_w: scaled(&layout.cores_power),
            media_pct: scaled(&layout.media),
        })
    }
}

impl Field {
    /// The field's bits; all of them ones is how the driver says that it does not know.
    fn count(&self, table: &[u8]) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes.get_mut(..self.1)?.copy_from_slice(table.get(self.0..self.0 + self.1)?);
        let unknown = u64::MAX >> (64 - 8 * self.1);
        Some(u64::from_le_bytes(bytes)).filter(|count| *count != unknown)
    }

    fn scaled(&self, table: &[u8]) -> Option<f64> {
        self.count(table).map(|count| count as f64 / self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kept::fixture;

    /// Version, field, offset and size of each field of each version, as a C compiler lays the header's structs out;
    /// the fields named "" are the whole tables.
    fn fields() -> Vec<(String, String, usize, usize)> {
        let text = std::fs::read_to_string(fixture("gpu_metrics").join("layout.tsv")).unwrap();
        let fields = text.lines().skip(1).map(|line| {
            let [version, field, at, size] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            (version.into(), field.into(), at.parse().unwrap(), size.parse().unwrap())
        });
        fields.collect()
    }

    /// A table of that version in which the driver knows nothing, but for one field.
    fn table(version: &str, field: &str, value: u64) -> Vec<u8> {
        let fields = fields();
        let place = |name: &str| {
            let found = fields.iter().find(|(v, f, ..)| v == version && f == name);
            found.map(|(_, _, at, size)| (*at, *size))
        };
        let (_, size) = place("").unwrap();
        let mut table = vec![0xff; size];
        let (at, width) = place(field).unwrap_or_else(|| panic!("{version} has no {field}"));
        table[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        table[..2].copy_from_slice(&(size as u16).to_le_bytes());
        let digits = version.as_bytes();
        table[2..4].copy_from_slice(&[digits[0] - b'0', digits[2] - b'0']);
        table
    }

    #[test]
    fn each_field_of_each_version_is_read_where_a_compiler_puts_it() {
        let of = |version: &str, field: &str, value: u64| {
            let found = Metrics::parse(&table(version, field, value)).unwrap();
            assert_ne!(found, Metrics::default(), "{version} {field}");
            found
        };
        for version in ["1.4", "1.5", "1.6", "1.7", "1.8"] {
            // 987,654 J, as in the issue that this was found by.
            let found = of(version, "energy_accumulator", 987_654 << 16);
            assert_eq!(found, Metrics { energy_j: Some(987_654.0), ..Metrics::default() });
        }
        for version in ["1.3", "2.2", "2.3", "2.4"] {
            let found = of(version, "indep_throttle_status", 1 << 36);
            assert_eq!(found, Metrics { throttle: Some(1 << 36), ..Metrics::default() });
        }
        for version in ["2.4", "3.0"] {
            let found = of(version, "average_gfx_power", 6161);
            assert_eq!(found, Metrics { gfx_power_w: Some(6.161), ..Metrics::default() });
        }
        assert_eq!(of("2.4", "average_cpu_power", 9235).cores_power_w, Some(9.235));
        assert_eq!(of("3.0", "average_all_core_power", 70_000).cores_power_w, Some(70.0));
        assert_eq!(of("2.4", "average_mm_activity", 4250).media_pct, Some(42.5));
        assert_eq!(of("3.0", "average_vcn_activity", 42).media_pct, Some(42.0));
    }

    /// Every version is in the list with the size that it has, but for 1.8, which has grown.
    #[test]
    fn sizes_are_those_of_the_compiler() {
        for (version, _, _, size) in fields().into_iter().filter(|(_, field, ..)| field.is_empty())
        {
            let known =
                LAYOUTS.iter().find(|l| format!("{}.{}", l.version.0, l.version.1) == version);
            match version.as_str() {
                "2.1" | "1.6 (reverted draft)" => assert!(known.is_none(), "{version}"),
                "1.8" => assert_eq!((known.unwrap().bytes, size), (3360, 3872)),
                _ => assert_eq!(known.unwrap().bytes, size, "{version}"),
            }
        }
    }

    #[test]
    fn the_reverted_draft_is_told_from_the_version_that_took_its_number() {
        let draft = table("1.6 (reverted draft)", "energy_accumulator", 1 << 16);
        assert_eq!(Metrics::parse(&draft), Some(Metrics::default()));
    }

    #[test]
    fn dumps_of_real_cards() {
        let dump = |name: &str| std::fs::read(fixture("gpu_metrics").join(name)).unwrap();
        let card = Metrics::parse(&dump("gpu_metrics"));
        // Its energy counter is in a unit that 1.3 leaves to the chip.
        assert_eq!(card, Some(Metrics { throttle: Some(0), ..Metrics::default() }));
        let apu = Metrics::parse(&dump("gpu_metrics_apu"));
        // FPPT and SPPT of amdgpu_smu.h: the two power limits of an APU.
        assert_eq!(apu, Some(Metrics { throttle: Some(1 << 5 | 1 << 6), ..Metrics::default() }));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let unset = Metrics::parse(&table("1.3", "indep_throttle_status", u64::MAX));
        assert_eq!(unset, Some(Metrics::default()));
        let unset = Metrics::parse(&table("3.0", "average_gfx_power", u64::MAX));
        assert_eq!(unset, Some(Metrics::default()));
        let mut newer = table("1.3", "indep_throttle_status", 1);
        newer[2..4].copy_from_slice(&[9, 0]);
        assert_eq!(Metrics::parse(&newer), Some(Metrics::default()));
        assert_eq!(Metrics::parse(&table("1.3", "indep_throttle_status", 1)[..119]), None);
        assert_eq!(Metrics::parse(b"12"), None);
    }
}
