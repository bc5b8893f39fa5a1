//! The service between its river and the rapids.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use event::Event;
use jiff::Timestamp;
use location::Location;
use river::NoConfig;
use river_test::{Plan, Run, explore};
use serde_json::{Value, json};

/// View, segment and tier of Sally's conversation.
fn conversation() -> [Event; 3] {
    let at = Timestamp::UNIX_EPOCH;
    let mut view = Event::root("ViewPage", "TheSource", json!({"name": "Sally"}), at);
    view.event_id = "view".into();
    let said = |event_type: &str, payload: Value| {
        let said = Event::root(event_type, "test", payload, at);
        let (event_id, correlation_id) = (event_type.into(), Some(view.event_id.clone()));
        Event { event_id, correlation_id, ..said }
    };
    let segment = said("CustomerSegmented", json!({"segment": "RoadWarrior"}));
    let tier = said("MembershipResolved", json!({"tier": "Platinum"}));
    [view, segment, tier]
}

fn offers_of_sally() -> Plan<NoConfig> {
    Plan::of(conversation())
}

/// Each offer once, whatever happened; `explore` sees to it that copies are the same.
fn each_offer_once(run: &Run) {
    let offers = run.answers_of("OfferProposed");
    let mut bases: Vec<_> =
        offers.iter().map(|offer| offer.payload["basis"].as_str().unwrap()).collect();
    bases.sort_unstable();
    assert_eq!(bases, ["baseline", "segment", "segment+tier"]);
    assert_eq!(run.answers().len(), 3);
    assert!(run.dead_letters.is_empty());
}

#[test]
fn in_every_order_and_with_any_copies_each_offer_is_made_once() {
    let plan = offers_of_sally().every_order_with_copies(5);
    assert_eq!(explore::<Location>(&plan, each_offer_once), 6 + 36 + 150);
}

#[test]
fn two_processes_that_get_everything_at_once_and_twice_make_the_same_offers() {
    let plan = offers_of_sally().every_order().each_twice().all_at_once().replicas(2);
    explore::<Location>(&plan, each_offer_once);
}

#[test]
fn a_process_that_dies_at_any_call_loses_no_offer_and_makes_no_other() {
    let [view, segment, tier] = conversation();
    let plan = Plan::of([tier, segment, view]).crash_at_every_call();
    explore::<Location>(&plan, each_offer_once);
}

/// The bases of the offers, in the order in which they were made.
fn bases(run: &Run) -> Vec<&str> {
    let offers = run.answers_of("OfferProposed");
    offers.iter().filter_map(|offer| offer.payload["basis"].as_str()).collect()
}

#[test]
fn what_is_known_of_a_customer_who_looks_at_nothing_makes_no_offer() {
    let [_, segment, tier] = conversation();
    let plan = Plan::of([segment, tier]).every_order().each_twice();
    explore::<Location>(&plan, |run| assert!(run.rapids.is_empty()));
}

#[test]
fn a_tier_alone_makes_no_offer_and_a_segment_after_it_makes_two() {
    let [view, segment, tier] = conversation();
    explore::<Location>(&Plan::of([view.clone(), tier.clone()]), |run| {
        assert_eq!(bases(run), ["baseline"]);
    });
    explore::<Location>(&Plan::of([view, tier, segment]), |run| {
        assert_eq!(bases(run), ["baseline", "segment", "segment+tier"]);
    });
}

#[test]
fn of_two_segments_the_newer_counts_from_then_on_and_takes_nothing_back() {
    let [view, segment, tier] = conversation();
    let newer = |segment: &Event| {
        let timestamp = segment.timestamp + jiff::SignedDuration::from_secs(1);
        let payload = json!({"segment": "None"});
        Event { event_id: "newer".into(), timestamp, payload, ..segment.clone() }
    };
    let none = newer(&segment);
    let came = |order: [&Event; 4]| Plan::of(order.map(Event::clone));
    explore::<Location>(&came([&view, &segment, &none, &tier]), |run| {
        assert_eq!(bases(run), ["baseline", "segment"], "made, and not taken back");
    });
    explore::<Location>(&came([&view, &none, &segment, &tier]), |run| {
        assert_eq!(bases(run), ["baseline"], "the older one comes too late");
    });
}
