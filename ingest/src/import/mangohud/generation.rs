//! What MangoHud's logs count, by their generation.

use super::Row;
use crate::import::csv::Header;

/// Generations of MangoHud's logs (MangoHud, `src/logging.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// To 2022, with columns from `fps` to `ram_used` and `elapsed`: a log is written when logging ends, and is named
    /// after that time. `frametime` was microseconds, and milliseconds in the end.
    AtEnd,
    /// Since then, with `swap_used` and more: every frame is written at once, and the log is named after the time at
    /// which logging began. `frametime` is milliseconds.
    AtOnce,
    /// The header has neither's columns.
    Unknown,
}

impl Generation {
    pub fn of(header: &Header) -> Self {
        if header.find(&["swap_used", "process_rss", "cpu_power", "cpu_mhz"]).is_some() {
            Self::AtOnce
        } else if header.find(&["ram_used"]).is_some() && header.find(&["gpu_power"]).is_some() {
            Self::AtEnd
        } else {
            Self::Unknown
        }
    }
}

/// What `frametime` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
}

impl Unit {
    /// Milliseconds of one.
    pub fn ms(self) -> f64 {
        match self {
            Self::Milliseconds => 1.0,
            Self::Microseconds => 0.001,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
        }
    }
}

/// The unit of `frametime`: header, `elapsed` and `fps` must not contradict each other.
///
/// # Errors
/// Who contradicts whom.
pub(super) fn unit(generation: Generation, rows: &[Row]) -> Result<Unit, String> {
    let by_header = (generation == Generation::AtOnce).then_some(Unit::Milliseconds);
    let by_elapsed = by_elapsed(rows);
    // Of one or two rows `fps` may be anything: nobody else is contradicted by that.
    let others = by_header.or(by_elapsed);
    let by_fps = by_fps(rows).filter(|_| others.is_none() || rows.len() >= 3);
    let said = [("the header", by_header), ("elapsed", by_elapsed), ("fps", by_fps)];
    let mut said = said.into_iter().filter_map(|(who, unit)| Some((who, unit?)));
    let Some((first, unit)) = said.next() else {
        return Ok(match generation {
            Generation::AtEnd => Unit::Microseconds,
            _ => Unit::Milliseconds,
        });
    };
    match said.find(|(_, other)| *other != unit) {
        None => Ok(unit),
        Some((second, other)) => Err(format!(
            "frametime is in {} by {first} and in {} by {second}: the log contradicts itself",
            unit.name(),
            other.name()
        )),
    }
}

/// Where every frame is logged, `elapsed` advances by the frame times. Frame times of samples are less than that, by
/// however much; more they cannot be, but for one that began before.
fn by_elapsed(rows: &[Row]) -> Option<Unit> {
    let span_ns = rows.last()?.elapsed_ns? - rows.first()?.elapsed_ns?;
    let sum: f64 = rows.iter().skip(1).filter_map(|row| row.frametime).sum();
    let ms_of_ms = sum * 1e6 / span_ns;
    if !ms_of_ms.is_finite() || ms_of_ms <= 0.0 {
        return None;
    }
    match ms_of_ms {
        // As many milliseconds as went by.
        0.5..=2.0 => Some(Unit::Milliseconds),
        // Too many of them by far.
        31.6.. => Some(Unit::Microseconds),
        _ => None,
    }
}

/// `fps * frametime` is about 1,000 for milliseconds and about 1,000,000 for microseconds in most rows. Frame generation
/// multiplies fps by a few, which leaves them apart.
fn by_fps(rows: &[Row]) -> Option<Unit> {
    let product = |row: &Row| Some(row.fps? * row.frametime?).filter(|product| *product > 0.0);
    let mut products: Vec<f64> = rows.iter().filter_map(product).collect();
    let middle = products.len() / 2;
    if products.is_empty() {
        return None;
    }
    let (_, median, _) = products.select_nth_unstable_by(middle, f64::total_cmp);
    Some(if *median < 31_623.0 { Unit::Milliseconds } else { Unit::Microseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(f64, f64, f64)]) -> Vec<Row> {
        let row = |&(fps, frametime, elapsed_ms): &(f64, f64, f64)| Row {
            fps: Some(fps),
            frametime: Some(frametime),
            elapsed_ns: Some(elapsed_ms * 1e6),
            attrs: None,
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_unit_is_told_by_all_rows_and_none_may_contradict() {
        use Generation::*;
        // The first row says otherwise, as the counter of frames a second has not begun yet.
        let micro = rows(&[(0.05, 16_667.0, 1.0), (60.0, 16_667.0, 17.7), (60.0, 16_667.0, 34.3)]);
        assert_eq!(unit(AtEnd, &micro), Ok(Unit::Microseconds));
        assert_eq!(unit(Unknown, &micro), Ok(Unit::Microseconds));
        let milli = rows(&[(60_000.0, 16.7, 1.0), (60.0, 16.7, 17.7), (60.0, 16.7, 34.4)]);
        assert_eq!(unit(AtOnce, &milli), Ok(Unit::Milliseconds));
        assert_eq!(unit(AtEnd, &milli), Ok(Unit::Milliseconds));
        // All that there is when a log is followed from its beginning.
        assert_eq!(unit(AtOnce, &milli[..1]), Ok(Unit::Milliseconds));

        let why = unit(AtOnce, &micro).unwrap_err();
        assert!(why.contains("milliseconds by the header and in microseconds by elapsed"), "{why}");
        let odd =
            rows(&[(60.0, 16_667.0, 0.0), (60.0, 16_667.0, 16_667.0), (60.0, 16_667.0, 33_334.0)]);
        let why = unit(Unknown, &odd).unwrap_err();
        assert!(why.contains("milliseconds by elapsed and in microseconds by fps"), "{why}");
    }

    #[test]
    fn samples_leave_the_unit_to_fps_and_the_header() {
        let samples = rows(&[(100.0, 10.0, 0.0), (100.0, 10.0, 100.0), (100.0, 10.0, 200.0)]);
        assert_eq!(unit(Generation::Unknown, &samples), Ok(Unit::Milliseconds));
        let samples = rows(&[(100.0, 10_000.0, 0.0), (100.0, 10_000.0, 100.0)]);
        assert_eq!(unit(Generation::AtEnd, &samples), Ok(Unit::Microseconds));
        let silent = [Row { fps: None, frametime: Some(5.0), elapsed_ns: None, attrs: None }];
        assert_eq!(unit(Generation::AtEnd, &silent), Ok(Unit::Microseconds));
        assert_eq!(unit(Generation::Unknown, &silent), Ok(Unit::Milliseconds));
    }
}
