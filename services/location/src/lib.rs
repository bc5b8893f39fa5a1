//! Offers at the place that a customer looks at. It knows nobody who tells it what it knows: each fact comes with
//! some event, in any order, and each rule makes its offer once.

mod rules;

use offer::Offers;
use pond::Fact;
use river::{Context, Event, Failure, Handler, NoConfig, Outcome, Packet};
use serde::Deserialize;
use serde_json::Value;

use crate::rules::RULES;

/// The service as a process.
pub type Service = river::Service<Location>;

/// The place of a view that names none.
const ANYWHERE: &str = "a station near you";

/// Answers what becomes known about a view with offers.
pub struct Location(Offers);

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
        Offers::open(context, RULES, ANYWHERE).await.map(Self)
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

#[cfg(test)]
mod tests;
