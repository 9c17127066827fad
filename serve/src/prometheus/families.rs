//! Families of metrics, gathered by name.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// Label names with their values.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

/// All families of one scrape.
#[derive(Default)]
pub(super) struct Families(BTreeMap<String, MetricFamily>);

impl Families {
    /// Adds a value that can go up and down; one that is not there is left out.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &Labels<'_>, value: f64) {
        if value.is_nan() {
            return;
        }
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.add(name, help, MetricType::GAUGE, metric);
    }

    /// Adds a sum; its name ends in `_total`. One that is not there is left out.
    pub fn counter(&mut self, name: &str, help: &str, labels: &Labels<'_>, value: f64) {
        if value.is_nan() {
            return;
        }
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.add(name, help, MetricType::COUNTER, metric);
    }

    /// Adds a distribution: upper bounds, counts of each bin (one more than bounds), and the sum.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<'_>,
        (bounds, counts, sum): (&[f64], &[u64], f64),
    ) {
        let mut cumulative = 0;
        let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.add(name, help, MetricType::HISTOGRAM, metric);
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metric: Metric) {
        let family = self.0.entry(name.into()).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.into());
            family.set_help(help.into());
            family.set_field_type(kind);
            family
        });
        family.mut_metric().push(metric);
    }

    /// The families by name.
    pub fn into_sorted(self) -> Vec<MetricFamily> {
        self.0.into_values().collect()
    }
}

fn pairs(labels: &Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    };
    labels.iter().map(pair).collect()
}
