//! What the business wants to know.

use prometheus::core::Collector;
use prometheus::{CounterVec, HistogramVec, IntCounterVec, Opts};

use super::{Made, boxed, counter, spread};

/// From an engine that waits for nobody to a window that stood still; a window of 2 s is the default.
const OFFER_SECONDS: [f64; 12] = [0.3, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 3.0, 4.0, 5.0, 10.0, 30.0];
/// Offers in a selection.
const OFFERS: [f64; 7] = [0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 50.0];

/// Views, offers, and what became of them.
#[derive(Clone, Debug)]
pub(crate) struct Offers {
    pub(crate) page_views: IntCounterVec,
    pub(crate) proposed: IntCounterVec,
    pub(crate) selected: IntCounterVec,
    pub(crate) amended: IntCounterVec,
    pub(crate) per_view: HistogramVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) judged: IntCounterVec,
    pub(crate) value: CounterVec,
    pub(crate) shown: IntCounterVec,
    pub(crate) accepted: IntCounterVec,
    pub(crate) arms: IntCounterVec,
    pub(crate) segments: IntCounterVec,
    pub(crate) memberships: IntCounterVec,
}

impl Offers {
    pub(super) fn new() -> Made<Self> {
        let offers = Self {
            page_views: counter("offers_page_views_total", "Views of pages.", &["synthetic"])?,
            proposed: counter(
                "offers_proposed_total",
                "Offers by who made them and on what they rest.",
                &["offerer", "version", "basis", "synthetic"],
            )?,
            selected: counter(
                "offers_selected_total",
                "Selections by whether there is some offer in them, or none.",
                &["engine_version", "arm", "result", "synthetic"],
            )?,
            amended: counter(
                "offers_amended_total",
                "Selections that were put in the place of another, for offers that came later.",
                &["synthetic"],
            )?,
            per_view: spread("offers_per_view", "Offers in a selection.", &["synthetic"], &OFFERS)?,
            seconds: spread(
                "offers_time_to_offer_seconds",
                "Time from a view to its selection, by the events' own timestamps, in seconds.",
                &["arm", "synthetic"],
                &OFFER_SECONDS,
            )?,
            judged: counter(
                "offers_views_judged_total",
                "Views by what came of them in time: offered, empty (a selection without offers) or missing (none).",
                &["result", "synthetic"],
            )?,
            value: CounterVec::new(
                Opts::new(
                    "offers_value_total",
                    "Expected margin of the best offer of each selection, in minor units of the currency.",
                ),
                &["arm", "synthetic"],
            )?,
            shown: counter("offers_shown_total", "Offers shown.", &["arm", "synthetic"])?,
            accepted: counter(
                "offers_accepted_total",
                "Offers accepted, by who made them.",
                &["arm", "offerer", "synthetic"],
            )?,
            arms: counter(
                "offers_by_arm_total",
                "Offers shown and accepted, for each arm of each experiment, without synthetic customers; control is true for the first arm.",
                &["experiment", "arm", "control", "outcome"],
            )?,
            segments: counter(
                "segments_resolved_total",
                "Customers segmented, by segment.",
                &["segment", "synthetic"],
            )?,
            memberships: counter(
                "memberships_resolved_total",
                "Memberships resolved, by tier.",
                &["tier", "synthetic"],
            )?,
        };
        offers.born_at_zero();
        Ok(offers)
    }

    /// A counter that is born with its first event hides that event from every `increase()`.
    fn born_at_zero(&self) {
        for synthetic in ["true", "false"] {
            self.page_views.with_label_values(&[synthetic]);
            self.amended.with_label_values(&[synthetic]);
            self.per_view.with_label_values(&[synthetic]);
            self.seconds.with_label_values(&["", synthetic]);
            self.value.with_label_values(&["", synthetic]);
            self.shown.with_label_values(&["", synthetic]);
            for result in ["offered", "empty", "missing"] {
                self.judged.with_label_values(&[result, synthetic]);
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Box<dyn Collector>> {
        let Self { per_view, seconds, value, .. } = self;
        let counters = [
            &self.page_views,
            &self.proposed,
            &self.selected,
            &self.amended,
            &self.judged,
            &self.shown,
            &self.accepted,
            &self.arms,
            &self.segments,
            &self.memberships,
        ];
        let counters = counters.map(boxed);
        counters.into_iter().chain([boxed(per_view), boxed(seconds), boxed(value)]).collect()
    }
}
