//! Which events are meant.

use event::Event;
use event::names::Topic;

use crate::args::watch::Pick;
use crate::tree::emitter;

impl Pick {
    /// Whether nothing is left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.types.is_empty() && self.places.is_empty()
    }

    /// Whether the event is meant: of one of the types, and with all of the values.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        let of_type = |pattern: &String| Topic::covers(pattern, &event.event_type);
        (self.types.is_empty() || self.types.iter().any(of_type))
            && self.places.iter().all(|place| place.is_in(event))
    }
}

/// Whether an event is by this producer, or of this domain.
pub(super) fn is_by(event: &Event, source: &str) -> bool {
    emitter(event) == source || event.event_domain == source
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::args::words::Place;

    #[test]
    fn one_of_the_types_and_all_of_the_places_must_hold() {
        let payload = json!({"name": "Sally", "age": 7});
        let event = Event::root("OfferProposed", "web", payload, Timestamp::UNIX_EPOCH);
        let takes = |types: &[&str], places: &[&str]| {
            let types = types.iter().map(|&it| it.to_owned()).collect();
            let places = places.iter().map(|it| Place::parse(it).unwrap()).collect();
            Pick { types, places }.takes(&event)
        };
        assert!(takes(&[], &[]) && takes(&["ViewPage", "Offer*"], &["name=Sally", "age=7"]));
        assert!(!takes(&["ViewPage"], &[]) && !takes(&["Offer*"], &["name=Sally", "age=8"]));
    }
}
