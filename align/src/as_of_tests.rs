use super::*;
use proptest::prelude::*;

const SIDES: [Side; 5] =
    [Side::AtOrBefore, Side::Before, Side::AtOrAfter, Side::After, Side::Nearest];

fn rows<'a>(ts: &'a [i64], keys: Option<&'a [u32]>) -> LeftRows<'a> {
    LeftRows { ts, valid: None, keys }
}

/// The definition, by looking at every right row.
fn oracle(
    side: Side,
    tolerance: Option<i64>,
    t: i64,
    key: u32,
    right: &[(i64, u32)],
) -> Option<usize> {
    let fits = |ts: i64| match side {
        Side::AtOrBefore => ts <= t,
        Side::Before => ts < t,
        Side::AtOrAfter => ts >= t,
        Side::After => ts > t,
        Side::Nearest => true,
    };
    let candidates = right.iter().enumerate().filter(|(_, (ts, k))| *k == key && fits(*ts));
    let best = match side {
        Side::AtOrBefore | Side::Before => candidates.max_by_key(|(i, (ts, _))| (*ts, *i)),
        Side::AtOrAfter | Side::After => candidates.min_by_key(|(i, (ts, _))| (*ts, *i)),
        Side::Nearest => candidates.min_by_key(|(i, (ts, _))| {
            let order = if *ts <= t { -(*i as i64) } else { *i as i64 };
            (ts.abs_diff(t), *ts > t, order)
        }),
    };
    best.filter(|(_, (ts, _))| tolerance.is_none_or(|tol| ts.abs_diff(t) <= tol as u64))
        .map(|(i, _)| i)
}

fn sorted(keys: u32) -> impl Strategy<Value = Vec<(i64, u32)>> {
    prop::collection::vec((-40i64..40, 0..keys), 0..60).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows
    })
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(SIDES.to_vec())
}

/// Rows whose stamp is null, and rows whose key is.
type Nulls = Vec<(bool, bool)>;

fn nulls() -> impl Strategy<Value = Nulls> {
    let seldom = || prop::bool::weighted(0.15);
    prop::collection::vec((seldom(), seldom()), 60)
}

/// Feeds the matcher in pieces, asking after each one, and dropping right rows as it allows.
fn stream(
    side: Side,
    tolerance: Option<i64>,
    left: &[(i64, u32)],
    right: &[(i64, u32)],
    keyed: bool,
    piece: usize,
) -> Vec<Option<usize>> {
    let mut matcher = AsOf::new(side, tolerance);
    let (ts, keys): (Vec<i64>, Vec<u32>) = left.iter().copied().unzip();
    let mut answers = Vec::new();
    let mut dropped = vec![false; right.len()];
    let mut pieces = right.chunks(piece);
    loop {
        let from = answers.len();
        let left = rows(&ts[from..], keyed.then_some(&keys[from..]));
        let mut matches = Vec::new();
        let resolved = matcher.resolve(left, &mut matches).unwrap();
        assert_eq!(resolved, matches.len());
        for row in matches {
            answers.push((row != UNMATCHED).then_some(row as usize));
            assert!(row == UNMATCHED || !dropped[row as usize], "row {row} was given up too early");
        }
        if keyed {
            matcher.forget();
        }
        let seen = matcher.right_rows();
        for row in 0..seen {
            dropped[row as usize] |= !matcher.needs(row..row + 1);
        }
        match pieces.next() {
            Some(piece) => {
                let (ts, keys): (Vec<i64>, Vec<u32>) = piece.iter().copied().unzip();
                matcher.push_right(&ts, keyed.then_some(&keys)).unwrap();
            }
            None if answers.len() == ts.len() => return answers,
            None => matcher.finish_right(),
        }
    }
}

proptest! {
    #[test]
    fn equals_the_definition(
        side in side(),
        tolerance in prop::option::of(0i64..30),
        left in sorted(3),
        right in sorted(3),
        keyed in any::<bool>(),
        piece in 1usize..20,
    ) {
        let plain = |rows: &[(i64, u32)]| -> Vec<(i64, u32)> {
            rows.iter().map(|&(ts, key)| (ts, if keyed { key } else { 0 })).collect()
        };
        let expected: Vec<_> = plain(&left)
            .iter()
            .map(|&(t, key)| oracle(side, tolerance, t, key, &plain(&right)))
            .collect();
        let (lt, lk): (Vec<i64>, Vec<u32>) = left.iter().copied().unzip();
        let (rt, rk): (Vec<i64>, Vec<u32>) = right.iter().copied().unzip();
        let batch = as_of(
            side,
            tolerance,
            rows(&lt, keyed.then_some(&lk)),
            &rt,
            keyed.then_some(&rk),
        ).unwrap();
        prop_assert_eq!(&batch, &expected);
        prop_assert_eq!(&stream(side, tolerance, &left, &right, keyed, piece), &expected);
    }

    #[test]
    fn nulls_match_nothing_and_hide_nothing(
        side in side(),
        tolerance in prop::option::of(0i64..30),
        left in sorted(3),
        right in sorted(3),
        nulls in nulls(),
        garbage in any::<i64>(),
    ) {
        let (mut lt, mut lk): (Vec<i64>, Vec<u32>) = left.iter().copied().unzip();
        let (rt, rk): (Vec<i64>, Vec<u32>) = right.iter().copied().unzip();
        let of_left = || left.iter().zip(&nulls);
        let expected: Vec<_> = of_left()
            .map(|(&(t, key), &(no_stamp, no_key))| {
                let right = Some(&right).filter(|_| !no_stamp && !no_key)?;
                oracle(side, tolerance, t, key, right)
            })
            .collect();
        // What stands where a stamp is null is not looked at.
        for (row, (no_stamp, no_key)) in nulls.iter().take(left.len()).enumerate() {
            lt[row] = if *no_stamp { garbage } else { lt[row] };
            lk[row] = if *no_key { NO_KEY } else { lk[row] };
        }
        let valid: NullBuffer = nulls.iter().take(left.len()).map(|nulls| !nulls.0).collect();
        let of = LeftRows { ts: &lt, valid: Some(&valid), keys: Some(&lk) };
        prop_assert_eq!(as_of(side, tolerance, of, &rt, Some(&rk)).unwrap(), expected);
    }

    #[test]
    fn memory_is_bounded_by_the_distance_of_the_two_sides(piece in 1usize..50) {
        let mut matcher = AsOf::new(Side::AtOrBefore, None);
        for start in (0..5_000).step_by(piece) {
            let ts: Vec<i64> = (start as i64..(start + piece) as i64).collect();
            matcher.push_right(&ts, None).unwrap();
            let mut matches = Vec::new();
            matcher.resolve(rows(&ts, None), &mut matches).unwrap();
            prop_assert!(matcher.tracks[0].ts.len() <= 4 * piece + 4);
        }
    }
}

/// Keys that come one after the other: what lies further back than the tolerance is not held, whether its key has
/// left rows or not.
#[test]
fn a_key_that_has_ended_holds_nothing() {
    let has_left = |key: u32| !key.is_multiple_of(3);
    for (side, reach) in
        [(Side::AtOrBefore, 10), (Side::Before, 10), (Side::AtOrAfter, 0), (Side::Nearest, 10)]
    {
        let mut matcher = AsOf::new(side, Some(10));
        for key in 0..1_000 {
            let ts: Vec<i64> = (0..100).map(|i| i64::from(key) * 100 + i).collect();
            matcher.push_right(&ts, Some(&[key; 100])).unwrap();
            let left_keys = [if has_left(key) { key } else { NO_KEY }; 100];
            matcher.resolve(rows(&ts, Some(&left_keys)), &mut Vec::new()).unwrap();
            matcher.forget();
            let held: usize = matcher.tracks.iter().map(|track| track.ts.len()).sum();
            // Without left rows nothing tells that time goes on.
            let waiting = if has_left(key) { 0 } else { 100 };
            assert!(held <= waiting + reach + 2, "{side:?}: {held} rows held at key {key}");
        }
        assert!(!matcher.needs(0..99_000), "{side:?}");
    }
}

#[test]
fn empty_sides() {
    for side in SIDES {
        assert_eq!(as_of(side, None, rows(&[], None), &[1], None).unwrap(), vec![]);
        assert_eq!(as_of(side, None, rows(&[1], None), &[], None).unwrap(), vec![None]);
    }
}

#[test]
fn equal_stamps_take_the_last_back_and_the_first_ahead() {
    let at = |side| as_of(side, None, rows(&[5], None), &[5, 5, 5], None).unwrap()[0];
    assert_eq!(at(Side::AtOrBefore), Some(2));
    assert_eq!(at(Side::AtOrAfter), Some(0));
    assert_eq!(at(Side::Nearest), Some(2));
    assert_eq!(at(Side::Before), None);
    assert_eq!(at(Side::After), None);
}

#[test]
fn null_stamps_and_null_keys_stay_unmatched() {
    let valid = NullBuffer::from(vec![false, true, true]);
    let left = LeftRows { ts: &[0, 5, 6], valid: Some(&valid), keys: Some(&[0, NO_KEY, 0]) };
    let found = as_of(Side::AtOrBefore, None, left, &[1], Some(&[0])).unwrap();
    assert_eq!(found, vec![None, None, Some(0)]);
}

#[test]
fn stamps_at_the_ends_of_the_range_do_not_overflow() {
    let at = |side, tolerance| {
        as_of(side, tolerance, rows(&[i64::MAX], None), &[i64::MIN], None).unwrap()[0]
    };
    assert_eq!(at(Side::AtOrBefore, None), Some(0));
    assert_eq!(at(Side::AtOrBefore, Some(i64::MAX)), None);
    assert_eq!(at(Side::Nearest, Some(i64::MAX)), None);
}

#[test]
fn a_row_out_of_order_is_named() {
    let mut matcher = AsOf::new(Side::AtOrBefore, None);
    matcher.push_right(&[1, 5], None).unwrap();
    let error = matcher.push_right(&[6, 4], None).unwrap_err();
    assert_eq!(error, AsOfError::Unsorted { input: "right", row: 3, ts: 4, previous: 6 });
    matcher.finish_right();
    let error = matcher.resolve(rows(&[3, 2], None), &mut Vec::new()).unwrap_err();
    assert_eq!(error, AsOfError::Unsorted { input: "left", row: 1, ts: 2, previous: 3 });
}
