use std::sync::Arc;
use std::time::Duration;

use bl_store::Rows;
use proptest::prelude::*;

use super::config::AlertConfig;
use super::judge::{Change, Judge};
use super::rule::Rule;
use super::*;
use crate::source::Sink;
use crate::source::kept::kept;

const MS: i64 = 1_000_000;

fn config(when: &str) -> AlertConfig {
    AlertConfig {
        name: "a".into(),
        table: "benchlab".into(),
        when: when.into(),
        lasting: None,
        clear: None,
        command: Vec::new(),
        enabled: true,
    }
}

fn refusal(config: &AlertConfig) -> String {
    Rule::parse(config).unwrap_err().to_string()
}

/// Stamp, and what pins 1 and 2 of the first connector carry in mA.
type Pins = (i64, Option<i32>, Option<i32>);

/// Rows of a board.
fn rows(uid: &str, of: &[Pins]) -> arrow_array::RecordBatch {
    let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
    let columns = ["hpwr1_wire1_a", "hpwr1_wire2_a"].map(|name| rows.column(name));
    let device = rows.column("device_uid");
    for (ts, first, second) in of {
        rows.begin(*ts, "benchlab.usb");
        rows.str(device, uid);
        rows.decimal(columns[0], *first);
        rows.decimal(columns[1], *second);
    }
    rows.finish()
}

fn judge(config: &AlertConfig) -> Judge {
    Judge::new(vec![Rule::parse(config).unwrap()])
}

fn told(changes: &[Change]) -> Vec<(bool, i64)> {
    changes.iter().map(|c| (c.is_raised, c.ts)).collect()
}

#[test]
fn what_cannot_be_read_is_told_in_one_sentence() {
    let says = |when: &str| refusal(&config(when));
    assert!(says("sys_w").contains("\"sys_w\" is no comparison: write a column, one of"));
    assert!(says("sys_q > 3").contains("table benchlab has no column \"sys_q\""));
    assert!(says("sys_w > much").contains("\"much\" is no number"));
    assert!(says("sys_w > inf").contains("\"inf\" is no number"));
    assert!(says("fan_switch > 3").contains("column \"fan_switch\" holds no numbers"));
    assert!(says("hpwr1_wire*_a > 3").contains("write max(…), min(…) or spread(…)"));
    assert!(says("max(nothing*) > 3").contains("no column \"nothing*\""));
    assert!(says("vdd_v outside 3.6..3.0").contains("the lower end comes first"));
    assert!(says("age > 3 and sys_w > 1").contains("age stands alone"));
    let other = |change: fn(&mut AlertConfig)| {
        let mut config = config("sys_w > 3");
        change(&mut config);
        refusal(&config)
    };
    assert!(other(|c| c.table = "bench".into()).contains("there is no table \"bench\""));
    assert!(other(|c| c.table = "health".into()).contains("there is no table"));
    assert!(other(|c| c.lasting = Some("long".into())).contains("for: \"long\" is no duration"));
    assert!(other(|c| c.lasting = Some("-1s".into())).contains("is no duration"));
    assert!(other(|c| c.clear = Some("<".into())).contains("clear: "));
    assert!(other(|c| c.command = vec![String::new()]).contains("the program has no name"));
    assert!(other(|c| c.name = "a b".into()).starts_with("alert \"a b\": its name has to be"));
}

#[test]
fn the_rules_that_come_along_are_in_order_and_can_be_replaced() {
    let shipped = shipped().unwrap();
    let rules = with_shipped(&[]).unwrap();
    assert_eq!(rules.len(), shipped.len());
    let mut own = config("age > 60");
    own.name = "source_stalled".into();
    let with_own = with_shipped(std::slice::from_ref(&own)).unwrap();
    assert_eq!(with_own.len(), rules.len());
    assert_eq!(with_own.last().unwrap().when, Rule::parse(&own).unwrap().when);
    own.enabled = false;
    assert_eq!(with_shipped(std::slice::from_ref(&own)).unwrap().len(), rules.len() - 1);
    let twice = with_shipped(&[own.clone(), own]).unwrap_err();
    assert!(twice.to_string().contains("two of that name"));
}

#[test]
fn a_rule_is_raised_after_its_time_and_cleared_with_slack() {
    let mut config = config("max(hpwr1_wire*_a) > 9.2");
    config.lasting = Some("1s".into());
    config.clear = Some("max(hpwr1_wire*_a) < 9".into());
    let mut judge = judge(&config);
    let at = |second: i64, amperes: i32| (second * 1000 * MS, Some(4_000), Some(amperes * 100));
    let mut on = |board: &str, of: &[Pins]| {
        told(&judge.rows(bl_schemas::table("benchlab").unwrap(), &rows(board, of), 0))
    };
    assert_eq!(on("A", &[at(0, 93), at(1, 92)]), [], "not long enough: 9.2 is not above");
    assert_eq!(on("A", &[at(2, 93), at(3, 94), at(4, 95)]), [(true, 3_000 * MS)], "once");
    assert_eq!(on("B", &[at(4, 95)]), [], "another board by itself");
    assert_eq!(on("A", &[at(5, 91), at(6, 91), at(7, 89)]), [], "between the two it stays");
    assert_eq!(on("A", &[at(8, 91), at(9, 89), at(10, 89)]), [(false, 10_000 * MS)]);
    assert_eq!(on("B", &[at(5, 95)]), [(true, 5_000 * MS)]);
    let raised = judge.raised();
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].rule.as_str(), raised[0].subject.as_str()), ("a", "B"));
}

#[test]
fn a_missing_reading_says_neither() {
    let mut config = config("spread(hpwr1_wire*_a) > 3");
    config.lasting = Some("1s".into());
    let mut judge = judge(&config);
    let table = bl_schemas::table("benchlab").unwrap();
    let wide = |ms: i64| (ms * MS, Some(1_000), Some(9_000));
    let batch = rows("A", &[wide(0), (500 * MS, None, None), wide(1_000)]);
    let changes = judge.rows(table, &batch, 0);
    assert_eq!(told(&changes), [(true, 1_000 * MS)]);
    assert!(changes[0].detail.contains("spread(hpwr1_wire*_a) is 8.000 (> 3), for 1 s"));
    assert!(changes[0].detail.contains("of A"));
    // One pin alone has no spread beside itself.
    assert_eq!(told(&judge.rows(table, &rows("A", &[(1_100 * MS, Some(5), None)]), 0)), []);
}

#[test]
fn silence_is_told_once_and_over_with_the_next_row() {
    let mut judge = judge(&config("age > 5"));
    let table = bl_schemas::table("benchlab").unwrap();
    assert_eq!(judge.silence(60_000 * MS, 7), [], "what never was there is not silent");
    judge.rows(table, &rows("A", &[(0, None, None)]), 1_000 * MS);
    assert_eq!(told(&judge.silence(6_000 * MS, 7)), []);
    assert_eq!(told(&judge.silence(6_001 * MS, 8)), [(true, 8)]);
    assert_eq!(told(&judge.silence(9_000 * MS, 9)), []);
    let again = judge.rows(table, &rows("A", &[(10, None, None)]), 9_500 * MS);
    assert_eq!(told(&again), [(false, 10)]);
}

/// The definition, row by row: raised at the first row of an unbroken run of wrong ones that spans the time, and the
/// same with right ones.
fn expected(readings: &[Option<i32>], step_ms: i64, for_ms: i64) -> Vec<(bool, i64)> {
    let known: Vec<(i64, bool)> = readings
        .iter()
        .zip(0..)
        .filter_map(|(a, i)| Some((i * step_ms * MS, (*a)? > 5_000)))
        .collect();
    let (mut raised, mut begin, mut changes) = (false, 0, Vec::new());
    for end in 0..known.len() {
        let run = &known[begin..=end];
        let first = run.iter().rposition(|(_, wrong)| *wrong == raised).map_or(0, |i| i + 1);
        if first < run.len() && run[run.len() - 1].0 - run[first].0 >= for_ms * MS {
            raised = !raised;
            changes.push((raised, run[run.len() - 1].0));
            begin = end + 1;
        }
    }
    changes
}

proptest! {
    #[test]
    fn changes_are_those_of_the_definition(
        readings in prop::collection::vec(prop::option::weighted(0.9, 4_990i32..5_010), 1..200),
        for_ms in 0i64..300, split in 1usize..20,
    ) {
        let mut config = config("hpwr1_wire1_a > 5");
        config.lasting = Some(format!("{for_ms}ms"));
        let mut judge = judge(&config);
        let all: Vec<Pins> = readings.iter().zip(0..).map(|(a, i)| (i * 50 * MS, *a, None)).collect();
        let table = bl_schemas::table("benchlab").unwrap();
        let changes: Vec<Change> =
            all.chunks(split).flat_map(|part| judge.rows(table, &rows("A", part), 0)).collect();
        prop_assert_eq!(told(&changes), expected(&readings, 50, for_ms));
    }
}

#[test]
fn the_command_knows_what_happened_and_is_ended_when_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, context) = kept();
    let out = folder.path().join("out");
    let script = format!(
        "echo \"$BL_ALERT $BL_ALERT_STATE $BL_ALERT_SUBJECT\" >> {}; [ $BL_ALERT_STATE = raised ] || sleep 600",
        out.display()
    );
    let mut config = config("hpwr1_wire1_a > 5");
    config.command = ["sh", "-c", &script].map(String::from).into();
    let mut absent = config.clone();
    (absent.name, absent.command) = ("b".into(), vec!["/nowhere/at-all".into()]);
    let rules = [config, absent].iter().map(|c| Rule::parse(c).unwrap()).collect();
    let sink = Arc::new(AlertSink::new(Arc::clone(&kept) as Arc<dyn Sink>));
    let watch = AlertWatch::new(Arc::clone(&sink), rules).unwrap();
    assert!(AlertWatch::new(Arc::clone(&sink), Vec::new()).is_none(), "one at a time");
    let mut watch = watch.with_command_bound(Duration::from_millis(700));
    let table = bl_schemas::table("benchlab").unwrap();
    sink.append(table, rows("A", &[(1, Some(6_000), None), (2, Some(4_000), None)])).unwrap();
    let stop = context.stop().clone();
    let run = move || crate::Source::run(&mut watch, &context);
    let thread = std::thread::Builder::new().name("alert".into()).spawn(run).unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let failures = || kept.health().into_iter().filter(|row| row.0 == "down").collect::<Vec<_>>();
    while failures().len() < 3 {
        assert!(std::time::Instant::now() < until, "{:?}", kept.health());
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.stop();
    thread.join().unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "a raised A\na cleared A\n");
    let words: Vec<String> = failures().into_iter().map(|row| row.2).collect();
    assert!(words.iter().any(|w| w.contains("alert a: sh was ended after 0.7 s")), "{words:?}");
    let absent = words.iter().filter(|w| w.contains("alert b: /nowhere/at-all cannot be started"));
    assert_eq!(absent.count(), 2, "{words:?}");
    let reasons: Vec<String> = kept.health().into_iter().map(|row| row.0).collect();
    assert_eq!(reasons.iter().filter(|r| *r == "alert").count(), 2);
    assert_eq!(reasons.iter().filter(|r| *r == "alert_cleared").count(), 2);
    assert_eq!(kept.of("benchlab").len(), 1, "rows go on to the store");
}
