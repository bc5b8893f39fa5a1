use event::{Draft, Origin, Producer};
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::demo::scenario::{
    CUSTOMER_SEGMENTED, OFFER_PROPOSED, OFFERS_SELECTED, sally_looks_at_a_page,
};
use crate::demo::story::summary;

fn root() -> Event {
    sally_looks_at_a_page(Timestamp::from_millisecond(1_700_000_000_000).unwrap())
}

fn answer(cause: &Event, after_ms: i64, service: &str, event_type: &str, payload: Value) -> Event {
    let producer = Producer { service: service.into(), version: "1".into(), instance: "a".into() };
    let at = cause.timestamp + SignedDuration::from_millis(after_ms);
    let origin = Origin { producer: &producer, domain: service, at };
    Draft::new(event_type, "rule", payload).answer(cause, origin)
}

#[test]
fn a_line_says_who_what_why_and_when() {
    let (mut tree, root) = (Tree::new(false, summary), root());
    let segmented =
        answer(&root, 120, "segmentation", CUSTOMER_SEGMENTED, json!({ "segment": "RoadWarrior" }));
    let facts = [&root.event_id, &segmented.event_id];
    let offer = json!({ "basis": "segment", "title": "Weekend upgrade", "facts": facts });
    let offer = answer(&segmented, 192, "location", OFFER_PROPOSED, offer);
    let lines: Vec<_> =
        [&root, &segmented, &offer].into_iter().flat_map(|it| tree.add(it)).collect();
    assert_eq!(
        lines,
        [
            "+    0 ms  rapids         ViewPage            Sally",
            "+  120 ms    segmentation   CustomerSegmented   RoadWarrior  ← ViewPage",
            "+  312 ms      location       OfferProposed       segment      \"Weekend upgrade\"  \
             ← ViewPage + CustomerSegmented",
        ]
    );
    assert_eq!(tree.rest(), Vec::<String>::new());
}

#[test]
fn an_event_waits_for_its_cause() {
    let (mut tree, root) = (Tree::new(false, summary), root());
    let first = answer(&root, 1, "a", "First", json!({}));
    let second = answer(&first, 1, "b", "Second", json!({}));
    assert_eq!(tree.add(&second), Vec::<String>::new());
    assert_eq!(tree.add(&first), Vec::<String>::new());
    let lines = tree.add(&root);
    let order: Vec<_> = ["ViewPage", "First", "Second"].into_iter().collect();
    assert_eq!(lines.len(), 3);
    for (line, event_type) in lines.iter().zip(order) {
        assert!(line.contains(event_type), "{line}");
    }
}

#[test]
fn an_event_whose_cause_never_comes_is_shown_at_the_end() {
    let (mut tree, root) = (Tree::new(false, summary), root());
    let lost = answer(&root, 5, "location", OFFER_PROPOSED, json!({ "basis": "baseline" }));
    let late = answer(&lost, 5, "offer-engine", OFFERS_SELECTED, json!({ "offers": [1, 2] }));
    tree.add(&root);
    assert!(tree.add(&late).is_empty());
    let rest = tree.rest();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].contains("OffersSelected") && rest[0].contains("2 offers"), "{rest:?}");
}

#[test]
fn only_a_terminal_gets_colours() {
    let plain = Tree::new(false, summary).add(&root()).concat();
    let coloured = Tree::new(true, summary).add(&root()).concat();
    assert!(!plain.contains('\x1b') && coloured.contains('\x1b'));
}
