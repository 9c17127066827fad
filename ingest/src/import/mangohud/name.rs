//! What the name of a MangoHud log tells: `game_2025-11-11_14-30-00.csv`.

use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::civil;

use super::Generation;
use crate::import::{Began, Frame, local_time};

/// The name tells whole seconds.
const NAME_ERR_NS: i64 = 1_000_000_000;

/// A file that is this near to where its name says it ends was not touched since: its age is more exact.
const SAME_NS: i64 = 2_000_000_000;

/// From the last frame to the file's last change, where the file was not touched since.
const WRITTEN_LATE_NS: i64 = 100_000_000;

/// What a log's name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogName {
    /// The program.
    pub application: String,
    /// Local time.
    time: civil::DateTime,
}

impl LogName {
    pub fn of(file: &Path) -> Option<Self> {
        let stem = file.file_stem()?.to_str()?;
        let (application, time) = stem.split_at_checked(stem.len().checked_sub(20)?)?;
        // `_2025-11-11_14-30-00`: fixed width, so that the name before it may have underscores.
        let time = civil::DateTime::strptime("_%Y-%m-%d_%H-%M-%S", time).ok()?;
        (!application.is_empty()).then(|| Self { application: application.into(), time })
    }

    /// When the first frame was. `ends_ns` are `elapsed` of the first and of the last frame.
    pub fn began(
        &self,
        file: &Path,
        generation: Generation,
        frames: &[Frame],
        ends_ns: Option<(f64, f64)>,
    ) -> Option<Began> {
        // MangoHud writes the time of the machine that it runs on.
        let named_ns = local_time::utc_ns(self.time)?;
        let length_ns = frames.last()?.at_ns;
        let ns = match generation {
            Generation::AtEnd => named_ns - length_ns,
            _ => named_ns + ends_ns.map_or(0, |(first_ns, _)| first_ns as i64),
        };
        match modified_ns(file).map(|modified_ns| modified_ns - length_ns) {
            Some(by_age_ns) if (by_age_ns - ns).abs() <= SAME_NS => Some(Began {
                ns: by_age_ns,
                err_ns: WRITTEN_LATE_NS,
                from: "the file's age, which its name confirms",
            }),
            _ => Some(Began { ns, err_ns: NAME_ERR_NS, from: "the file's name" }),
        }
    }
}

fn modified_ns(file: &Path) -> Option<i64> {
    let modified = std::fs::metadata(file).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_program_and_time() {
        let name = |text: &str| LogName::of(Path::new(text));
        let found = name("a/My_game.x86_2021-02-03_04-05-06.csv").unwrap();
        assert_eq!(found.application, "My_game.x86");
        assert_eq!(found.time, civil::date(2021, 2, 3).at(4, 5, 6, 0));
        for other in
            ["a.csv", "_2021-02-03_04-05-06.csv", "g_2021-02-30_04-05-06.csv", "\u{e9}.csv"]
        {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
