//! Offers at the place that a customer looks at. It knows nobody who tells it what it knows: each fact comes with
//! some event, in any order, and each rule makes its offer once.

mod rules;

use event::EventId;
use jiff::{SignedDuration, Timestamp};
use pond::{Fact, Facts, Known, Pond};
use river::{Context, Draft, Event, Failure, Handler, NoConfig, Outcome, Packet};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rules::{PLACE, RULES};

/// The service as a process.
pub type Service = river::Service<Location>;

/// How long an offer stands.
const STANDS: SignedDuration = SignedDuration::from_mins(30);
/// The place of a view that names none.
const ANYWHERE: &str = "a station near you";

/// Answers what becomes known about a view with offers.
pub struct Location {
    facts: Facts,
    context: Context,
}

impl Handler for Location {
    const RIVER: &'static str = "location";
    const EMITS: &'static [&'static str] = &["OfferProposed"];
    const DOMAIN: &'static str = "location";
    type Config = NoConfig;

    fn listens_to() -> Vec<Packet> {
        ["ViewPage", "CustomerSegmented", "MembershipResolved"]
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
    location: Option<Place>,
    segment: Option<String>,
    tier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Place {
    city: Option<String>,
}

fn fact(event: &Event) -> Result<Fact, Failure> {
    let says: Says = river::payload(event)?;
    let (name, value) = match event.event_type.as_str() {
        "CustomerSegmented" => ("segment", says.segment),
        "MembershipResolved" => ("tier", says.tier),
        _ => ("view", says.location.and_then(|place| place.city)),
    };
    Ok(Fact::of(event, name, value.map(Value::from).unwrap_or_default()))
}

/// All offers that follow from what is known, made before or not.
fn offers(known: &Known, cause: &Event, service: &str, now: Timestamp) -> Vec<Draft> {
    let place = known.text("view").unwrap_or(ANYWHERE);
    let stands_until = now.saturating_add(STANDS).unwrap_or(Timestamp::MAX);
    let offer = |rule: &pond::Rule<rules::Offer>| {
        let facts = rule.requires.iter().filter_map(|needed| known.get(needed.fact()));
        let offer = &rule.then;
        let payload = json!({
            "offerId": EventId::derived(service, cause.correlation(), rule.id, ""),
            "slot": "rental",
            "basis": offer.basis,
            "facts": facts.map(|fact| &fact.event).collect::<Vec<_>>(),
            "title": offer.title.replace(PLACE, place),
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
mod tests;
