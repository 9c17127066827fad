//! What rules find in rows, one after the other.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bl_schemas::Table;

use super::rule::Rule;

/// An alert that was raised or cleared.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The rule's name.
    pub rule: String,
    /// What it is about: a board's UID, a card; empty where the table has one thing only.
    pub subject: String,
    /// Raised, or cleared.
    pub is_raised: bool,
    /// When, UTC: the reading that settled it.
    pub ts: i64,
    /// A sentence.
    pub detail: String,
    /// What is to be started.
    pub command: Vec<String>,
}

/// An alert that is raised now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub subject: String,
}

/// Judges rows by rules.
#[derive(Debug)]
pub(super) struct Judge {
    rules: Vec<Judged>,
}

#[derive(Debug)]
struct Judged {
    rule: Rule,
    subjects: HashMap<String, Subject>,
}

/// How it stands between a rule and a subject.
#[derive(Debug, Clone, Copy, Default)]
struct Subject {
    is_raised: bool,
    /// Since when its readings have spoken for a change, in `ts`.
    since: Option<i64>,
    /// When its last row came, `CLOCK_MONOTONIC`.
    seen_ns: i64,
}

impl Judge {
    pub fn new(rules: Vec<Rule>) -> Self {
        let judged = |rule| Judged { rule, subjects: HashMap::new() };
        Self { rules: rules.into_iter().map(judged).collect() }
    }

    /// Judges rows that came at `now_ns`.
    pub fn rows(&mut self, table: &'static Table, rows: &RecordBatch, now_ns: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut of_table =
            self.rules.iter_mut().filter(|j| j.rule.table.name == table.name).peekable();
        if of_table.peek().is_none() {
            return changes;
        }
        let keys = keys(table, rows);
        let stamps = rows.column(0).as_primitive_opt::<TimestampNanosecondType>();
        let Some(stamps) = stamps else { return changes };
        for judged in of_table {
            for row in 0..rows.num_rows() {
                let key = key_of(&keys, row);
                changes.extend(judged.row(key, rows, row, stamps.value(row), now_ns));
            }
        }
        changes
    }

    /// Judges what has fallen silent.
    pub fn silence(&mut self, now_ns: i64, now_ts: i64) -> Vec<Change> {
        self.rules.iter_mut().flat_map(|judged| judged.silence(now_ns, now_ts)).collect()
    }

    /// What is raised.
    pub fn raised(&self) -> Vec<Raised> {
        let of = |judged: &Judged| -> Vec<Raised> {
            let raised = judged.subjects.iter().filter(|(_, s)| s.is_raised);
            let rule = || judged.rule.name.clone();
            raised.map(|(key, _)| Raised { rule: rule(), subject: key.clone() }).collect()
        };
        self.rules.iter().flat_map(of).collect()
    }
}

impl Judged {
    fn row(
        &mut self,
        key: String,
        rows: &RecordBatch,
        row: usize,
        ts: i64,
        now_ns: i64,
    ) -> Option<Change> {
        let rule = &self.rule;
        let subject = self.subjects.entry(key.clone()).or_default();
        subject.seen_ns = now_ns;
        if rule.age().is_some() {
            let was_raised = std::mem::take(&mut subject.is_raised);
            return was_raised.then(|| change(rule, key, false, ts, "rows come again".into()));
        }
        // A reading that is missing says neither.
        let speaks_for_change = match (subject.is_raised, &rule.clear) {
            (false, _) => rule.when.is_met(rows, row)?,
            (true, Some(clear)) => clear.is_met(rows, row)?,
            (true, None) => !rule.when.is_met(rows, row)?,
        };
        if !speaks_for_change {
            subject.since = None;
            return None;
        }
        let since = *subject.since.get_or_insert(ts);
        if ts - since < rule.lasting_ns {
            return None;
        }
        subject.since = None;
        subject.is_raised = !subject.is_raised;
        let described = rule.when.described(rows, row);
        Some(change(rule, key, subject.is_raised, ts, described))
    }

    fn silence(&mut self, now_ns: i64, now_ts: i64) -> Vec<Change> {
        let rule = &self.rule;
        let Some(age) = rule.age() else { return Vec::new() };
        let mut changes = Vec::new();
        for (key, subject) in self.subjects.iter_mut().filter(|(_, subject)| !subject.is_raised) {
            let age_s = (now_ns - subject.seen_ns - rule.lasting_ns) as f64 / 1e9;
            if age.is_met(age_s) {
                subject.is_raised = true;
                let detail = format!("no row for {:.1} s", (now_ns - subject.seen_ns) as f64 / 1e9);
                changes.push(change(rule, key.clone(), true, now_ts, detail));
            }
        }
        changes
    }
}

fn change(rule: &Rule, subject: String, is_raised: bool, ts: i64, what: String) -> Change {
    let of = if subject.is_empty() { String::new() } else { format!(" of {subject}") };
    let lasting = match rule.lasting_ns {
        0 => String::new(),
        ns => format!(", for {} s", ns as f64 / 1e9),
    };
    let verb = if is_raised { "" } else { " is over" };
    let detail = format!("{}{verb}: {what}{lasting}; table {}{of}", rule.name, rule.table.name);
    Change {
        rule: rule.name.clone(),
        subject,
        is_raised,
        ts,
        detail,
        command: rule.command.clone(),
    }
}

/// The columns that tell one thing of a table from another: a board's UID, else every short text beside `source`.
fn keys<'a>(table: &Table, rows: &'a RecordBatch) -> Vec<&'a dyn Array> {
    let is_text =
        |name: &&str| rows.column_by_name(name).is_some_and(|c| *c.data_type() == DataType::Utf8);
    let uid = ["device_uid"].into_iter().find(is_text);
    let dicts =
        table.columns.iter().filter(|c| c.kind == bl_schemas::Kind::Dict && c.name != "source");
    let names: Vec<&str> = match uid {
        Some(uid) => vec![uid],
        None => dicts.map(|c| c.name.as_str()).filter(is_text).collect(),
    };
    names.into_iter().filter_map(|name| Some(rows.column_by_name(name)?.as_ref())).collect()
}

fn key_of(keys: &[&dyn Array], row: usize) -> String {
    let texts = keys.iter().filter_map(|column| column.as_string_opt::<i32>());
    let known = texts.filter(|column| column.is_valid(row)).map(|column| column.value(row));
    known.collect::<Vec<_>>().join(" ")
}
