use serde_json::{Value, json};

use super::*;

fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

/// An event that is audited.
fn event(event_type: &str, s: i64) -> Event {
    loop {
        let event = Event::root(event_type, "web", json!({"n": 1}), at(s));
        if event.event_id.is_audited() {
            return event;
        }
    }
}

fn wants(topics: &[(&str, &str)]) -> BTreeMap<String, Wish> {
    let mut wanted = BTreeMap::<String, Wish>::new();
    for (river, topic) in topics {
        wanted.entry((*river).to_owned()).or_default().packets.push(Packet::of(*topic));
    }
    wanted
}

/// The clock of a monitor that hears all at once.
fn clock(s: i64) -> Clock {
    let mut clock = Clock::new(at(0));
    for s in 1..=s {
        clock.heard(at(s), at(s));
        clock.tick(at(s));
    }
    clock
}

fn judge(audit: &mut Audit, s: i64) -> (Vec<Missing>, Counts) {
    audit.judge(&clock(s))
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

/// It is heard when it is made.
fn hear(audit: &mut Audit, event: &Event) -> Counts {
    let moment = Moment { wall: event.timestamp, passed: event.timestamp };
    audit.heard(event, |_| false, moment).0
}

fn tell(audit: &mut Audit, river: &str, event: &Event, s: i64) -> u64 {
    audit.acknowledged(river, std::slice::from_ref(&event.event_id), at(s))
}

fn missing(river: &str, event: &Event) -> Missing {
    let (river, event_type) = (river.to_owned(), event.event_type.clone());
    Missing { river, event_id: event.event_id.clone(), event_type }
}

#[test]
fn what_an_empty_river_has_not_accounted_for_is_missing_there_and_nowhere_else() {
    let (mut audit, lost) = (audit(), event("ViewPage", 100));
    hear(&mut audit, &lost);
    assert_eq!(tell(&mut audit, "a", &lost, 110), 1);
    for river in ["a", "b"] {
        audit.lives(river, at(900));
    }
    audit.emptied("b", at(999));
    assert_eq!(judge(&mut audit, 1_119).0, [], "899 s are less than 900");
    audit.emptied("b", at(1_120));
    audit.emptied("b", at(1_135));
    assert_eq!(judge(&mut audit, 1_239).0, [], "what it settled until then may not be told yet");
    assert_eq!(judge(&mut audit, 1_240), (vec![missing("b", &lost)], Counts::new()));
    assert_eq!(judge(&mut audit, 1_250).0, []);
    assert_eq!(audit.rivers["b"].pending, 0);
}

#[test]
fn what_waits_in_a_river_behind_others_is_not_missing_for_a_long_time() {
    let (mut audit, waiting, lost) = (audit(), event("ViewPage", 100), event("ViewPage", 100));
    hear(&mut audit, &waiting);
    hear(&mut audit, &lost);
    for (s, gone) in [(1_100, false), (3_699, false), (3_700, true)] {
        let next = event("ViewPage", s);
        hear(&mut audit, &next);
        tell(&mut audit, "a", &next, s);
        tell(&mut audit, "b", &next, s);
        if s == 1_100 {
            assert_eq!(tell(&mut audit, "b", &waiting, s), 1, "it was only late");
            assert_eq!(tell(&mut audit, "a", &waiting, s), 1);
            assert_eq!(tell(&mut audit, "a", &lost, s), 1);
        }
        let expected = if gone { vec![missing("b", &lost)] } else { Vec::new() };
        assert_eq!(judge(&mut audit, s).0, expected, "{s}");
    }
}

#[test]
fn a_river_that_accounts_for_nothing_leaves_room_for_the_others() {
    let mut audit = audit();
    let mut unknown = 0;
    for _ in 0..PENDING_OF_RIVER_MAX + 3 {
        let event = event("ViewPage", 100);
        let moment = Moment { wall: at(100), passed: at(100) };
        let (_, counts) = audit.heard(&event, |_| false, moment);
        unknown += counts.get("b").copied().unwrap_or_default();
        assert_eq!(tell(&mut audit, "a", &event, 100), 1);
    }
    assert_eq!(unknown, 3);
    assert_eq!(audit.doubt("b"), PENDING_OF_RIVER_MAX as u64);
    assert_eq!((audit.pending(), audit.rivers["b"].pending), (0, 0));
}

#[test]
fn only_what_a_river_wants_is_waited_for() {
    let mut audit = audit();
    hear(&mut audit, &event("Unheard", 100));
    assert_eq!(audit.pending(), 0);
    let offer = event("OfferProposed", 100);
    hear(&mut audit, &offer);
    assert_eq!(tell(&mut audit, "a", &offer, 101), 0);
    assert_eq!(tell(&mut audit, "b", &offer, 101), 1);
    let moment = Moment { wall: at(102), passed: at(102) };
    audit.heard(&event("ViewPage", 102), |river| river == "a", moment);
    assert_eq!(audit.doubt("a"), 0, "it belongs to another arm");
    assert_eq!(audit.doubt("b"), 1);
    assert_eq!(audit.pending(), 0);
    let system = Event { event_type: "system.Ping".to_owned(), ..event("x", 300) };
    audit.wanted(&wants(&[("a", "*")]), at(200));
    audit.acknowledged("a", &[], at(201));
    hear(&mut audit, &system);
    assert_eq!(audit.pending(), 0);
}

#[test]
fn an_account_may_come_before_its_event() {
    let (mut audit, event) = (audit(), event("ViewPage", 100));
    assert_eq!(tell(&mut audit, "a", &event, 99), 0);
    assert_eq!(hear(&mut audit, &event), Counts::from([("a".to_owned(), 1)]));
    assert_eq!(tell(&mut audit, "b", &event, 101), 1);
    assert_eq!(audit.pending(), 0);
}

#[test]
fn a_river_that_tells_no_more_or_gets_something_else_is_not_judged() {
    let (mut audit, event) = (audit(), event("ViewPage", 100));
    hear(&mut audit, &event);
    let unknown = Counts::from([("a".to_owned(), 1)]);
    let mut other = wants(&[("a", "ViewPage"), ("b", "ViewPage"), ("b", "Offer*")]);
    let arm = Packet::of("*").demand_value("/experiments/ranking", "bold");
    other.get_mut("a").unwrap().arms = arm.rules().to_vec();
    assert_eq!(audit.wanted(&other, at(101)), unknown, "it belongs to an arm now");
    let (missing, unknown) = judge(&mut audit, 902);
    assert_eq!((missing, unknown), (Vec::new(), Counts::from([("b".to_owned(), 1)])));
    assert_eq!(audit.pending(), 0);
}

#[test]
fn what_was_made_before_it_was_wanted_is_not_waited_for() {
    let mut audit = Audit::new(SignedDuration::from_secs(900));
    audit.wanted(&wants(&[("a", "ViewPage")]), at(0));
    hear(&mut audit, &event("ViewPage", 20));
    assert_eq!(audit.pending(), 0, "nobody knows whether the river tells");
    audit.acknowledged("a", &[], at(21));
    hear(&mut audit, &event("ViewPage", 22));
    assert_eq!(audit.pending(), 1);
    audit.wanted(&wants(&[("a", "View*")]), at(30));
    audit.acknowledged("a", &[], at(31));
    let backlog = Moment { wall: at(100), passed: at(100) };
    audit.heard(&event("ViewPage", 39), |_| false, backlog);
    assert_eq!(audit.pending(), 0, "the readers may not have known of it");
    hear(&mut audit, &event("ViewPage", 40));
    assert_eq!(audit.pending(), 1);
}

#[test]
fn accounts_of_events_that_never_come_are_forgotten() {
    let mut audit = audit();
    audit.acknowledged("a", &[EventId::from(Value::Null.to_string())], at(2));
    assert_eq!(audit.early.len(), 2);
    judge(&mut audit, 902);
    assert_eq!(audit.early.len(), 1);
    judge(&mut audit, 903);
    assert_eq!((audit.early.len(), audit.early_order.len()), (0, 0));
}
