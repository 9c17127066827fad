//! Names and formats.

use super::host::{Rule, rule};
use super::*;

#[test]
fn columns_become_metrics_in_base_units() {
    let named = |table, column| rule(table, column).map(|r| (r.name, r.factor, r.is_counter));
    let made = |name: &str, factor, is_counter| Some((name.to_string(), factor, is_counter));
    assert_eq!(named("gpu", "util_pct"), made("util_ratio", 0.01, false));
    assert_eq!(named("gpu", "core_mhz"), made("core_hertz", 1e6, false));
    assert_eq!(named("gpu", "mem_used_bytes"), made("mem_used_bytes", 1.0, false));
    assert_eq!(named("net", "rx_bytes"), made("rx_bytes_total", 1.0, true));
    assert_eq!(named("rapl", "energy_j"), made("energy_joules_total", 1.0, true));
    assert_eq!(named("disk", "read_busy_ms"), made("read_busy_seconds_total", 1e-3, true));
    assert_eq!(named("net", "rx_bytes_per_s"), None);
    // No two columns of a table make one metric.
    for table in bl_schemas::tables() {
        let rules = table.columns.iter().filter_map(|c| rule(&table.name, &c.name));
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
