//! The figures of a Kinesis consumer, as Prometheus metrics.
//!
//! Units are base units and every label is bounded: those that name a shard go when this process stops reading
//! it. The meanings are those of [`kcl::Metrics`].

use std::sync::Arc;
use std::time::Duration;

use kcl::{Access, Api, Ended, Fate, Got, Look, Loss};
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// From a hand-over within one process to a failover with the KCL's default of 10 s, and a drain of 30 s.
const HANDOVER_SECONDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 45.0];
/// From an answer in the same zone to a call that was tried again.
const CALL_SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Metrics for a consumer, registered under names that begin with `kcl_`.
///
/// # Errors
/// A second consumer for the same registry.
pub fn consumer_metrics(registry: &Registry) -> Result<Arc<dyn kcl::Metrics>, prometheus::Error> {
    let metrics = ConsumerMetrics::new()?;
    for collector in metrics.collectors() {
        registry.register(collector)?;
    }
    Ok(Arc::new(metrics))
}

struct ConsumerMetrics {
    records: IntCounterVec,
    record_bytes: IntCounterVec,
    behind: GaugeVec,
    checkpoint_age: GaugeVec,
    leases: IntGaugeVec,
    workers: IntGauge,
    hole: Gauge,
    got: IntCounterVec,
    lost: IntCounterVec,
    handover: Histogram,
    bytes_in_flight: IntGauge,
    bytes_in_flight_max: IntGauge,
    throttled: IntCounterVec,
    calls: HistogramVec,
    failed_calls: IntCounterVec,
    capacity: CounterVec,
}

impl ConsumerMetrics {
    fn new() -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let gauge = |name, help, label| GaugeVec::new(Opts::new(name, help), &[label]);
        let seconds = |name: &str, help: &str, buckets: &[f64]| {
            HistogramOpts::new(name, help).buckets(buckets.to_vec())
        };
        let calls = "Time of a call to Kinesis or DynamoDB.";
        let handover = "From the release of a lease by another worker to the first read here.";
        Ok(Self {
            records: counter("kcl_records_total", "Records by what became of them.", "fate")?,
            record_bytes: counter("kcl_record_bytes_total", "Their bytes.", "fate")?,
            behind: gauge(
                "kcl_shard_behind_seconds",
                "Distance of the last read from the tip of its shard.",
                "shard",
            )?,
            checkpoint_age: gauge(
                "kcl_shard_checkpoint_age_seconds",
                "Age of the newest record that the checkpoint had passed when it was saved.",
                "shard",
            )?,
            leases: IntGaugeVec::new(
                Opts::new("kcl_leases", "Leases of shards that are not processed to their end."),
                &["state"],
            )?,
            workers: IntGauge::new("kcl_workers", "Workers that hold leases of this stream.")?,
            hole: Gauge::new(
                "kcl_hash_range_hole_seconds",
                "For how long some part of the key space has had no lease; 0 while all of it has.",
            )?,
            got: counter("kcl_leases_got_total", "Leases that were got, by how.", "how")?,
            lost: counter("kcl_leases_lost_total", "Leases that were lost, by why.", "reason")?,
            handover: Histogram::with_opts(seconds(
                "kcl_handover_seconds",
                handover,
                &HANDOVER_SECONDS,
            ))?,
            bytes_in_flight: IntGauge::new(
                "kcl_bytes_in_flight",
                "Bytes of records that this process holds, or has made room for.",
            )?,
            bytes_in_flight_max: IntGauge::new(
                "kcl_bytes_in_flight_max",
                "The most that it may hold.",
            )?,
            throttled: counter("kcl_throttled_total", "Calls refused as too many.", "api")?,
            calls: HistogramVec::new(seconds("kcl_call_seconds", calls, &CALL_SECONDS), &["api"])?,
            failed_calls: counter("kcl_call_failures_total", "Calls not answered.", "api")?,
            capacity: CounterVec::new(
                Opts::new(
                    "kcl_dynamodb_capacity_units_total",
                    "Capacity units of DynamoDB that calls used.",
                ),
                &["access"],
            )?,
        })
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.records.clone()),
            Box::new(self.record_bytes.clone()),
            Box::new(self.behind.clone()),
            Box::new(self.checkpoint_age.clone()),
            Box::new(self.leases.clone()),
            Box::new(self.workers.clone()),
            Box::new(self.hole.clone()),
            Box::new(self.got.clone()),
            Box::new(self.lost.clone()),
            Box::new(self.handover.clone()),
            Box::new(self.bytes_in_flight.clone()),
            Box::new(self.bytes_in_flight_max.clone()),
            Box::new(self.throttled.clone()),
            Box::new(self.calls.clone()),
            Box::new(self.failed_calls.clone()),
            Box::new(self.capacity.clone()),
        ]
    }
}

impl kcl::Metrics for ConsumerMetrics {
    fn records(&self, fate: Fate, records: u64, bytes: u64) {
        self.records.with_label_values(&[fate.name()]).inc_by(records);
        self.record_bytes.with_label_values(&[fate.name()]).inc_by(bytes);
    }

    fn behind(&self, shard: &str, behind: Duration) {
        self.behind.with_label_values(&[shard]).set(behind.as_secs_f64());
    }

    fn checkpoint_age(&self, shard: &str, age: Duration) {
        self.checkpoint_age.with_label_values(&[shard]).set(age.as_secs_f64());
    }

    fn shard_ended(&self, shard: &str, _why: Ended) {
        // Absent when nothing was ever read of the shard.
        self.behind.remove_label_values(&[shard]).ok();
        self.checkpoint_age.remove_label_values(&[shard]).ok();
    }

    fn looked(&self, look: &Look) {
        for (state, leases) in [
            ("held", look.held),
            ("open", look.open),
            ("expired", look.expired),
            ("spillover", look.spillover),
        ] {
            self.leases.with_label_values(&[state]).set(whole(leases));
        }
        self.workers.set(whole(look.workers));
        self.hole.set(look.hole.unwrap_or_default().as_secs_f64());
    }

    fn lease_got(&self, how: Got) {
        self.got.with_label_values(&[how.name()]).inc();
    }

    fn lease_lost(&self, why: Loss) {
        self.lost.with_label_values(&[why.name()]).inc();
    }

    fn handed_over(&self, took: Duration) {
        self.handover.observe(took.as_secs_f64());
    }

    fn bytes_in_flight(&self, bytes: usize, most: usize) {
        self.bytes_in_flight.set(whole(bytes));
        self.bytes_in_flight_max.set(whole(most));
    }

    fn throttled(&self, api: Api) {
        self.throttled.with_label_values(&[api.name()]).inc();
    }

    fn called(&self, api: Api, took: Duration, ok: bool) {
        self.calls.with_label_values(&[api.name()]).observe(took.as_secs_f64());
        if !ok {
            self.failed_calls.with_label_values(&[api.name()]).inc();
        }
    }

    fn capacity(&self, access: Access, units: f64) {
        self.capacity.with_label_values(&[access.name()]).inc_by(units);
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn the_gauges_of_a_shard_go_when_it_is_read_elsewhere() {
        let registry = Registry::new();
        let metrics = consumer_metrics(&registry).unwrap();
        metrics.behind("shardId-000000000007", Duration::from_millis(1_500));
        assert!(
            text(&registry)
                .contains("kcl_shard_behind_seconds{shard=\"shardId-000000000007\"} 1.5")
        );
        metrics.shard_ended("shardId-000000000007", Ended::HandedOver);
        assert!(!text(&registry).contains("shardId-000000000007"));
    }

    #[test]
    fn a_look_tells_leases_by_state_and_a_hole_by_its_age() {
        let registry = Registry::new();
        let metrics = consumer_metrics(&registry).unwrap();
        let hole = Some(Duration::from_secs(12));
        metrics.looked(&Look { held: 2, open: 4, workers: 2, hole, ..Look::default() });
        let text = text(&registry);
        assert!(text.contains("kcl_leases{state=\"held\"} 2"), "{text}");
        assert!(text.contains("kcl_hash_range_hole_seconds 12"), "{text}");
    }

    #[test]
    fn a_second_consumer_needs_a_registry_of_its_own() {
        let registry = Registry::new();
        consumer_metrics(&registry).unwrap();
        assert!(consumer_metrics(&registry).is_err());
    }
}
