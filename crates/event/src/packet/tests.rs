use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::filter::{Attributes, FilterPolicy, Scope};

fn event(payload: Value) -> Event {
    let mut event = Event::root("ViewPage", "web", payload, Timestamp::UNIX_EPOCH);
    event.experiments.insert("ranking".into(), "bold".into());
    event
}

fn view() -> Packet {
    Packet::of("ViewPage")
}

fn problems(packet: &Packet, event: &Event) -> Vec<Problem> {
    match packet.check(event) {
        Verdict::Invalid(problems) => problems.0,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn an_event_of_another_type_or_that_breaks_a_precondition_is_not_mine() {
    let sally = event(json!({"name": "Sally", "age": 0, "channel": "web", "tags": []}));
    let mine = [
        view(),
        Packet::of("*"),
        Packet::of("View*"),
        view().demand_key("name").demand_key("age"),
        view().demand_value("/eventDomain", "web").demand_value("age", 0),
        view().demand_any("channel", ["web", "app"]).demand_prefix("name", "Sa"),
        view().reject_key("tags").reject_key("/synthetic").reject_value("name", "Bob"),
        view().demand_value("/experiments/ranking", "bold").reject_value("nothing", 1),
    ];
    for packet in mine {
        assert_eq!(packet.check(&sally), Verdict::Mine, "{packet:?}");
    }
    let not_mine = [
        Packet::of("View"),
        Packet::of("Page*"),
        view().demand_key("tags"),
        view().demand_key("nothing"),
        view().demand_value("age", 1),
        view().demand_any("channel", ["tv"]),
        view().demand_prefix("age", "0"),
        view().reject_key("age"),
        view().reject_value("name", "Sally"),
        view().demand_value("/experiments/ranking", "control"),
        // A precondition that fails is silent, whatever else is wrong.
        view().require_key("nothing").demand_key("nothing"),
    ];
    for packet in not_mine {
        assert_eq!(packet.check(&sally), Verdict::NotMine, "{packet:?}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_place_rule_expected_and_found() {
    let packet = view()
        .require_key("name")
        .require_value("brand", "Rapids")
        .require_any("channel", ["web", "app"])
        .require_all("tags", ["a", "b"])
        .forbid_key("secret")
        .require_array("items", |item| {
            item.require_key("price").require_any("", [json!({"price": 1})])
        });
    let wrong = event(json!({
        "name": "", "channel": "tv", "tags": ["a"], "secret": 0, "items": [{"price": 1}, {"price": null}],
    }));
    let told: Vec<_> =
        problems(&packet, &wrong).into_iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        told,
        [
            "/payload/name: expected a value, found nothing (require_key)",
            r#"/payload/brand: expected "Rapids", found nothing (require_value)"#,
            r#"/payload/channel: expected one of "web", "app", found "tv" (require_any)"#,
            r#"/payload/tags: expected a list with "a", "b", found ["a"] (require_all)"#,
            "/payload/secret: expected nothing, found 0 (forbid_key)",
            "/payload/items/1/price: expected a value, found nothing (require_key)",
            r#"/payload/items/1: expected one of {"price":1}, found {"price":null} (require_any)"#,
        ]
    );
}

#[test]
fn a_payload_that_no_type_can_read_is_told_with_the_types_reason() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct View {
        name: Option<String>,
    }
    let packet = view().require_parsed::<View>("");
    assert_eq!(packet.check(&event(Value::Null)), Verdict::Mine);
    let [problem] = problems(&packet, &event(json!({"name": 7}))).try_into().unwrap();
    assert_eq!((problem.rule, &*problem.pointer), ("require_parsed", "/payload"));
    assert!(problem.expected.starts_with("a View: invalid type"), "{problem}");
    assert_eq!(problem.found.as_deref(), Some(r#"{"name":7}"#));
}

#[test]
fn a_long_value_is_cut_in_the_report() {
    let [problem] = problems(&view().forbid_key("x"), &event(json!({"x": "ö".repeat(200)})))
        .try_into()
        .unwrap();
    assert_eq!(problem.found.unwrap().chars().count(), 81);
}

#[test]
fn an_event_is_mine_if_one_of_several_declarations_takes_it() {
    let packets = [view().require_key("nothing"), view().demand_key("x")];
    assert_eq!(check(&packets, &event(json!({"x": 1}))), Verdict::Mine);
    assert!(matches!(check(&packets, &event(Value::Null)), Verdict::Invalid(_)));
    assert_eq!(check(&packets[1..], &event(Value::Null)), Verdict::NotMine);
    assert_eq!(check(&[], &event(Value::Null)), Verdict::NotMine);
}

#[test]
fn the_catalogue_has_the_declaration_word_for_word() {
    let packet = view()
        .demand_value("/eventDomain", "web")
        .require_parsed::<Vec<String>>("tags")
        .require_array("items", |item| item.require_key("price"));
    let json = serde_json::to_value(&packet).unwrap();
    assert_eq!(
        json,
        json!({"topic": "ViewPage", "rules": [
            {"at": "/eventDomain", "rule": "demand_value", "value": "web"},
            {"at": "/payload/tags", "rule": "require_parsed", "type": "Vec<String>"},
            {"at": "/payload/items", "rule": "require_array", "items": [
                {"at": "/price", "rule": "require_key"},
            ]},
        ]})
    );
    assert_eq!(serde_json::from_value::<Packet>(json).unwrap(), packet);
    assert_eq!(serde_json::to_value(Packet::of("A")).unwrap(), json!({"topic": "A"}));
}

/// The attributes that the reader writes beside an event.
fn attributes(event: &Event) -> Attributes {
    let mut attributes = Attributes::new();
    if event.synthetic {
        attributes.insert("synthetic".into(), vec![json!("true")]);
    }
    let arms: Vec<_> = event.experiments.iter().map(|(e, a)| arm(e, a).into()).collect();
    if !arms.is_empty() {
        attributes.insert("arm".into(), arms);
    }
    attributes
}

#[test]
fn sns_lets_through_all_that_is_mine_and_stops_what_it_can() {
    let filters = [
        (view().demand_value("/synthetic", true), false),
        (view().reject_value("/synthetic", true), true),
        (view().demand_value("/experiments/ranking", "bold"), true),
        (view().demand_value("/experiments/ranking", "control"), false),
        (view().demand_any("/experiments/ranking", ["bold", "shy"]), true),
        (view().demand_key("/experiments/ranking"), true),
        (view().demand_key("/experiments/other"), false),
        (view().reject_value("/experiments/ranking", "bold"), false),
        (view().reject_value("/experiments/ranking", "control"), true),
    ];
    let sally = event(json!({"name": "Sally"}));
    for (packet, passes) in filters {
        let AttributeFilter(conditions) = packet.filter();
        assert!(!conditions.is_empty(), "{packet:?} is not pushed down");
        let policy = serde_json::to_string(&conditions).unwrap();
        let policy = FilterPolicy::parse(&policy, Scope::Attributes).unwrap();
        assert_eq!(policy.matches_attributes(&attributes(&sally)), passes, "{packet:?}");
        assert_eq!(packet.check(&sally) == Verdict::Mine, passes, "{packet:?}");
    }
    for kept in [
        view().demand_value("name", "Sally"),
        view().demand_value("/eventDomain", "web"),
        view().require_value("/synthetic", true),
        view().reject_key("/experiments/ranking"),
    ] {
        assert_eq!(kept.filter(), AttributeFilter::default(), "{kept:?}");
    }
}

#[test]
fn places_are_found_by_their_pointers() {
    let mut event = event(json!({"a/b": {"c": [1, {"d": 2}]}}));
    event.extra.insert("tenant".into(), json!({"id": 7}));
    let at = |pointer: &str| event.at(pointer).map(|value| value.into_owned());
    assert_eq!(at("/payload/a~1b/c/1/d"), Some(json!(2)));
    assert_eq!(at("/tenant/id"), Some(json!(7)));
    assert_eq!(at("/tenant"), Some(json!({"id": 7})));
    assert_eq!(at("/eventType"), Some(json!("ViewPage")));
    assert_eq!(at("/experiments/ranking"), Some(json!("bold")));
    assert_eq!(at("/experiments"), Some(json!({"ranking": "bold"})));
    for nothing in
        ["/hops", "/synthetic", "/correlationId", "/eventType/x", "/eventName", "payload", ""]
    {
        assert_eq!(at(nothing), None, "{nothing}");
    }
}
