//! What happened after Sally's event, as it was seen from outside.

use event::{Event, EventId};
use serde_json::Value;

use super::scenario::{
    CUSTOMER_SEGMENTED, MEMBERSHIP_RESOLVED, OFFER_PROPOSED, OFFERS_SELECTED, VIEW_PAGE,
};

/// One conversation.
#[derive(Debug)]
pub(crate) struct Story {
    root: EventId,
    /// The conversation's events, once each, as they were seen on the rapids.
    events: Vec<Event>,
    /// Selections, once each, as they lay in the river of offers.
    selections: Vec<Event>,
}

impl Story {
    /// Nothing has happened yet but that `root` was sent.
    pub(crate) fn of(root: Event) -> Self {
        Self { root: root.event_id, events: Vec::new(), selections: Vec::new() }
    }

    /// Takes an event of the rapids. False when it belongs to another conversation or was there before.
    pub(crate) fn happened(&mut self, event: Event) -> bool {
        let belongs = event.correlation() == &self.root;
        belongs && add(&mut self.events, event)
    }

    /// Takes what was published to the river of offers; what is no selection of this conversation is passed over.
    pub(crate) fn emitted(&mut self, published: &str) {
        let Ok(event) = Event::parse(published.as_bytes()) else { return };
        if event.correlation() == &self.root && event.event_type == OFFERS_SELECTED {
            add(&mut self.selections, event);
        }
    }

    /// Id of the conversation.
    pub(crate) fn root(&self) -> &EventId {
        &self.root
    }

    /// The events, in the order in which they were seen.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of one type.
    pub(crate) fn of_type<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.event_type == event_type)
    }

    /// The selections that came to the river.
    pub(crate) fn selections(&self) -> &[Event] {
        &self.selections
    }

    /// The chosen offers of the first selection, best first.
    pub(crate) fn offers(&self) -> &[Value] {
        let first = self.selections.first();
        let offers = first.and_then(|selection| selection.payload["offers"].as_array());
        offers.map_or(&[], Vec::as_slice)
    }
}

/// Delivery is at least once: a copy is nothing new.
fn add(events: &mut Vec<Event>, event: Event) -> bool {
    let new = events.iter().all(|known| known.event_id != event.event_id);
    if new {
        events.push(event);
    }
    new
}

/// A text of the payload, empty where there is none.
pub(crate) fn text<'a>(payload: &'a Value, field: &str) -> &'a str {
    payload[field].as_str().unwrap_or_default()
}

/// What matters about an event of the scenario, in few words.
pub(crate) fn summary(event: &Event) -> String {
    let payload = &event.payload;
    match event.event_type.as_str() {
        VIEW_PAGE => text(payload, "name").to_owned(),
        CUSTOMER_SEGMENTED => text(payload, "segment").to_owned(),
        MEMBERSHIP_RESOLVED => text(payload, "tier").to_owned(),
        OFFER_PROPOSED => {
            format!("{:<12} \"{}\"", text(payload, "basis"), text(payload, "title"))
        }
        OFFERS_SELECTED => {
            format!("{} offers", payload["offers"].as_array().map_or(0, Vec::len))
        }
        _ => String::new(),
    }
}
