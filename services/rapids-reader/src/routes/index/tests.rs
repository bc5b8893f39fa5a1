use proptest::prelude::*;

use super::*;

const EARLY: &str = "2026-11-23T17:59:59Z";
const LATE: &str = "2026-11-23T18:00:00Z";

fn row(river: &str, packets: &str) -> (String, String) {
    (river.to_owned(), format!(r#"{{"queueUrl":"http://q/{river}","packets":[{packets}]}}"#))
}

fn index(rows: &[(&str, &str)]) -> Index {
    let rows = rows.iter().map(|(river, packets)| row(river, packets)).collect();
    let (index, unreadable) = Index::compile(1, rows, &Index::default());
    assert_eq!(unreadable, []);
    index
}

fn names(index: &Index, json: &str, at: &str) -> Vec<String> {
    let header = Header::parse(json.as_bytes()).unwrap();
    let targets = index.route(&header, at.parse().unwrap());
    targets.iter().map(|target| target.name.clone()).collect()
}

fn event(event_type: &str, more: &str) -> String {
    format!(
        r#"{{"eventType":"{event_type}","timestamp":"2026-11-23T10:00:00Z","eventId":"1"{more}}}"#
    )
}

#[test]
fn an_event_goes_to_the_rivers_of_its_type_and_of_its_patterns_to_each_once() {
    let index = index(&[
        ("all", r#"{"topic":"*"}"#),
        ("offers", r#"{"topic":"Offer.*"},{"topic":"Offer.Made"},{"topic":"*"}"#),
        ("views", r#"{"topic":"ViewPage"}"#),
    ]);
    assert_eq!(names(&index, &event("Offer.Made", ""), LATE), ["all", "offers"]);
    assert_eq!(names(&index, &event("ViewPage", ""), LATE), ["all", "offers", "views"]);
    assert_eq!(names(&index, &event("ViewPages", ""), LATE), ["all", "offers"]);
    assert_eq!(index.rivers(), 3);
}

#[test]
fn a_bridge_is_open_until_its_time() {
    let index = index(&[("r", r#"{"topic":"A","until":"2026-11-23T18:00:00Z"}"#)]);
    assert_eq!(names(&index, &event("A", ""), EARLY), ["r"]);
    assert_eq!(names(&index, &event("A", ""), LATE), Vec::<String>::new());
}

#[test]
fn preconditions_decide_and_what_breaks_a_validation_is_the_rivers_to_tell() {
    let demand = r#"{"at":"/payload/city","rule":"demand_value","value":"Rome"}"#;
    let require = r#"{"at":"/payload/name","rule":"require_key"}"#;
    let index =
        index(&[("rome", &format!(r#"{{"topic":"ViewPage","rules":[{demand},{require}]}}"#))]);
    let view = |payload: &str| names(&index, &event("ViewPage", payload), LATE);
    assert_eq!(view(r#","payload":{"city":"Rome","name":"Sally"}"#), ["rome"]);
    assert_eq!(view(r#","payload":{"city":"Rome"}"#), ["rome"], "invalid, and meant");
    assert_eq!(view(r#","payload":{"city":"Bonn","name":"Sally"}"#), Vec::<String>::new());
    let no_event = r#"{"eventType":"ViewPage"}"#;
    assert_eq!(names(&index, no_event, LATE), ["rome"], "its service puts it away");
}

#[test]
fn rules_see_the_arm_that_stands_beside_an_event() {
    let bold = r#"{"at":"/experiments/ranking","rule":"demand_value","value":"bold"}"#;
    let index = index(&[("bold", &format!(r#"{{"topic":"ViewPage","rules":[{bold}]}}"#))]);
    let json = event("ViewPage", "");
    let mut header = Header::parse(json.as_bytes()).unwrap();
    assert!(index.route(&header, LATE.parse().unwrap()).is_empty());
    header.experiments.push(("ranking".into(), "bold".into()));
    assert_eq!(index.route(&header, LATE.parse().unwrap()).len(), 1);
}

#[test]
fn a_river_keeps_how_it_fares_until_its_queue_moves() {
    let before = index(&[("a", r#"{"topic":"A"}"#), ("b", r#"{"topic":"B"}"#)]);
    before.targets[0].failed();
    before.targets[1].failed();
    let moved = ("b".to_owned(), r#"{"queueUrl":"http://other","packets":[]}"#.to_owned());
    let rows = vec![row("a", r#"{"topic":"C"}"#), moved];
    let (after, _) = Index::compile(2, rows, &before);
    assert!(after.targets[0].failing_for().is_some());
    assert!(after.targets[1].failing_for().is_none());
    assert_eq!(after.version(), 2);
}

#[test]
fn a_row_that_cannot_be_read_leaves_its_river_what_it_had() {
    let before = index(&[("a", r#"{"topic":"A"}"#)]);
    let newer = row("a", r#"{"topic":"A","rules":[{"at":"/x","rule":"demand_moon"}]}"#);
    let (after, unreadable) = Index::compile(2, vec![newer, ("b".into(), "{".into())], &before);
    let rivers: Vec<_> = unreadable.iter().map(|it| it.river.as_str()).collect();
    assert_eq!(rivers, ["a", "b"]);
    assert_eq!(names(&after, &event("A", ""), LATE), ["a"]);
    assert_eq!(after.rivers(), 1);
}

proptest! {
    /// The index answers as asking every line would.
    #[test]
    fn no_line_is_missed_and_none_is_made_up(
        topics in prop::collection::vec("(\\*|[ab]{1,2}\\*?)", 1..8), event_type in "[ab]{1,3}",
    ) {
        let rows: Vec<_> = topics.iter().enumerate().map(|(number, topic)| {
            row(&format!("r{number}"), &format!(r#"{{"topic":"{topic}"}}"#))
        }).collect();
        let (index, _) = Index::compile(1, rows, &Index::default());
        let expected: Vec<_> = topics
            .iter()
            .enumerate()
            .filter(|(_, topic)| Topic::covers(topic, &event_type))
            .map(|(number, _)| format!("r{number}"))
            .collect();
        prop_assert_eq!(names(&index, &event(&event_type, ""), LATE), expected);
    }
}
