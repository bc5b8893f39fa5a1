use event::route::Direct;
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::manage::state::Row;

fn stage() -> Stage {
    Stage::parse("dev").unwrap()
}

fn row(packet: &Packet, status: &str, reason: Option<&str>) -> Subscription {
    Subscription {
        river: "r1".into(),
        topic: packet.topic().into(),
        status: status.into(),
        reason: reason.map(str::to_owned),
        rules: packet.rules().to_vec(),
    }
}

fn facts(rows: Vec<Subscription>, policy: Option<&str>) -> Facts {
    let event = Event::root("ViewPage", "web", json!({"name": "Sally"}), Timestamp::UNIX_EPOCH);
    let filter = policy.map(|policy| Filter { policy: Some(policy.to_owned()), of_body: false });
    Facts { json: event.to_json().into(), rows, has_queue: true, filter, ..Facts::default() }
}

fn explained(facts: &Facts) -> Explanation {
    let river = River::parse("r1", &stage()).unwrap();
    Explanation::of(&river, &stage(), facts)
}

fn verdict(facts: &Facts) -> String {
    explained(facts).verdict()
}

const OPEN: Option<&str> = Some(r#"{"event_type":["ViewPage"]}"#);
const OTHER: Option<&str> = Some(r#"{"event_type":["Other"]}"#);

#[test]
fn what_is_wanted_and_let_through_is_delivered() {
    let explained = explained(&facts(vec![row(&Packet::of("View*"), "active", None)], OPEN));
    assert_eq!(explained.verdict(), "delivered");
    let steps: Vec<_> = explained.steps.iter().map(|step| (step.step, step.state)).collect();
    let names = ["event", "size", "topics", "queue", "filter", "experiments", "rules"];
    assert_eq!(steps, names.map(|name| (name, State::Fine)));
}

#[test]
fn what_is_no_event_or_too_large_goes_nowhere() {
    let mut facts = facts(vec![row(&Packet::of("*"), "active", None)], OPEN);
    let large = json!({"name": "x".repeat(BYTES_MAX)});
    facts.json = Event::root("ViewPage", "web", large, Timestamp::UNIX_EPOCH).to_json().into();
    assert!(verdict(&facts).starts_with("not delivered: because it is too large"));
    facts.json = b"{oops".to_vec();
    let verdict = verdict(&facts);
    assert!(
        verdict.contains("no event (not JSON") && verdict.contains("dlq show rapids"),
        "{verdict}"
    );
}

#[test]
fn each_hindrance_is_told_with_its_remedy() {
    let page = Packet::of("ViewPage");
    let active = || vec![row(&page, "active", None)];
    let gone = Facts { has_queue: false, ..facts(active(), None) };
    let cases = [
        (facts(Vec::new(), None), "not subscribed to ViewPage", "rapids subscribe r1 ViewPage"),
        (facts(vec![row(&page, "pending", None)], OTHER), "pending", "control plane"),
        (facts(vec![row(&page, "degraded", Some("150 topics"))], OTHER), "150 topics", "subscribe"),
        (facts(active(), OTHER), "lags behind", "15 minutes"),
        (facts(active(), None), "SNS subscription is gone", "control plane"),
        (gone, "queue is gone", "control plane"),
    ];
    for (facts, because, remedy) in cases {
        let verdict = verdict(&facts);
        assert!(verdict.starts_with("not delivered: because "), "{verdict}");
        assert!(verdict.contains(because) && verdict.contains(remedy), "{verdict}");
    }
}

#[test]
fn a_filter_that_still_lets_through_what_nobody_wants_is_odd() {
    let explained = explained(&facts(Vec::new(), OPEN));
    assert!(explained.delivered);
    let filter = explained.steps.iter().find(|step| step.step == "filter").unwrap();
    assert_eq!(filter.state, State::Odd);
}

#[test]
fn rules_that_do_not_hold_are_told_with_place_and_finding() {
    let strict = Packet::of("ViewPage").require_key("age");
    let explained_strict = explained(&facts(vec![row(&strict, "active", None)], OPEN));
    assert!(explained_strict.verdict().starts_with("delivered, but not handled"));
    let rules = explained_strict.steps.last().unwrap();
    assert!(rules.more[0].starts_with("/payload/age: expected"), "{rules:?}");

    let app = Packet::of("ViewPage").demand_value("/eventDomain", "app");
    let explained = explained(&facts(vec![row(&app, "active", None)], OPEN));
    let rules = explained.steps.last().unwrap();
    assert_eq!(rules.more, [r#"/eventDomain: demand_value "app", found "web""#]);
}

fn fed(route: &str, packet: &Packet, until: Option<i64>) -> Row {
    let until = until.map(|second| Timestamp::from_second(second).unwrap());
    let line = Line { topic: packet.topic().into(), rules: packet.rules().to_vec(), until };
    let direct = Direct { queue_url: String::new(), packets: vec![line] };
    Row { route: Some(route.into()), direct: Some(direct), ..Row::default() }
}

#[test]
fn what_the_reader_writes_itself_is_delivered_without_sns() {
    let mut facts = facts(vec![row(&Packet::of("View*"), "active", None)], None);
    facts.row = fed("direct", &Packet::of("View*"), None);
    let explained = explained(&facts);
    assert_eq!(explained.verdict(), "delivered");
    assert!(explained.steps.iter().all(|step| step.state == State::Fine && step.step != "filter"));
    let strict = Packet::of("View*").demand_value("/eventDomain", "app");
    facts.row = fed("direct", &strict, None);
    assert!(verdict(&facts).contains("the rapids-reader does not write it"));
}

#[test]
fn a_bridge_delivers_until_it_closes() {
    let mut facts = facts(vec![row(&Packet::of("ViewPage"), "active", None)], OTHER);
    facts.row = fed("sns", &Packet::of("ViewPage"), Some(60));
    facts.now = Timestamp::from_second(59).unwrap();
    assert_eq!(verdict(&facts), "delivered");
    facts.now = Timestamp::from_second(60).unwrap();
    assert!(verdict(&facts).contains("lags behind"), "{}", verdict(&facts));
}

#[test]
fn what_is_too_large_for_sns_is_not_for_the_reader() {
    let mut facts = facts(vec![row(&Packet::of("ViewPage"), "active", None)], OPEN);
    let large = json!({"name": "x".repeat(BYTES_MAX)});
    facts.json = Event::root("ViewPage", "web", large, Timestamp::UNIX_EPOCH).to_json().into();
    facts.row = fed("direct", &Packet::of("ViewPage"), None);
    assert_eq!(verdict(&facts), "delivered");
}
