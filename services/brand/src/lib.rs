//! Offers of the brand. It does not care for tiers, and never hears of them.

mod rules;

use event::EventId;
use jiff::{SignedDuration, Timestamp};
use pond::{Fact, Facts, Known, Pond};
use river::{Context, Draft, Event, Failure, Handler, NoConfig, Outcome, Packet};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rules::{BRAND, RULES};

/// The service as a process.
pub type Service = river::Service<Brand>;

/// How long an offer stands.
const STANDS: SignedDuration = SignedDuration::from_mins(30);
/// The brand of a view that names none.
const OURS: &str = "Rapids Rent";

/// Answers what becomes known about a view with offers.
pub struct Brand {
    facts: Facts,
    context: Context,
}

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
        let dynamodb = context.kit().dynamodb();
        let pond = Pond::open(dynamodb, context.pond_table(), context.time()).await?;
        Ok(Self { facts: Facts::new(&pond, context.service()), context: context.clone() })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let fact = fact(event)?;
        let (service, now) = (self.context.service(), self.context.time()());
        let conclude = |known: &Known| offers(known, event, service, now);
        Ok(Outcome::Answered(self.facts.learn(event, &fact, conclude).await?))
    }

    async fn answered(&self, cause: &Event, answers: &[Event]) -> Result<(), Failure> {
        Ok(self.facts.emitted(cause.correlation(), answers).await?)
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

/// All offers that follow from what is known, made before or not.
fn offers(known: &Known, cause: &Event, service: &str, now: Timestamp) -> Vec<Draft> {
    let brand = known.text("view").unwrap_or(OURS);
    let stands_until = now.saturating_add(STANDS).unwrap_or(Timestamp::MAX);
    let offer = |rule: &pond::Rule<rules::Offer>| {
        let facts = rule.requires.iter().filter_map(|needed| known.get(needed.fact()));
        let offer = &rule.then;
        let payload = json!({
            "offerId": EventId::derived(service, cause.correlation(), rule.id, ""),
            "slot": "rental",
            "basis": offer.basis,
            "facts": facts.map(|fact| &fact.event).collect::<Vec<_>>(),
            "title": offer.title.replace(BRAND, brand),
            "price": {"amount": offer.amount, "currency": "USD"},
            "value": offer.value,
            "likelihood": offer.likelihood,
            "expiresAt": format!("{stands_until:.3}"),
        });
        Draft::new("OfferProposed", rule.id, payload)
    };
    pond::due(RULES, known).map(offer).collect()
}

#[cfg(test)]
mod tests {
    use event::packet;

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
        offers(&known, &said("X", "x", Value::Null), "brand", Timestamp::UNIX_EPOCH).len()
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
