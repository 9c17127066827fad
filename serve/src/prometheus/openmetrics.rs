//! OpenMetrics 1.0.0 text: as the classic format, but counters are named without `_total` in their metadata, and the
//! end is marked.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        let (name, kind) = match family.get_field_type() {
            MetricType::COUNTER => {
                (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter")
            }
            MetricType::HISTOGRAM => (family.name(), "histogram"),
            _ => (family.name(), "gauge"),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(out, "# TYPE {name} {kind}");
        let _ = writeln!(out, "# HELP {name} {}", escaped(family.help()));
        for metric in family.get_metric() {
            match kind {
                "counter" => {
                    let value = metric.get_counter().get_value();
                    line(&mut out, &format!("{name}_total"), metric, None, value);
                }
                "histogram" => histogram(&mut out, name, metric),
                _ => line(&mut out, name, metric, None, metric.get_gauge().get_value()),
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn histogram(out: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let bucket = format!("{name}_bucket");
    for b in histogram.get_bucket() {
        let count = b.cumulative_count() as f64;
        line(out, &bucket, metric, Some(format!("{:?}", b.upper_bound())), count);
    }
    let count = histogram.get_sample_count() as f64;
    line(out, &bucket, metric, Some("+Inf".into()), count);
    line(out, &format!("{name}_sum"), metric, None, histogram.get_sample_sum());
    line(out, &format!("{name}_count"), metric, None, count);
}

fn line(out: &mut String, name: &str, metric: &Metric, le: Option<String>, value: f64) {
    let label = |pair: &LabelPair| format!("{}=\"{}\"", pair.name(), escaped(pair.value()));
    let labels = metric.get_label().iter().map(label);
    let labels: Vec<String> = labels.chain(le.map(|le| format!("le=\"{le}\""))).collect();
    let _ = match labels.is_empty() {
        true => writeln!(out, "{name} {value}"),
        false => writeln!(out, "{name}{{{}}} {value}", labels.join(",")),
    };
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
