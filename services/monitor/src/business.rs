//! What the business wants to know, event by event.

use chassis::LabelValues;
use event::Event;
use serde_json::Value;

use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::labels;
use crate::metrics::Offers;
use crate::views::{Offered, Views};

/// Counts what happens to views and offers.
#[derive(Debug)]
pub(crate) struct Business {
    views: Views,
    seen: Seen,
    metrics: Offers,
}

/// Labels that events decide about.
#[derive(Debug)]
struct Seen {
    offerers: LabelValues,
    versions: LabelValues,
    bases: LabelValues,
    arms: LabelValues,
    experiments: LabelValues,
    segments: LabelValues,
    tiers: LabelValues,
}

impl Default for Seen {
    fn default() -> Self {
        let (few, many) = (labels::few, labels::many);
        Self {
            offerers: few(),
            versions: many(),
            bases: few(),
            arms: many(),
            experiments: few(),
            segments: few(),
            tiers: few(),
        }
    }
}

impl Business {
    pub(crate) fn new(config: &Config, metrics: Offers) -> Self {
        Self { views: Views::new(config), seen: Seen::default(), metrics }
    }

    /// An event that is no copy of another. `is_control` tells of an experiment and an arm, where it is known.
    pub(crate) fn heard(
        &mut self,
        event: &Event,
        is_control: impl Fn(&str, &str) -> Option<bool>,
        now: Moment,
    ) {
        let synthetic = labels::synthetic(event);
        let word = |name: &str| event.payload.get(name).and_then(Value::as_str).unwrap_or("");
        match event.event_type.as_str() {
            "ViewPage" => {
                self.metrics.page_views.with_label_values(&[synthetic]).inc();
                let offered = self.views.viewed(event, now);
                self.offered(offered);
            }
            "OfferProposed" => {
                let (offerer, version) = producer(event);
                let offerer = self.seen.offerers.of(offerer);
                let version = self.seen.versions.of(version);
                let labels = [offerer, version, self.seen.bases.of(word("basis")), synthetic];
                self.metrics.proposed.with_label_values(&labels).inc();
            }
            "OffersSelected" => self.selected(event, word("result") == "some", now),
            "OffersAmended" => {
                self.metrics.amended.with_label_values(&[synthetic]).inc();
                self.views.amended(event, word("result") == "some");
            }
            "OfferShown" => {
                self.arms(event, "shown", is_control);
                let arm = labels::arm(event);
                self.metrics.shown.with_label_values(&[self.seen.arms.of(&arm), synthetic]).inc();
            }
            "OfferAccepted" => {
                self.arms(event, "accepted", is_control);
                let (arm, offerer) = (labels::arm(event), self.seen.offerers.of(word("offerer")));
                let labels = [self.seen.arms.of(&arm), offerer, synthetic];
                self.metrics.accepted.with_label_values(&labels).inc();
            }
            "CustomerSegmented" => {
                let labels = [self.seen.segments.of(word("segment")), synthetic];
                self.metrics.segments.with_label_values(&labels).inc();
            }
            "MembershipResolved" => {
                let labels = [self.seen.tiers.of(word("tier")), synthetic];
                self.metrics.memberships.with_label_values(&labels).inc();
            }
            _ => {}
        }
    }

    /// Time passes: views are judged.
    pub(crate) fn tick(&mut self, clock: &Clock) {
        for judged in self.views.judge(clock) {
            let synthetic = if judged.synthetic { "true" } else { "false" };
            self.metrics.judged.with_label_values(&[judged.result, synthetic]).inc();
        }
    }

    /// What became of an offer counts for each arm that the customer is in. Synthetic customers decide nothing.
    fn arms(
        &mut self,
        event: &Event,
        outcome: &str,
        is_control: impl Fn(&str, &str) -> Option<bool>,
    ) {
        for (experiment, arm) in event.experiments.iter().filter(|_| !event.synthetic) {
            let control = is_control(experiment, arm).unwrap_or(arm == "control");
            let control = if control { "true" } else { "false" };
            let (experiment, arm) = (self.seen.experiments.of(experiment), self.seen.arms.of(arm));
            self.metrics.arms.with_label_values(&[experiment, arm, control, outcome]).inc();
        }
    }

    fn selected(&mut self, event: &Event, some: bool, now: Moment) {
        let synthetic = labels::synthetic(event);
        let offers = event.payload.get("offers").and_then(Value::as_array);
        let offers = offers.map(Vec::as_slice).unwrap_or_default();
        let arm = labels::arm(event);
        let arm = self.seen.arms.of(&arm);
        let version = self.seen.versions.of(producer(event).1);
        let result = if some { "some" } else { "none" };
        self.metrics.selected.with_label_values(&[version, arm, result, synthetic]).inc();
        #[expect(clippy::cast_precision_loss, reason = "a selection has no 2^52 offers")]
        self.metrics.per_view.with_label_values(&[synthetic]).observe(offers.len() as f64);
        let score = |offer: &Value| offer.get("score").and_then(Value::as_f64);
        // As `rapids experiment report` counts: a customer takes one.
        let value = offers.first().and_then(score).filter(|score| *score > 0.0).unwrap_or_default();
        self.metrics.value.with_label_values(&[arm, synthetic]).inc_by(value);
        let offered = self.views.selected(event, some, now);
        self.offered(offered);
    }

    fn offered(&mut self, offered: Option<Offered>) {
        let Some(Offered { seconds, arm, synthetic }) = offered else { return };
        let synthetic = if synthetic { "true" } else { "false" };
        let labels = [self.seen.arms.of(&arm), synthetic];
        self.metrics.seconds.with_label_values(&labels).observe(seconds);
    }
}

/// Service and version of who emitted it.
fn producer(event: &Event) -> (&str, &str) {
    let producer = event.producer.as_ref();
    producer.map_or(("", ""), |producer| (&producer.service, &producer.version))
}
