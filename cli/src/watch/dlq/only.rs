//! Which messages are meant.

use serde_json::Value;

use super::letter::Parcel;
use crate::args::watch::Only;

impl Only {
    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.pick.is_everything() && self.reason.is_none()
    }

    /// Whether the message is meant. Of what is no event, places are looked for in its JSON, and its type is that of
    /// the attribute.
    pub(super) fn takes(&self, parcel: &Parcel) -> bool {
        if self.reason.as_deref().is_some_and(|kind| kind != parcel.reason().0) {
            return false;
        }
        if let Some(event) = parcel.event() {
            return self.pick.takes(&event);
        }
        let json = parcel.published().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        self.pick.types.is_empty()
            && self
                .pick
                .places
                .iter()
                .all(|it| json.as_ref().is_some_and(|json| it.is_within(json)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use crate::args::watch::Pick;
    use crate::args::words::Place;

    fn only(types: &[&str], places: &[&str], reason: Option<&str>) -> Only {
        let types = types.iter().map(|&it| it.to_owned()).collect();
        let places = places.iter().map(|it| Place::parse(it).unwrap()).collect();
        Only { pick: Pick { types, places }, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn reason_type_and_places_must_all_hold() {
        let sally = r#"{"eventType":"ViewPage","eventDomain":"web","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":"7dcf"}"#;
        let event = Parcel::of(letter(sally, &[("kind", "permanent")]));
        let odd =
            Parcel::of(letter(r#"{"payload":{"name":"Sally"}}"#, &[("kind", "not_an_event")]));
        assert!(only(&[], &[], None).takes(&event) && only(&[], &[], None).is_everything());
        assert!(only(&["View*"], &["name=Sally"], Some("permanent")).takes(&event));
        assert!(!only(&["Other"], &[], None).takes(&event));
        assert!(!only(&[], &[], Some("not_an_event")).takes(&event));
        assert!(only(&[], &["name=Sally"], Some("not_an_event")).takes(&odd));
        assert!(!only(&["View*"], &[], None).takes(&odd), "nobody knows its type");
    }
}
