use event::{Draft, Origin, Producer};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::demo::scenario::sally_looks_at_a_page;
use crate::tree::emitter;

fn at() -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000).unwrap()
}

fn answer(cause: &Event, service: &str, event_type: &str, payload: Value) -> Event {
    let producer = Producer { service: service.into(), version: "1".into(), instance: "a".into() };
    let origin = Origin { producer: &producer, domain: service, at: at() };
    let rule = payload.to_string();
    Draft::new(event_type, rule, payload).answer(cause, origin)
}

/// The events of a scenario that came out right; the last is the selection.
fn right() -> Vec<Event> {
    let root = sally_looks_at_a_page(at());
    let offer = |(service, basis): (&str, &str)| {
        let payload = json!({ "offerId": format!("{service}/{basis}"), "basis": basis });
        answer(&root, service, OFFER_PROPOSED, payload)
    };
    let segment = json!({ "segment": "RoadWarrior" });
    let segmented = answer(&root, "segmentation", CUSTOMER_SEGMENTED, segment);
    let tier = json!({ "tier": "Platinum" });
    let resolved = answer(&root, "membership", MEMBERSHIP_RESOLVED, tier);
    let offers = OFFERS.map(offer);
    let ranked = json!({ "offers": [{ "offerId": "location/segment+tier" }, { "offerId": "brand/segment" }] });
    let selected = answer(&root, "offer-engine", OFFERS_SELECTED, ranked);
    [root, segmented, resolved].into_iter().chain(offers).chain([selected]).collect()
}

/// The verdict when these were seen on the rapids, and the selections among them in the river as well.
fn judged(events: Vec<Event>) -> Verdict {
    let mut story = Story::of(events[0].clone());
    for event in events {
        story.emitted(&event.to_json());
        story.happened(event);
    }
    Verdict::on(&story)
}

fn said(verdict: Verdict) -> String {
    verdict.into_result(Duration::from_secs(30)).unwrap_err().to_string()
}

#[test]
fn the_scenario_comes_out_right() {
    let verdict = judged(right());
    assert!(verdict.is_final());
    verdict.into_result(Duration::ZERO).unwrap();
}

#[test]
fn every_single_event_is_needed() {
    let all = right();
    for left_out in 1..all.len() {
        let mut events = all.clone();
        let gone = events.remove(left_out);
        let verdict = judged(events);
        assert!(!verdict.is_final(), "without {gone:?} it was final: {verdict:?}");
        assert!(said(verdict).contains("missing: "), "{gone:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let mut events = right();
    events.retain(|event| text(&event.payload, "basis") != "segment" || emitter(event) != "brand");
    assert!(said(judged(events)).contains("missing: an offer of brand on basis segment"));
    let nothing = said(judged(right()[..1].to_vec()));
    for what in ["Road Warrior", "Platinum", "OffersSelected in river offers"] {
        assert!(nothing.contains(what), "{nothing}");
    }
}

#[test]
fn a_copy_of_an_event_is_no_second_one() {
    let events = right();
    let twice = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
    judged(twice).into_result(Duration::ZERO).unwrap();
}

#[test]
fn a_selection_that_is_not_in_the_river_is_missing() {
    let mut story = Story::of(right()[0].clone());
    for event in right() {
        // Another root: `right` makes a new conversation each time.
        story.happened(event);
    }
    assert!(!Verdict::on(&story).is_final());
    let events = right();
    let mut story = Story::of(events[0].clone());
    for event in events {
        story.happened(event);
    }
    assert_eq!(Verdict::on(&story).missing, ["OffersSelected in river offers"]);
}

#[test]
fn a_second_selection_is_wrong_at_once() {
    let mut events = right();
    let again = json!({ "offers": [{ "offerId": "location/segment+tier" }] });
    events.push(answer(&events[0], "offer-engine", OFFERS_SELECTED, again));
    let verdict = judged(events);
    assert!(verdict.is_final());
    assert!(said(verdict).contains("2 selections"));
}

#[test]
fn another_offer_on_top_is_wrong() {
    let mut events = right();
    events.pop();
    let ranked = json!({ "offers": [{ "offerId": "brand/segment" }, { "offerId": "location/segment+tier" }] });
    events.push(answer(&events[0], "offer-engine", OFFERS_SELECTED, ranked));
    let verdict = judged(events);
    assert!(verdict.is_final());
    assert!(said(verdict).contains("\"brand/segment\" is ranked first"));
}

#[test]
fn a_selection_of_nothing_is_wrong() {
    let mut events = right();
    events.pop();
    events.push(answer(&events[0], "offer-engine", OFFERS_SELECTED, json!({ "offers": [] })));
    assert!(said(judged(events)).contains("without offers"));
}

#[test]
fn an_offer_that_nobody_should_make_is_wrong() {
    let mut events = right();
    let tier = json!({ "offerId": "brand/tier", "basis": "segment+tier" });
    events.push(answer(&events[0], "brand", OFFER_PROPOSED, tier));
    assert!(said(judged(events)).contains("an offer of brand on basis \"segment+tier\""));
}

#[test]
fn one_offer_by_two_events_is_wrong() {
    let mut events = right();
    let again = json!({ "offerId": "brand/segment", "basis": "segment", "title": "again" });
    events.push(answer(&events[0], "brand", OFFER_PROPOSED, again));
    assert!(said(judged(events)).contains("offer brand/segment was made by two events"));
}
