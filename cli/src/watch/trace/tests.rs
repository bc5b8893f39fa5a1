use jiff::SignedDuration;
use serde_json::json;

use super::*;

fn event(id: &str, root: &str, cause: Option<&str>) -> Event {
    let mut event = Event::root("Seen", "web", json!({"at": id}), Timestamp::UNIX_EPOCH);
    event.event_id = id.into();
    event.correlation_id = (id != root).then(|| root.into());
    event.causation_id = cause.map(EventId::from);
    event.hops = u32::from(cause.is_some());
    event.timestamp += SignedDuration::from_millis(i64::from(event.hops) * 7);
    event
}

fn search(id: &str, events: &[Event]) -> Search {
    let mut search = Search::of(id, false);
    events.iter().cloned().for_each(|event| search.look_at(event));
    search
}

#[test]
fn a_conversation_is_found_by_the_begin_of_any_of_its_ids() {
    let events =
        [event("aa1", "aa1", None), event("bb1", "aa1", Some("aa1")), event("cc1", "cc1", None)];
    let by_root = search("aa", &events);
    assert_eq!(by_root.conversation().unwrap(), "aa1".into());
    assert!(!by_root.passed_by);
    assert_eq!(by_root.events.len(), 2);
    let by_answer = search("bb1", &events);
    assert_eq!(by_answer.conversation().unwrap(), "aa1".into());
    assert!(by_answer.passed_by, "its root has gone by");
}

#[test]
fn an_id_that_is_not_unique_or_nowhere_is_told() {
    let events = [event("aa1", "aa1", None), event("aa12", "aa12", None)];
    assert!(matches!(search("a", &events).conversation(), Err(Failure::Usage(_))));
    assert_eq!(search("aa1", &events).conversation().unwrap(), "aa1".into(), "in full");
    let line = search("zz", &events).conversation().unwrap_err().line();
    assert!(line.contains("zz") && line.contains("--since"), "{line}");
}

#[test]
fn the_tree_says_who_when_and_how_often_and_what_is_missing() {
    let mut forest = Forest::default();
    let lost = event("dd", "aa", Some("cc"));
    for event in [event("aa", "aa", None), event("bb", "aa", Some("aa")), lost.clone(), lost] {
        forest.add(event);
    }
    assert_eq!(
        lines(&forest, false),
        [
            "+    0 ms  web            Seen                hops 0  {\"at\":\"aa\"}",
            "+    7 ms    web            Seen                hops 1  {\"at\":\"bb\"}  ← Seen",
            "           (not found: cc)",
            "+    7 ms    web            Seen                hops 1  {\"at\":\"dd\"}  ← ?  (x2)",
        ]
    );
}
