//! What the business wants to know of the engine.

use std::time::Duration;

use pond::Collected;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};
use river::Event;

/// Counters of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    collected: IntCounterVec,
    selections: IntCounterVec,
    time_to_offer: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            collected: counter(
                "offers_collected_total",
                "Offers by what became of them: added to a window, a duplicate, or late.",
                "outcome",
            )?,
            selections: counter(
                "offers_selected_total",
                "Selections by whether there is some offer in them, or none.",
                "result",
            )?,
            time_to_offer: Histogram::with_opts(
                HistogramOpts::new(
                    "offers_time_to_offer_seconds",
                    "Time from the event that opened a window to its selection, in seconds.",
                )
                .buckets(vec![0.3, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 3.0, 4.0, 5.0, 10.0, 30.0]),
            )?,
        };
        registry.register(Box::new(metrics.collected.clone()))?;
        registry.register(Box::new(metrics.selections.clone()))?;
        registry.register(Box::new(metrics.time_to_offer.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn collected(&self, collected: Collected) {
        let outcome = match collected {
            Collected::Added => "added",
            Collected::Late { first: true } => "late",
            Collected::Duplicate | Collected::Late { first: false } => "duplicate",
            Collected::NoWindow => return,
        };
        self.collected.with_label_values(&[outcome]).inc();
    }

    /// A selection is out, so long after its window's cause.
    pub(crate) fn selected(&self, selection: &Event, took: Duration) {
        let result = if selection.payload["result"] == "some" { "some" } else { "none" };
        self.selections.with_label_values(&[result]).inc();
        self.time_to_offer.observe(took.as_secs_f64());
    }
}
