//! Sally's view and the offers for it, on an engine's river.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use event::{Event, Producer};
use offer_engine::OfferEngine;
use river_test::World;
use serde_json::{Value, json};

/// Sally looks at a page.
pub(crate) fn view(world: &World) -> Event {
    Event::root("ViewPage", "TheSource", json!({"name": "Sally"}), world.now())
}

/// An offer in the conversation of `view`, that rests on so many facts.
pub(crate) fn offer(view: &Event, id: &str, offerer: &str, facts: usize) -> Event {
    let basis = ["none", "baseline", "segment", "segment+tier"][facts];
    let payload = json!({
        "offerId": id, "slot": "rental", "basis": basis, "facts": vec!["f"; facts], "title": id,
        "price": {"amount": "49.00", "currency": "USD"}, "value": 1_000 * facts, "likelihood": 0.2,
    });
    let mut event = Event::root("OfferProposed", offerer, payload, view.timestamp);
    event.event_id = id.into();
    event.correlation_id = Some(view.event_id.clone());
    let (version, instance) = ("1".to_owned(), "a".to_owned());
    event.producer = Some(Producer { service: offerer.to_owned(), version, instance });
    event
}

pub(crate) async fn send(world: &World, event: &Event) {
    world.send::<OfferEngine>(event).await;
}

pub(crate) async fn drained(world: &World) {
    world.drained("offer-engine").await;
}

/// Waits for the first selection.
pub(crate) async fn selection(world: &World) -> Event {
    world.until("a selection", async || !world.rapids().await.is_empty()).await;
    world.rapids().await.remove(0)
}

/// The ids of the offers of a selection, best first, or of those it rejected.
pub(crate) fn ids<'a>(selection: &'a Event, list: &str) -> Vec<&'a str> {
    let of = |offer: &'a Value| offer["offerId"].as_str().unwrap();
    selection.payload[list].as_array().unwrap().iter().map(of).collect()
}
