use jiff::{SignedDuration, Timestamp};

use super::*;

fn event(id: &str, cause: Option<&str>, after_ms: i64) -> Event {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(after_ms);
    let mut event = Event::root(format!("Type{id}"), "web", json!({}), at);
    event.event_id = id.into();
    event.causation_id = cause.map(EventId::from);
    event
}

fn forest(events: impl IntoIterator<Item = Event>) -> Forest {
    let mut forest = Forest::default();
    events.into_iter().for_each(|event| forest.add(event));
    forest
}

fn order(forest: &Forest) -> Vec<String> {
    let name = |stop: Stop<'_>| match stop {
        Stop::Missing(id) => format!("?{id}"),
        Stop::Node(node) => node.event.event_id.to_string(),
    };
    forest.walk().into_iter().map(name).collect()
}

#[test]
fn what_an_event_caused_follows_it_in_order_of_time() {
    let events = [
        event("d", Some("b"), 40),
        event("c", Some("a"), 30),
        event("b", Some("a"), 20),
        event("a", None, 0),
    ];
    assert_eq!(order(&forest(events)), ["a", "b", "d", "c"]);
}

#[test]
fn copies_are_counted_and_missing_causes_told() {
    let forest = forest([event("b", Some("a"), 1), event("b", Some("a"), 1), event("r", None, 0)]);
    assert_eq!(order(&forest), ["r", "?a", "b"]);
    assert_eq!(forest.json()[1], json!({"eventId": "a", "missing": true}));
    assert_eq!(forest.json()[2]["copies"], 2);
}

#[test]
fn a_circle_of_causes_is_shown_once() {
    let forest = forest([event("a", Some("b"), 0), event("b", Some("a"), 1)]);
    assert_eq!(order(&forest), ["a", "b"]);
}

#[test]
fn a_flowchart_has_a_node_for_each_event_and_an_arrow_for_each_cause() {
    let mut quoted = event("b", Some("a"), 1);
    quoted.event_type = "say \"hi\"".into();
    let forest = forest([event("a", None, 0), quoted, event("c", Some("x-is-not-there"), 2)]);
    assert_eq!(
        forest.mermaid(),
        "flowchart TD\n  n0[\"Typea<br/>web\"]\n  n1[\"say #quot;hi#quot;<br/>web\"]\n  \
         n2[\"not found: x-is-not\"]\n  n3[\"Typec<br/>web\"]\n  n0 --> n1\n  n2 --> n3"
    );
}
