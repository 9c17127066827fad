//! As-of matching: for each left row the one right row that is nearest in time on the asked side.
//!
//! Both sides are sorted by their stamp (equal stamps allowed). [`AsOf`] is a streaming matcher: right
//! rows are pushed as they come, left rows are resolved as soon as no later right row can change the
//! answer. The batch form [`as_of`] is one push and one resolve of the same matcher. Stamps are `i64` in
//! any unit, both sides and the tolerance in the same one.
//!
//! Among right rows of one stamp the last is taken when looking back and the first when looking ahead
//! (as pandas `merge_asof` does); `Nearest` prefers the earlier side when both are equally far.

use arrow_buffer::NullBuffer;

/// The answer for a left row that no right row fits.
pub const UNMATCHED: u64 = u64::MAX;

/// The key of a left row that takes part in no match, because its key is null.
pub const NO_KEY: u32 = u32::MAX;

/// Which right row a left row at `t` is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The last one with `ts <= t`.
    AtOrBefore,
    /// The last one with `ts < t`.
    Before,
    /// The first one with `ts >= t`.
    AtOrAfter,
    /// The first one with `ts > t`.
    After,
    /// The one with the smallest `|ts - t|`.
    Nearest,
}

impl Side {
    /// Whether a right row at `ts` lies before the place where the matcher stops for a left row at `t`.
    #[inline]
    fn is_passed(self, ts: i64, t: i64) -> bool {
        match self {
            Side::AtOrBefore | Side::After | Side::Nearest => ts <= t,
            Side::Before | Side::AtOrAfter => ts < t,
        }
    }

    fn looks_back(self) -> bool {
        matches!(self, Side::AtOrBefore | Side::Before | Side::Nearest)
    }
}

/// Why rows could not be matched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsOfError {
    /// A stamp is smaller than the one before it.
    #[error(
        "the {input} input of an as-of match is not sorted: row {row} has stamp {ts} after {previous}; \
         sort it by its stamp first"
    )]
    Unsorted {
        /// `left` or `right`.
        input: &'static str,
        /// Number of the row, counted from the start of that input.
        row: u64,
        /// Its stamp.
        ts: i64,
        /// The stamp of the row before it.
        previous: i64,
    },
}

/// The left rows of one call: stamps, and for each row its key where matching is by key.
#[derive(Debug, Clone, Copy)]
pub struct LeftRows<'a> {
    /// Stamps, ascending over all calls; those of null rows are not looked at.
    pub ts: &'a [i64],
    /// Which stamps are not null; a row whose stamp is null stays unmatched.
    pub valid: Option<&'a NullBuffer>,
    /// Keys, as long as `ts`; [`NO_KEY`] stays unmatched. None matches without keys.
    pub keys: Option<&'a [u32]>,
}

/// Right rows of one key that can still be an answer.
#[derive(Debug, Default)]
struct Track {
    ts: Vec<i64>,
    /// Row number of each stamp; empty without keys, where the rows are `base..`.
    rows: Vec<u64>,
    base: u64,
    /// The stamps before this one are passed by the last left row.
    passed: usize,
}

impl Track {
    #[inline]
    fn row(&self, i: usize) -> u64 {
        if self.rows.is_empty() { self.base + i as u64 } else { self.rows[i] }
    }

    /// Index of the first row that a later left row can be matched with.
    fn first_needed(&self, side: Side) -> usize {
        if side.looks_back() { self.passed.saturating_sub(1) } else { self.passed }
    }

    /// Forgets what no left row at `last` or later is matched with: what such a row passes, but for the last of it where
    /// it looks back, and all before `horizon`.
    fn forget(&mut self, side: Side, last: i64, horizon: Option<i64>) {
        let passed = self.ts.partition_point(|&ts| side.is_passed(ts, last));
        self.passed = self.passed.max(passed);
        let too_old = horizon.map_or(0, |horizon| self.ts.partition_point(|&ts| ts < horizon));
        let unneeded = self.first_needed(side).max(too_old);
        self.drop_first(unneeded);
        if self.ts.is_empty() {
            (self.ts, self.rows) = (Vec::new(), Vec::new());
        }
    }

    /// Forgets what is no longer needed, once that is most of it.
    fn shrink(&mut self, side: Side) {
        let unneeded = self.first_needed(side);
        if unneeded * 2 >= self.ts.len() {
            self.drop_first(unneeded);
        }
    }

    fn drop_first(&mut self, count: usize) {
        self.ts.drain(..count);
        if self.rows.is_empty() {
            self.base += count as u64;
        } else {
            self.rows.drain(..count);
        }
        self.passed = self.passed.saturating_sub(count);
    }
}

/// The streaming matcher. Memory: the right rows from the place of the last resolved left row on; with
/// keys, one row more for each key, unless [`AsOf::forget`] finds it older than the tolerance.
#[derive(Debug)]
pub struct AsOf {
    side: Side,
    tolerance: Option<i64>,
    tracks: Vec<Track>,
    right_rows: u64,
    right_last: Option<i64>,
    right_done: bool,
    left_rows: u64,
    left_last: Option<i64>,
}

impl AsOf {
    /// A matcher without rows. With a tolerance, a right row farther than it is no match.
    pub fn new(side: Side, tolerance: Option<i64>) -> Self {
        AsOf {
            side,
            tolerance,
            tracks: Vec::new(),
            right_rows: 0,
            right_last: None,
            right_done: false,
            left_rows: 0,
            left_last: None,
        }
    }

    /// Adds right rows, numbered on from those before. Stamps are not null; `keys` is given on every call
    /// or on none, and is as long as `ts`.
    ///
    /// # Errors
    /// [`AsOfError::Unsorted`].
    pub fn push_right(&mut self, ts: &[i64], keys: Option<&[u32]>) -> Result<(), AsOfError> {
        let mut previous = self.right_last.unwrap_or(i64::MIN);
        // Without an exit in the loop this is vectorised; the search for the culprit comes after.
        let sorted = ts.first().is_none_or(|&first| first >= previous)
            && ts.windows(2).fold(true, |ok, pair| ok & (pair[0] <= pair[1]));
        if !sorted {
            for (row, &ts) in (self.right_rows..).zip(ts) {
                if ts < previous {
                    return Err(AsOfError::Unsorted { input: "right", row, ts, previous });
                }
                previous = ts;
            }
        }
        let side = self.side;
        match keys {
            None => {
                let track = self.track(0);
                track.shrink(side);
                track.ts.extend_from_slice(ts);
            }
            Some(keys) => {
                for ((row, &ts), &key) in (self.right_rows..).zip(ts).zip(keys) {
                    let track = self.track(key as usize);
                    if track.ts.len() == track.ts.capacity() {
                        track.shrink(side);
                    }
                    track.ts.push(ts);
                    track.rows.push(row);
                }
            }
        }
        self.right_rows += ts.len() as u64;
        self.right_last = ts.last().copied().or(self.right_last);
        Ok(())
    }

    /// Says that no right row follows: what is left can be resolved.
    pub fn finish_right(&mut self) {
        self.right_done = true;
    }

    /// Forgets the right rows of every key that no later left row can be matched with. Without it, the rows of a key that
    /// has no left rows any more stay. For matching by key.
    pub fn forget(&mut self) {
        let Some(last) = self.left_last else { return };
        let horizon = match (self.side.looks_back(), self.tolerance) {
            (true, Some(tolerance)) => Some(last.saturating_sub(tolerance.max(0))),
            (true, None) => None,
            (false, _) => Some(last),
        };
        let side = self.side;
        self.tracks.iter_mut().for_each(|track| track.forget(side, last, horizon));
    }

    /// Number of right rows pushed so far, which is the number of the next one.
    pub fn right_rows(&self) -> u64 {
        self.right_rows
    }

    /// Resolves left rows from the first on, until one needs right rows that were not pushed yet. Appends
    /// to `matches`, for each resolved row, the number of its right row or [`UNMATCHED`]; returns how many
    /// rows were resolved. The others are to be passed again after [`AsOf::push_right`].
    ///
    /// # Errors
    /// [`AsOfError::Unsorted`].
    pub fn resolve(
        &mut self,
        left: LeftRows<'_>,
        matches: &mut Vec<u64>,
    ) -> Result<usize, AsOfError> {
        match self.side {
            Side::AtOrBefore => self.resolve_with(left, matches, Self::back::<true>),
            Side::Before => self.resolve_with(left, matches, Self::back::<false>),
            Side::AtOrAfter | Side::After => self.resolve_with(left, matches, Self::ahead),
            Side::Nearest => self.resolve_with(left, matches, Self::nearest),
        }
    }

    /// Whether one of the right rows `rows` can still be the answer for a later left row.
    pub fn needs(&self, rows: std::ops::Range<u64>) -> bool {
        self.tracks.iter().any(|track| {
            let first = track.first_needed(self.side);
            if track.rows.is_empty() {
                let needed = track.base + first as u64..track.base + track.ts.len() as u64;
                return needed.start < rows.end && rows.start < needed.end;
            }
            let needed = &track.rows[first..];
            needed
                .get(needed.partition_point(|&row| row < rows.start))
                .is_some_and(|&row| row < rows.end)
        })
    }

    fn track(&mut self, key: usize) -> &mut Track {
        if key >= self.tracks.len() {
            self.tracks.resize_with(key + 1, Track::default);
        }
        &mut self.tracks[key]
    }

    #[inline(always)]
    fn resolve_with(
        &mut self,
        left: LeftRows<'_>,
        matches: &mut Vec<u64>,
        answer: impl Fn(&Known, &Track, i64) -> Option<u64>,
    ) -> Result<usize, AsOfError> {
        let known = Known {
            right_last: self.right_last,
            right_done: self.right_done,
            tolerance: self.tolerance,
        };
        let side = self.side;
        self.track(0);
        let mut previous = self.left_last.unwrap_or(i64::MIN);
        let mut resolved = 0;
        for (i, &t) in left.ts.iter().enumerate() {
            let key = left.keys.map_or(0, |keys| keys[i]);
            if key == NO_KEY || left.valid.is_some_and(|valid| valid.is_null(i)) {
                matches.push(UNMATCHED);
                resolved += 1;
                continue;
            }
            if t < previous {
                let row = self.left_rows + i as u64;
                return Err(AsOfError::Unsorted { input: "left", row, ts: t, previous });
            }
            let track = self.track(key as usize);
            let mut passed = track.passed;
            while passed < track.ts.len() && side.is_passed(track.ts[passed], t) {
                passed += 1;
            }
            track.passed = passed;
            let Some(row) = answer(&known, track, t) else { break };
            matches.push(row);
            previous = t;
            resolved += 1;
        }
        self.left_last = (previous != i64::MIN).then_some(previous);
        self.left_rows += resolved as u64;
        Ok(resolved)
    }

    #[inline]
    fn back<const INCLUSIVE: bool>(known: &Known, track: &Track, t: i64) -> Option<u64> {
        let complete = known.right_done
            || known.right_last.is_some_and(|last| if INCLUSIVE { last > t } else { last >= t });
        if !complete {
            return None;
        }
        Some(match track.passed.checked_sub(1) {
            Some(i) if known.is_near(track.ts[i], t) => track.row(i),
            _ => UNMATCHED,
        })
    }

    #[inline]
    fn ahead(known: &Known, track: &Track, t: i64) -> Option<u64> {
        match track.ts.get(track.passed) {
            Some(&ts) if known.is_near(t, ts) => Some(track.row(track.passed)),
            Some(_) => Some(UNMATCHED),
            None => known.nothing_near_follows(t, known.tolerance).then_some(UNMATCHED),
        }
    }

    #[inline]
    fn nearest(known: &Known, track: &Track, t: i64) -> Option<u64> {
        let before = track.passed.checked_sub(1).map(|i| (track.ts[i].abs_diff(t), track.row(i)));
        let after = track.ts.get(track.passed).map(|ts| (ts.abs_diff(t), track.row(track.passed)));
        let (distance, row) = match (before, after) {
            (Some(before), Some(after)) => {
                if before.0 <= after.0 {
                    before
                } else {
                    after
                }
            }
            (None, Some(after)) => after,
            (Some(before), None) => {
                let reach = i64::try_from(before.0).unwrap_or(i64::MAX);
                let reach = known.tolerance.map_or(reach, |tolerance| tolerance.min(reach));
                if !known.nothing_near_follows(t, Some(reach)) {
                    return None;
                }
                before
            }
            (None, None) => {
                return known.nothing_near_follows(t, known.tolerance).then_some(UNMATCHED);
            }
        };
        let is_near = known.tolerance.is_none_or(|tolerance| distance <= tolerance.max(0) as u64);
        Some(if is_near { row } else { UNMATCHED })
    }
}

/// What is known about the right side while left rows are resolved.
struct Known {
    right_last: Option<i64>,
    right_done: bool,
    tolerance: Option<i64>,
}

impl Known {
    /// Whether `later - earlier` is within the tolerance; `earlier <= later`.
    #[inline]
    fn is_near(&self, earlier: i64, later: i64) -> bool {
        // The difference of ordered stamps fits u64 even where it overflows i64.
        self.tolerance.is_none_or(|tolerance| {
            tolerance >= 0 && later.wrapping_sub(earlier) as u64 <= tolerance as u64
        })
    }

    /// Whether no right row to come can be within `reach` after `t`.
    fn nothing_near_follows(&self, t: i64, reach: Option<i64>) -> bool {
        let beyond = |last: i64| {
            reach.is_some_and(|reach| last > t && last.abs_diff(t) > reach.max(0) as u64)
        };
        self.right_done || self.right_last.is_some_and(beyond)
    }
}

/// Matches all rows at once: for each left row the index of its right row, or None.
///
/// # Errors
/// [`AsOfError::Unsorted`].
pub fn as_of(
    side: Side,
    tolerance: Option<i64>,
    left: LeftRows<'_>,
    right_ts: &[i64],
    right_keys: Option<&[u32]>,
) -> Result<Vec<Option<usize>>, AsOfError> {
    let mut matcher = AsOf::new(side, tolerance);
    matcher.push_right(right_ts, right_keys)?;
    matcher.finish_right();
    let mut matches = Vec::with_capacity(left.ts.len());
    matcher.resolve(left, &mut matches)?;
    Ok(matches.into_iter().map(|row| (row != UNMATCHED).then_some(row as usize)).collect())
}

#[cfg(test)]
#[path = "as_of_tests.rs"]
mod tests;
