//! Offers of the brand. It does not care for tiers, and never hears of them.

mod rules;

use offer::Offers;
use pond::Fact;
use river::{Context, Event, Failure, Handler, NoConfig, Outcome, Packet};
use serde::Deserialize;
use serde_json::Value;

use crate::rules::RULES;

/// The service as a process.
pub type Service = river::Service<Brand>;

/// The brand of a view that names none.
const OURS: &str = "Rapids Rent";

/// Answers what becomes known about a view with offers.
pub struct Brand(Offers);

impl Handler for Brand {
    const RIVER: &'static str = "brand";
    const EMITS: &'static [&'static str] = &["OfferProposed"];
    const DOMAIN: &'static str = "brand";
    type Config = NoConfig;

    fn listens_to() -> Vec<Packet> {
        ["ViewPage", "CustomerSegmented"]
            .map(|topic| Packet::of(topic).require_parsed::<Says>(""))
            .into()
    }

    async fn build(_: NoConfig, context: &Context) -> anyhow::Result<Self> {
        Offers::open(context, RULES, OURS).await.map(Self)
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        self.0.learn(event, &fact(event)?).await
    }

    async fn answered(&self, cause: &Event, answers: &[Event]) -> Result<(), Failure> {
        self.0.made(cause, answers).await
    }
}

/// What the events say that are of interest here.
#[derive(Debug, Default, Deserialize)]
struct Says {
    brand: Option<String>,
    segment: Option<String>,
}

fn fact(event: &Event) -> Result<Fact, Failure> {
    let says: Says = river::payload(event)?;
    let (name, value) = match event.event_type.as_str() {
        "CustomerSegmented" => ("segment", says.segment),
        _ => ("view", says.brand),
    };
    Ok(Fact::of(event, name, value.map(Value::from).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use event::packet;
    use jiff::Timestamp;
    use pond::Known;
    use serde_json::json;

    use super::*;

    fn said(event_type: &str, id: &str, payload: Value) -> Event {
        let at = Timestamp::from_second(1).unwrap();
        let mut event = Event::root(event_type, "test", payload, at);
        event.event_id = id.into();
        event.correlation_id = Some("c".into());
        event
    }

    fn rules_met(events: &[Event]) -> usize {
        let mut known = Known::default();
        events.iter().map(|event| fact(event).unwrap()).for_each(|fact| known.learn(fact));
        offer::proposals(&known, &"c".into(), "brand", RULES, OURS).len()
    }

    #[test]
    fn a_view_has_a_baseline_and_a_road_warrior_has_one_more() {
        let view = said("ViewPage", "v", json!({"name": "Sally"}));
        let warrior = said("CustomerSegmented", "s", json!({"segment": "RoadWarrior"}));
        let nobody = said("CustomerSegmented", "s", json!({"segment": "None"}));
        assert_eq!(rules_met(std::slice::from_ref(&view)), 1);
        assert_eq!(rules_met(&[view.clone(), nobody]), 1);
        assert_eq!(rules_met(std::slice::from_ref(&warrior)), 0);
        assert_eq!(rules_met(&[warrior, view]), 2);
    }

    #[test]
    fn a_tier_is_none_of_its_business() {
        let tier = said("MembershipResolved", "t", json!({"tier": "Platinum"}));
        assert_eq!(packet::check(&Brand::listens_to(), &tier), packet::Verdict::NotMine);
    }
}
