use std::collections::BTreeSet;

use jiff::Timestamp;
use pond::Known;
use serde_json::json;

use super::*;

fn view() -> Event {
    let payload = json!({"name": "Sally"});
    Event::root("ViewPage", "TheSource", payload, Timestamp::from_second(1).unwrap())
}

fn said(cause: &Event, event_type: &str, id: &str, payload: Value) -> Event {
    let mut event = Event::root(event_type, "test", payload, Timestamp::from_second(2).unwrap());
    event.event_id = id.into();
    event.correlation_id = Some(cause.event_id.clone());
    event
}

/// View, segment and tier of Sally's conversation.
fn conversation() -> [Event; 3] {
    let view = view();
    let segment = said(&view, "CustomerSegmented", "s", json!({"segment": "RoadWarrior"}));
    let tier = said(&view, "MembershipResolved", "t", json!({"tier": "Platinum"}));
    [view, segment, tier]
}

/// What a service would emit that gets these events in this order: as `Location` does it, without a table.
fn emitted(events: &[&Event]) -> Vec<Event> {
    let mut known = Known::default();
    let producer =
        event::Producer { service: "location".into(), version: "1".into(), instance: "a".into() };
    let at = Timestamp::UNIX_EPOCH;
    let mut emitted = Vec::new();
    for event in events {
        known.learn(fact(event).unwrap());
        for draft in offer::proposals(&known, event.correlation(), "location", RULES, ANYWHERE) {
            if known.has_emitted(&draft.id("location", event)) {
                continue;
            }
            let origin = event::Origin { producer: &producer, domain: "location", at };
            let offer = draft.answer(event, origin);
            known.emit(offer.event_id.clone());
            emitted.push(offer);
        }
    }
    emitted
}

fn bases(offers: &[Event]) -> Vec<&str> {
    offers.iter().filter_map(|offer| offer.payload["basis"].as_str()).collect()
}

/// All sequences of up to `length` of the three events.
fn sequences(length: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    let mut longest: Vec<Vec<usize>> = all.clone();
    for _ in 0..length {
        let longer = |sequence: &Vec<usize>| {
            (0..3).map(|next| [sequence.as_slice(), &[next]].concat()).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend(longest.clone());
    }
    all
}

#[test]
fn in_any_order_and_with_any_copies_each_offer_is_made_once() {
    let events = conversation();
    let sequences = sequences(5);
    assert_eq!(sequences.len(), 1 + 3 + 9 + 27 + 81 + 243);
    for sequence in sequences {
        let heard: BTreeSet<usize> = sequence.iter().copied().collect();
        let expected: BTreeSet<&str> =
            match (heard.contains(&0), heard.contains(&1), heard.contains(&2)) {
                (false, _, _) => BTreeSet::new(),
                (true, false, _) => ["baseline"].into(),
                (true, true, false) => ["baseline", "segment"].into(),
                (true, true, true) => ["baseline", "segment", "segment+tier"].into(),
            };
        let order: Vec<&Event> = sequence.iter().map(|index| &events[*index]).collect();
        let offers = emitted(&order);
        let bases = bases(&offers);
        assert_eq!(bases.iter().copied().collect::<BTreeSet<_>>(), expected, "{sequence:?}");
        assert_eq!(bases.len(), expected.len(), "{sequence:?} made an offer twice");
        let ids: BTreeSet<_> = offers.iter().map(|offer| &offer.event_id).collect();
        assert_eq!(ids.len(), offers.len());
    }
}

#[test]
fn the_order_of_events_changes_nothing_of_an_offer() {
    let [view, segment, tier] = &conversation();
    let said =
        |order: [&Event; 3]| emitted(&order).iter().map(Event::to_json).collect::<BTreeSet<_>>();
    assert_eq!(said([view, segment, tier]), said([tier, segment, view]));
}

#[test]
fn an_offer_names_itself_its_place_and_what_it_rests_on() {
    let [mut view, segment, tier] = conversation();
    view.payload = json!({"name": "Sally", "location": {"city": "Boston"}});
    let offers = emitted(&[&tier, &segment, &view]);
    let combined = offers.last().unwrap();
    let payload = &combined.payload;
    assert_eq!(payload["basis"], "segment+tier");
    assert_eq!(payload["offerId"], json!(combined.event_id));
    assert_eq!(payload["facts"], json!([view.event_id, segment.event_id, tier.event_id]));
    assert!(payload["title"].as_str().unwrap().contains("Boston"), "{payload}");
    let anywhere = emitted(&[&conversation()[0]]);
    assert!(anywhere[0].payload["title"].as_str().unwrap().contains(ANYWHERE));
}

#[test]
fn no_segment_and_no_tier_are_facts_without_offers() {
    let view = view();
    let segment = said(&view, "CustomerSegmented", "s", json!({"segment": "None"}));
    let tier = said(&view, "MembershipResolved", "t", json!({"tier": "None"}));
    assert_eq!(bases(&emitted(&[&segment, &tier, &view])), ["baseline"]);
}
