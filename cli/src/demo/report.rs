//! The outcome of the demo, for machines and for people.

use std::time::Duration;

use event::Event;
use serde::Serialize;
use serde_json::{Value, json};

use super::scenario::OFFER_PROPOSED;
use super::story::{Story, text};
use crate::tree::emitter;

/// One JSON object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    correlation_id: &'a str,
    events: Vec<Value>,
    offers: &'a [Value],
    elapsed_ms: u128,
    #[serde(skip)]
    story: &'a Story,
}

impl<'a> Report<'a> {
    /// The report on a story that took `elapsed`.
    pub(super) fn new(story: &'a Story, elapsed: Duration) -> Self {
        Self {
            correlation_id: story.root().as_str(),
            events: story.events().iter().map(complete).collect(),
            offers: story.offers(),
            elapsed_ms: elapsed.as_millis(),
            story,
        }
    }

    /// The chosen offers, best first.
    pub(super) fn text(&self) -> String {
        if self.offers.is_empty() {
            return "\nno offers were emitted".to_owned();
        }
        let seconds = self.elapsed_ms as f64 / 1_000.0;
        let mut lines = vec![format!("\noffers for Sally, after {seconds:.1} s")];
        lines.extend(self.offers.iter().enumerate().map(|(rank, offer)| {
            let id = text(offer, "offerId");
            let is_it = |proposed: &&Event| text(&proposed.payload, "offerId") == id;
            let proposed = self.story.of_type(OFFER_PROPOSED).find(is_it);
            let by = proposed.map_or("", emitter);
            // A selection may name its offers only by id.
            let of = |field| match text(offer, field) {
                "" => proposed.map_or("", |proposed| text(&proposed.payload, field)),
                known => known,
            };
            let rank = rank + 1;
            let (basis, title) = (of("basis"), of("title"));
            let price = &offer["price"];
            let price = format!("{} {}", text(price, "amount"), text(price, "currency"));
            format!("{rank:>3}. {by:<10} {basis:<12} {price:>10}  \"{title}\"")
        }));
        lines.join("\n")
    }
}

/// The event with the fields that a root leaves out, so that all of them look alike.
fn complete(event: &Event) -> Value {
    let mut value = json!(event);
    value["correlationId"] = json!(event.correlation());
    value["causationId"] = json!(event.causation_id);
    value
}
