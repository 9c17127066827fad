//! Names and formats, and that the Grafana dashboard asks for what is there.

use bl_schemas::{Kind, Metric};
use bl_store::clock::monotonic_ns;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

use super::host::{Rule, rule};
use super::*;

#[test]
fn columns_become_metrics_in_base_units() {
    let named = |table: &str, column: &str| {
        let column = bl_schemas::table(table).unwrap().column(column).unwrap();
        rule(column).map(|r| (r.name, r.factor, r.metric))
    };
    let gauge = |name: &str, factor| Some((name.to_string(), factor, Metric::Gauge));
    let counter = |name: &str, factor| Some((name.to_string(), factor, Metric::Counter));
    assert_eq!(named("gpu", "util_pct"), gauge("util_ratio", 0.01));
    assert_eq!(named("gpu", "core_mhz"), gauge("core_hertz", 1e6));
    assert_eq!(named("gpu", "mem_used_bytes"), gauge("mem_used_bytes", 1.0));
    assert_eq!(named("gpu", "held_by_heat_ns"), counter("held_by_heat_seconds_total", 1e-9));
    assert_eq!(named("net", "rx_bytes"), counter("rx_bytes_total", 1.0));
    assert_eq!(named("rapl", "energy_j"), counter("energy_joules_total", 1.0));
    assert_eq!(named("disk", "read_busy_ms"), counter("read_busy_seconds_total", 1e-3));
    assert_eq!(named("cpu", "user_ticks"), counter("user_seconds_total", 1e-2));
    assert_eq!(named("net", "rx_bytes_per_s"), None);
    // No two columns of a table make one metric.
    for table in bl_schemas::tables() {
        let rules = table.columns.iter().filter_map(rule);
        let mut names: Vec<String> = rules.map(|Rule { name, .. }| name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{}", table.name);
    }
}

#[test]
fn openmetrics_names_counters_by_their_rules() {
    let mut families = Families::default();
    families.counter("bl_a_total", "a \"help\"", &[("x", "q\"\\\n")], 3.0);
    families.gauge("bl_b", "b", &[], f64::NAN);
    families.histogram("bl_c_seconds", "c", &[], (&[0.1, 1.0], &[1, 2, 3], 9.5));
    let text = openmetrics::encode(&families.into_sorted());
    let expected = "# TYPE bl_a counter\n# HELP bl_a a \\\"help\\\"\nbl_a_total{x=\"q\\\"\\\\\\n\"} 3\n\
        # TYPE bl_c_seconds histogram\n# HELP bl_c_seconds c\nbl_c_seconds_bucket{le=\"0.1\"} 1\n\
        bl_c_seconds_bucket{le=\"1.0\"} 3\nbl_c_seconds_bucket{le=\"+Inf\"} 6\nbl_c_seconds_sum 9.5\n\
        bl_c_seconds_count 6\n# EOF\n";
    assert_eq!(text, expected);
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3";
    assert_eq!(Format::accepted(accept), Format::OpenMetrics);
    assert_eq!(Format::accepted("*/*"), Format::Classic);
}

/// A row of the table that has every reading.
fn full_row(writer: &SessionWriter, table: &str, ts_ns: i64) {
    let table = bl_schemas::table(table).unwrap();
    let mut rows = Rows::new(table);
    rows.begin(ts_ns, "t.source");
    for column in table.columns.iter().filter(|c| !c.is_constant_in_a_session()) {
        let at = rows.column(&column.name);
        match column.kind {
            Kind::Timestamp => {}
            _ if column.name == "source" => {}
            // The series of all processors is the one that the dashboard shows.
            Kind::Dict | Kind::Utf8 => rows.str(at, "all"),
            Kind::Bool => rows.bool(at, true),
            Kind::F32 => rows.f32(at, 1.0),
            Kind::F64 => rows.f64(at, 1.0),
            Kind::I16 => rows.i16(at, 1),
            Kind::I32 => rows.i32(at, 1),
            Kind::I64 => rows.i64(at, 1),
            Kind::U64 => rows.u64(at, 1),
            Kind::Decimal { .. } => rows.decimal(at, 1_000),
        }
    }
    writer.append(table, rows.finish()).unwrap();
}

/// The name and the label matchers of each series that a query asks for.
fn selectors(query: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = query.match_indices("bl_").map(|(at, _)| &query[at..]);
    let selector = |rest: &str| {
        let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = matchers.map_or("", |(matchers, _)| matchers).split(',');
        let own = matchers.filter(|m| !m.is_empty() && !m.starts_with("instance"));
        (name.to_string(), own.map(String::from).collect())
    };
    starts.map(selector).collect()
}

#[test]
fn the_dashboard_asks_for_series_that_are_there() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer =
        SessionWriter::begin(&store, SessionSpec::default(), WriteOptions::default()).unwrap();
    let now_ns = writer.anchor().ts(monotonic_ns());
    for table in ["benchlab", "gpu", "cpu", "memory", "net", "disk", "pipeline"] {
        full_row(&writer, table, now_ns);
    }
    writer.flush().unwrap();
    let feed = Feed::start(FeedOptions {
        store,
        pairs: vec![("ingress".into(), "encoded".into())],
        window_ns: 2_000_000_000,
        steps: Vec::new(),
        node: "test".into(),
        version: "0".into(),
    });
    let text = render(&feed.unwrap(), &MetricOptions::default(), Format::Classic).unwrap();

    let dashboard = include_str!("../../../deploy/grafana/dashboards/bl.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter_map(|variable| variable["query"].as_str());
    let asked: Vec<_> = queries.chain(variables).flat_map(selectors).collect();
    assert!(asked.len() > 10, "{asked:?}");
    for (name, matchers) in asked {
        let is_it = |line: &str| {
            let rest = line.strip_prefix(&name).filter(|rest| rest.starts_with(['{', ' ']));
            rest.is_some_and(|rest| matchers.iter().all(|matcher| rest.contains(matcher)))
        };
        assert!(text.lines().any(is_it), "no {name} with {matchers:?} in {text}");
    }
}
