use serde_json::{Value, json};

use super::*;

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

/// An event that is audited.
fn event(event_type: &str) -> Event {
    loop {
        let event = Event::root(event_type, "web", json!({"n": 1}), at(0));
        if event.event_id.is_audited() {
            return event;
        }
    }
}

fn wants(topics: &[(&str, &str)]) -> BTreeMap<String, Vec<Packet>> {
    let mut wanted = BTreeMap::<String, Vec<Packet>>::new();
    for (river, topic) in topics {
        wanted.entry((*river).to_owned()).or_default().push(Packet::of(*topic));
    }
    wanted
}

/// Two rivers that want views, and have told something.
fn audit() -> Audit {
    let mut audit = Audit::new(SignedDuration::from_secs(900));
    audit.wanted(&wants(&[("a", "ViewPage"), ("b", "ViewPage"), ("b", "Offer*")]), at(0));
    for river in ["a", "b"] {
        audit.acknowledged(river, &[EventId::from("before")], at(1));
    }
    audit
}

fn hear(audit: &mut Audit, event: &Event, s: i64) -> Counts {
    audit.heard(event, |_| false, at(s)).0
}

fn tell(audit: &mut Audit, river: &str, event: &Event, s: i64) -> u64 {
    audit.acknowledged(river, std::slice::from_ref(&event.event_id), at(s))
}

#[test]
fn an_event_that_a_river_passed_over_is_missing_there_and_nowhere_else() {
    let (mut audit, lost, later) = (audit(), event("ViewPage"), event("ViewPage"));
    hear(&mut audit, &lost, 100);
    assert_eq!(tell(&mut audit, "a", &lost, 110), 1);
    hear(&mut audit, &later, 1_000);
    assert_eq!(tell(&mut audit, "b", &later, 1_001), 1);
    let missing = Missing {
        river: "b".to_owned(),
        event_id: lost.event_id.clone(),
        event_type: "ViewPage".to_owned(),
    };
    assert_eq!(audit.judge(at(1_002)), (vec![missing], Counts::new()));
    assert_eq!(audit.judge(at(1_003)).0, []);
}

#[test]
fn what_waits_in_a_river_is_not_missing() {
    let (mut audit, waiting, next) = (audit(), event("ViewPage"), event("ViewPage"));
    hear(&mut audit, &waiting, 100);
    hear(&mut audit, &next, 999);
    tell(&mut audit, "b", &next, 1_000);
    assert_eq!(audit.judge(at(1_000)).0, [], "899 s are less than 900");
    assert_eq!(tell(&mut audit, "b", &waiting, 1_100), 1, "it was only late");
}

#[test]
fn only_what_a_river_wants_is_waited_for() {
    let mut audit = audit();
    hear(&mut audit, &event("Unheard"), 100);
    assert_eq!(audit.pending(), 0);
    let offer = event("OfferProposed");
    hear(&mut audit, &offer, 100);
    assert_eq!(tell(&mut audit, "a", &offer, 101), 0);
    assert_eq!(tell(&mut audit, "b", &offer, 101), 1);
    audit.heard(&event("ViewPage"), |river| river == "a", at(102));
    assert_eq!(audit.doubt("a"), 0, "it belongs to another arm");
    assert_eq!(audit.doubt("b"), 1);
    assert_eq!(audit.pending(), 0);
    let system = Event { event_type: "system.Ping".to_owned(), ..event("x") };
    audit.wanted(&wants(&[("a", "*")]), at(200));
    audit.acknowledged("a", &[], at(201));
    hear(&mut audit, &system, 300);
    assert_eq!(audit.pending(), 0);
}

#[test]
fn an_account_may_come_before_its_event() {
    let (mut audit, event) = (audit(), event("ViewPage"));
    assert_eq!(tell(&mut audit, "a", &event, 99), 0);
    assert_eq!(hear(&mut audit, &event, 100), Counts::from([("a".to_owned(), 1)]));
    assert_eq!(tell(&mut audit, "b", &event, 101), 1);
    assert_eq!(audit.pending(), 0);
}

#[test]
fn a_river_that_tells_no_more_or_wants_something_else_is_not_judged() {
    let (mut audit, event) = (audit(), event("ViewPage"));
    hear(&mut audit, &event, 100);
    let unknown = Counts::from([("a".to_owned(), 1)]);
    let other = wants(&[("a", "Other"), ("b", "ViewPage"), ("b", "Offer*")]);
    assert_eq!(audit.wanted(&other, at(101)), unknown);
    let (missing, unknown) = audit.judge(at(902));
    assert_eq!((missing, unknown), (Vec::new(), Counts::from([("b".to_owned(), 1)])));
    assert_eq!(audit.pending(), 0);
}

#[test]
fn what_was_wanted_only_just_now_is_not_waited_for() {
    let mut audit = Audit::new(SignedDuration::from_secs(900));
    audit.wanted(&wants(&[("a", "ViewPage")]), at(0));
    hear(&mut audit, &event("ViewPage"), 20);
    assert_eq!(audit.pending(), 0, "nobody knows whether the river tells");
    audit.acknowledged("a", &[], at(21));
    hear(&mut audit, &event("ViewPage"), 22);
    assert_eq!(audit.pending(), 1);
    audit.wanted(&wants(&[("a", "View*")]), at(30));
    audit.acknowledged("a", &[], at(31));
    hear(&mut audit, &event("ViewPage"), 39);
    assert_eq!(audit.pending(), 0, "the readers may not know of it yet");
    hear(&mut audit, &event("ViewPage"), 40);
    assert_eq!(audit.pending(), 1);
}

#[test]
fn accounts_of_events_that_never_come_are_forgotten() {
    let mut audit = audit();
    audit.acknowledged("a", &[EventId::from(Value::Null.to_string())], at(2));
    assert_eq!(audit.early.len(), 2);
    audit.judge(at(902));
    assert_eq!(audit.early.len(), 1);
    audit.judge(at(903));
    assert_eq!((audit.early.len(), audit.early_order.len()), (0, 0));
}
