//! What the kit counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event::Packet;
use event::names::Topic;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::message::Message;

/// Seconds from a quick look-up to the time at which a handler is given up; 2 s is what freshness promises.
const SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.0, 5.0, 20.0, 60.0];
/// The label of whatever the service has not declared: nobody else decides how many series there are.
const OTHER: &str = "other";
/// What becomes of a message, the `outcome` label of `rapids_river_messages_total`. There are no others.
const OUTCOMES: [&str; 17] = [
    // Deleted: handled; not for this service; handled before; a ping, answered.
    "ok",
    "ignored",
    "duplicate",
    "pong",
    // It comes again: the service wants it later; it failed; given back at once because the process stops, or before its
    // turn came another has it; another has it, which this one worked on.
    "retry",
    "failed",
    "released",
    "lost",
    // In the dead-letter queue: out of attempts; refused by the service for good, or the event is wrong; against the rules
    // of the declaration; no event at all; its answers would go on for ever, or are refused by the rapids.
    "exhausted",
    "permanent",
    "poison",
    "invalid",
    "not_text",
    "not_json",
    "not_an_event",
    "loop",
    "refused",
];
/// Seconds from an idle queue to the retention of one.
const QUEUE_SECONDS: [f64; 12] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 900.0, 7_200.0, 86_400.0];

/// Counters of one service on one river. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Topics, patterns among them.
    listens_to: Arc<[String]>,
    emits: &'static [&'static str],
    messages: IntCounterVec,
    handle_seconds: HistogramVec,
    event_age_seconds: HistogramVec,
    in_flight: IntGauge,
    lost: IntCounter,
    queue_seconds: Histogram,
    extended: IntCounter,
    limit: IntGauge,
    bytes_in_flight: IntGauge,
    published: IntCounterVec,
    reports_dropped: IntCounter,
    self_check: IntGauge,
    totals: Arc<Totals>,
}

/// Numbers since the start, for heartbeats.
#[derive(Debug, Default)]
struct Totals {
    handled: AtomicU64,
    failed: AtomicU64,
    quarantined: AtomicU64,
}

/// What a heartbeat tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages that came to a good end.
    pub(crate) handled: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    pub(crate) quarantined: u64,
    pub(crate) in_flight: i64,
}

/// Counts one event as being handled until dropped.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        river: &str,
        listens_to: &[Packet],
        emits: &'static [&'static str],
    ) -> Result<Self, prometheus::Error> {
        let of_river = |name: &str, help: &str| Opts::new(name, help).const_label("river", river);
        let seconds = |name: &str, help: &str| {
            let opts = HistogramOpts::from(of_river(name, help)).buckets(SECONDS.to_vec());
            HistogramVec::new(opts, &["event"])
        };
        let metrics = Self {
            listens_to: listens_to.iter().map(|packet| packet.topic().to_owned()).collect(),
            emits,
            messages: IntCounterVec::new(
                of_river("rapids_river_messages_total", "Messages by what became of them."),
                &["event", "outcome"],
            )?,
            handle_seconds: seconds(
                "rapids_river_handle_seconds",
                "Time to handle an event, its answers published, in seconds.",
            )?,
            event_age_seconds: seconds(
                "rapids_river_event_age_seconds",
                "Age of an event, by its own timestamp, when it was handled, in seconds.",
            )?,
            in_flight: IntGauge::with_opts(of_river(
                "rapids_river_inflight",
                "Events being handled now.",
            ))?,
            lost: IntCounter::with_opts(of_river(
                "rapids_river_lock_lost_total",
                "Messages that became visible to others while they were worked on.",
            ))?,
            queue_seconds: Histogram::with_opts(
                HistogramOpts::from(of_river(
                    "rapids_river_queue_seconds",
                    "Time from the queue taking a message to its first receipt, in seconds.",
                ))
                .buckets(QUEUE_SECONDS.to_vec()),
            )?,
            extended: IntCounter::with_opts(of_river(
                "rapids_river_visibility_extensions_total",
                "Times that a message was kept hidden for longer.",
            ))?,
            limit: IntGauge::with_opts(of_river(
                "rapids_river_concurrency_limit",
                "Events that may be handled at once now.",
            ))?,
            bytes_in_flight: IntGauge::with_opts(of_river(
                "rapids_river_bytes_in_flight",
                "Bytes of messages received and not settled.",
            ))?,
            published: IntCounterVec::new(
                Opts::new(
                    "rapids_publish_total",
                    "Events put onto the rapids, by what came of it.",
                ),
                &["event", "outcome"],
            )?,
            reports_dropped: IntCounter::new(
                "rapids_reports_dropped_total",
                "Reports of the service about itself that found no room.",
            )?,
            self_check: IntGauge::new(
                "rapids_self_check_status",
                "Whether the last self-check of the service went well: 1, or 0.",
            )?,
            totals: Arc::default(),
        };
        metrics.self_check.set(1);
        metrics.all().into_iter().try_for_each(|metric| registry.register(metric))?;
        Ok(metrics)
    }

    fn all(&self) -> [Box<dyn Collector>; 12] {
        [
            Box::new(self.messages.clone()),
            Box::new(self.handle_seconds.clone()),
            Box::new(self.event_age_seconds.clone()),
            Box::new(self.in_flight.clone()),
            Box::new(self.lost.clone()),
            Box::new(self.published.clone()),
            Box::new(self.queue_seconds.clone()),
            Box::new(self.extended.clone()),
            Box::new(self.limit.clone()),
            Box::new(self.bytes_in_flight.clone()),
            Box::new(self.reports_dropped.clone()),
            Box::new(self.self_check.clone()),
        ]
    }

    /// A message has come to its end. `event_type` is empty where there is none.
    pub(crate) fn settled(&self, event_type: &str, outcome: &str) {
        debug_assert!(OUTCOMES.contains(&outcome), "{outcome} is no outcome that anybody knows of");
        let event = heard(&self.listens_to, event_type);
        self.messages.with_label_values(&[event, outcome]).inc();
        let total = match outcome {
            "ok" | "ignored" | "duplicate" | "pong" => &self.totals.handled,
            "failed" | "retry" | "lost" => &self.totals.failed,
            "released" => return,
            _ => &self.totals.quarantined,
        };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// A message has been received, at this time in milliseconds since the Unix epoch. Only a first receipt tells how
    /// long the queue took: between two lies the pause that a failure earned.
    pub(crate) fn received(&self, message: &Message, now_ms: u64) {
        if let (1, Some(sent_ms)) = (message.receives, message.sent_ms) {
            // Two machines' clocks: a message may seem to come before it was sent.
            let waited = Duration::from_millis(now_ms.saturating_sub(sent_ms));
            self.queue_seconds.observe(waited.as_secs_f64());
        }
    }

    /// A message is kept hidden for longer.
    pub(crate) fn extended(&self) {
        self.extended.inc();
    }

    /// Shows how many events may be handled at once.
    pub(crate) fn limit(&self) -> IntGauge {
        self.limit.clone()
    }

    /// Shows the bytes of messages that are held.
    pub(crate) fn bytes_in_flight(&self) -> IntGauge {
        self.bytes_in_flight.clone()
    }

    /// What has come to an end so far.
    pub(crate) fn counts(&self) -> Counts {
        let Totals { handled, failed, quarantined } = &*self.totals;
        let [handled, failed, quarantined] =
            [handled, failed, quarantined].map(|total| total.load(Ordering::Relaxed));
        Counts { handled, failed, quarantined, in_flight: self.in_flight.get() }
    }

    pub(crate) fn report_dropped(&self) {
        self.reports_dropped.inc();
    }

    pub(crate) fn self_check(&self, ok: bool) {
        self.self_check.set(ok.into());
    }

    /// An event was handled. A timer that the service set itself has no age: it was meant to wait.
    pub(crate) fn handled(&self, event_type: &str, took: Duration, age: Option<Duration>) {
        let event = heard(&self.listens_to, event_type);
        self.handle_seconds.with_label_values(&[event]).observe(took.as_secs_f64());
        if let Some(age) = age {
            self.event_age_seconds.with_label_values(&[event]).observe(age.as_secs_f64());
        }
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn lost(&self, messages: usize) {
        self.lost.inc_by(messages as u64);
    }

    pub(crate) fn published(&self, event_type: &str, outcome: &str) {
        let event = said(self.emits, event_type);
        self.published.with_label_values(&[event, outcome]).inc();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A topic that the event's type belongs to.
fn heard<'a>(topics: &'a [String], event_type: &str) -> &'a str {
    topics.iter().find(|topic| Topic::covers(topic, event_type)).map_or(OTHER, String::as_str)
}

fn said(declared: &'static [&'static str], event_type: &str) -> &'static str {
    declared.iter().find(|known| **known == event_type).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undeclared_event_makes_no_series_of_its_own() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, "r", &[Packet::of("ViewPage")], &[]).unwrap();
        for event_type in ["ViewPage", "Surprise1", "Surprise2"] {
            metrics.settled(event_type, "ok");
        }
        let families = registry.gather();
        let messages = families.iter().find(|f| f.name() == "rapids_river_messages_total");
        assert_eq!(messages.unwrap().get_metric().len(), 2);
    }

    #[test]
    fn what_is_in_flight_is_counted_down_by_dropping() {
        let metrics = Metrics::register(&Registry::new(), "r", &[], &[]).unwrap();
        let one = metrics.in_flight();
        assert_eq!(metrics.in_flight.get(), 1);
        drop(one);
        assert_eq!(metrics.in_flight.get(), 0);
    }
}
