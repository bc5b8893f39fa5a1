//! The engine: views are needs, offers are solutions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use need::{Choose, Frozen, Needs, Policy, Seen, Solution, WindowId};
use river::{Context, Draft, Event, Failure, Handler, Outcome, Packet};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::offer::Offer;
use crate::selection;

/// Collects offers, and selects among them.
pub struct OfferEngine {
    needs: Needs<Selecting>,
    slots: Vec<String>,
}

/// How offers are selected.
struct Selecting {
    policy: Policy,
    expected: BTreeSet<String>,
    metrics: Metrics,
}

impl Handler for OfferEngine {
    const RIVER: &'static str = "offer-engine";
    const EMITS: &'static [&'static str] = &[selection::SELECTED, selection::AMENDED];
    const DOMAIN: &'static str = "offers";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("ViewPage"), Packet::of("OfferProposed"), Packet::own(need::DUE)]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let policy = config.policy.chosen();
        let metrics = Metrics::register(context.kit().registry())?;
        let selecting = Selecting { policy, expected: config.expected, metrics };
        let needs = Needs::open(context, config.window, selecting).await?;
        Ok(Self { needs, slots: config.slots })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        match event.event_type.as_str() {
            "ViewPage" => self.needs.needed(event, &self.slots).await,
            "OfferProposed" => {
                let offer = Offer::of(event)?;
                self.needs.solved(event, &offer.slot, &offer.offer_id, &offer).await
            }
            need::DUE => self.needs.due(event).await,
            _ => Ok(Outcome::Ignored),
        }
    }

    async fn background(&self, stop: CancellationToken) {
        self.needs.run(stop).await;
    }
}

impl Choose for Selecting {
    type Solution = Offer;

    fn choose(&self, id: &WindowId, frozen: &Frozen<Offer>) -> Draft {
        selection::draft(id, frozen, self.policy, frozen.closed_at)
    }

    fn amend(
        &self,
        id: &WindowId,
        frozen: &Frozen<Offer>,
        now: Timestamp,
        current: &Event,
    ) -> Option<Draft> {
        selection::amendment(id, frozen, self.policy, now, current)
    }

    fn completes(&self) -> bool {
        self.policy.completes() || !self.expected.is_empty()
    }

    fn is_complete(&self, offers: &[Solution<Offer>]) -> bool {
        let came = |offerer: &String| offers.iter().any(|offer| offer.value.offerer == *offerer);
        let all_came = !self.expected.is_empty() && self.expected.iter().all(came);
        all_came || self.policy.is_complete(offers)
    }

    fn saw(&self, seen: Seen<'_, Offer>) {
        self.metrics.saw(&seen);
    }
}
