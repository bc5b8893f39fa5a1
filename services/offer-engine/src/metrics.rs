//! What the business wants to know of the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::LabelValues;
use need::{Collected, Seen};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use river::Event;

use crate::offer::Offer;

/// Offerers that have a label of their own.
const OFFERERS_MAX: usize = 30;

/// Counters of one engine.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    collected: IntCounterVec,
    late: IntCounterVec,
    offerers: Arc<Mutex<LabelValues>>,
    selections: IntCounterVec,
    amendments: IntCounter,
    time_to_offer: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            collected: counter(
                "offer_engine_offers_total",
                "Offers by what became of them: added to a window, a duplicate, or late.",
                "outcome",
            )?,
            late: IntCounterVec::new(
                Opts::new(
                    "offer_engine_late_total",
                    "Offers that came after their selection, by who made them and what that led to: amended or only recorded.",
                ),
                &["offerer", "action"],
            )?,
            offerers: Arc::new(Mutex::new(LabelValues::new(OFFERERS_MAX))),
            amendments: IntCounter::new(
                "offer_engine_amendments_total",
                "Selections that were put in the place of another, for offers that came later.",
            )?,
            selections: counter(
                "offer_engine_selections_total",
                "Selections by whether there is some offer in them, or none.",
                "result",
            )?,
            time_to_offer: Histogram::with_opts(
                HistogramOpts::new(
                    "offer_engine_selection_seconds",
                    "Time from the event that opened a window to its selection, in seconds.",
                )
                .buckets(vec![0.3, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 3.0, 4.0, 5.0, 10.0, 30.0]),
            )?,
        };
        registry.register(Box::new(metrics.collected.clone()))?;
        registry.register(Box::new(metrics.late.clone()))?;
        registry.register(Box::new(metrics.selections.clone()))?;
        registry.register(Box::new(metrics.amendments.clone()))?;
        registry.register(Box::new(metrics.time_to_offer.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn saw(&self, seen: &Seen<'_, Offer>) {
        match *seen {
            Seen::Collected(collected) => self.collected(collected),
            Seen::Late { solution, amended } => {
                let action = if amended { "amended" } else { "recorded" };
                let mut offerers = self.offerers.lock().unwrap_or_else(PoisonError::into_inner);
                self.late.with_label_values(&[offerers.of(&solution.offerer), action]).inc();
            }
            Seen::Chosen { choice, revision: 1, took } => self.selected(choice, took),
            Seen::Chosen { .. } => self.amendments.inc(),
        }
    }

    fn collected(&self, collected: Collected) {
        let outcome = match collected {
            Collected::Added => "added",
            Collected::Late { first: true } => "late",
            Collected::Duplicate | Collected::Late { first: false } => "duplicate",
            Collected::NoWindow => return,
        };
        self.collected.with_label_values(&[outcome]).inc();
    }

    /// A selection is out, so long after its window's cause.
    fn selected(&self, selection: &Event, took: Duration) {
        let result = if selection.payload["result"] == "some" { "some" } else { "none" };
        self.selections.with_label_values(&[result]).inc();
        self.time_to_offer.observe(took.as_secs_f64());
    }
}
