//! What the reader counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

/// By which way an event gets to a river.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By the SNS topic and the river's filter.
    Sns,
    /// Straight to the river's queue.
    Direct,
}

/// What becomes of a record.
const OUTCOMES: [&str; 2] = ["published", "quarantined"];

/// Counters and gauges of one reader.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    records: IntCounterVec,
    quarantined: IntCounterVec,
    publish_retries: IntCounterVec,
    routed: IntCounterVec,
    routes: IntGauge,
    routes_version: IntGauge,
    routes_unreadable: IntGauge,
    pub(crate) batch_fill: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let gauge = |name, help| IntGauge::new(name, help);
        let metrics = Self {
            records: IntCounterVec::new(
                Opts::new(
                    "rapids_reader_records_total",
                    "Records of the rapids by what became of them; of shards that this process reads.",
                ),
                &["shard", "outcome"],
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
            routed: IntCounterVec::new(
                Opts::new(
                    "rapids_reader_route_total",
                    "Deliveries, to SNS or to a river's queue, by what became of them.",
                ),
                &["mode", "outcome"],
            )?,
            routes: gauge("rapids_reader_routes", "Rivers that are fed directly.")?,
            routes_version: gauge("rapids_reader_routes_version", "Version of the routes.")?,
            routes_unreadable: gauge(
                "rapids_reader_routes_unreadable",
                "Rivers whose routes in the table cannot be read.",
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
        registry.register(Box::new(metrics.routed.clone()))?;
        registry.register(Box::new(metrics.routes.clone()))?;
        registry.register(Box::new(metrics.routes_version.clone()))?;
        registry.register(Box::new(metrics.routes_unreadable.clone()))?;
        registry.register(Box::new(metrics.batch_fill.clone()))?;
        Ok(metrics)
    }

    /// A shard is read from now on. A counter that is born with its first records hides these from every `rate()`.
    pub(crate) fn shard_started(&self, shard: &str) {
        self.done(shard, 0, 0);
    }

    /// A shard is not read here any more: its series go, or there would be one for each that ever was.
    pub(crate) fn shard_ended(&self, shard: &str) {
        for outcome in OUTCOMES {
            self.records.remove_label_values(&[shard, outcome]).ok(); // Absent where it did not begin.
        }
    }

    /// Records that are done with: carried to all that were to get them, or in the quarantine for some of these.
    pub(crate) fn done(&self, shard: &str, carried: usize, quarantined: usize) {
        for (outcome, records) in OUTCOMES.into_iter().zip([carried, quarantined]) {
            self.records.with_label_values(&[shard, outcome]).inc_by(records as u64);
        }
    }

    /// A record was put into the quarantine.
    pub(crate) fn quarantined(&self, reason: &str) {
        self.quarantined.with_label_values(&[reason]).inc();
    }

    pub(crate) fn delivered(&self, mode: Mode, entries: usize) {
        self.route(mode, "delivered", entries);
    }

    pub(crate) fn retried(&self, mode: Mode, entries: usize) {
        self.route(mode, "retried", entries);
        if mode == Mode::Sns {
            self.publish_retries.with_label_values(&["entry"]).inc_by(entries as u64);
        }
    }

    pub(crate) fn routed_to_quarantine(&self, mode: Mode, ways: usize) {
        self.route(mode, "quarantined", ways);
    }

    /// What is known of the routes.
    pub(crate) fn routes(&self, rivers: usize, version: u64, unreadable: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.routes.set(number(rivers));
        self.routes_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        self.routes_unreadable.set(number(unreadable));
    }

    fn route(&self, mode: Mode, outcome: &str, entries: usize) {
        let mode = match mode {
            Mode::Sns => "sns",
            Mode::Direct => "direct",
        };
        self.routed.with_label_values(&[mode, outcome]).inc_by(entries as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_counts_from_nothing_on_and_goes_when_it_is_read_elsewhere() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let series = || {
            let families = registry.gather();
            let of =
                |it: &&prometheus::proto::MetricFamily| it.name() == "rapids_reader_records_total";
            families.iter().find(of).map_or(0, |it| it.get_metric().len())
        };
        metrics.shard_started("a");
        metrics.shard_started("b");
        assert_eq!(series(), 4);
        metrics.done("a", 3, 1);
        let count = |outcome| metrics.records.with_label_values(&["a", outcome]).get();
        assert_eq!((count("published"), count("quarantined")), (3, 1));
        metrics.shard_ended("a");
        assert_eq!(series(), 2);
    }
}
