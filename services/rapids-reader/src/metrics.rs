//! What the reader counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

/// Counters and gauges of one reader.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    records: IntCounterVec,
    quarantined: IntCounterVec,
    publish_retries: IntCounterVec,
    pub(crate) batch_fill: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            records: counter(
                "rapids_reader_records_total",
                "Records of the rapids by what became of them.",
                "outcome",
            )?,
            quarantined: counter(
                "rapids_reader_quarantined_total",
                "Records put into the quarantine, by reason.",
                "reason",
            )?,
            publish_retries: counter(
                "rapids_reader_publish_retries_total",
                "Entries that SNS did not accept at first, by what failed.",
                "scope",
            )?,
            batch_fill: Histogram::with_opts(
                HistogramOpts::new(
                    "rapids_reader_batch_fill_ratio",
                    "Entries in a publish request, of the ten that SNS takes.",
                )
                .buckets((1..=10).map(|tenth| f64::from(tenth) / 10.0).collect()),
            )?,
        };
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.quarantined.clone()))?;
        registry.register(Box::new(metrics.publish_retries.clone()))?;
        registry.register(Box::new(metrics.batch_fill.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn published(&self, records: usize) {
        self.records.with_label_values(&["published"]).inc_by(records as u64);
    }

    pub(crate) fn quarantined(&self, reason: &str) {
        self.records.with_label_values(&["quarantined"]).inc();
        self.quarantined.with_label_values(&[reason]).inc();
    }

    pub(crate) fn retried(&self, scope: &'static str, entries: usize) {
        self.publish_retries.with_label_values(&[scope]).inc_by(entries as u64);
    }
}
