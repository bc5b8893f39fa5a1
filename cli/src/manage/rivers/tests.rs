use event::route::{Direct, Line, Routing};

use super::*;
use crate::manage::state::Row;
use crate::watch::rows::Subscription;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_time_ago_is_told_in_its_unit() {
    let now = at("2026-11-23T12:00:00Z");
    for (then, told) in [
        ("2026-11-23T12:00:01Z", "0 s ago"),
        ("2026-11-23T11:58:01Z", "119 s ago"),
        ("2026-11-23T11:58:00Z", "2 min ago"),
        ("2026-11-23T10:00:00Z", "2 h ago"),
        ("2026-11-21T12:00:00Z", "2 d ago"),
    ] {
        assert_eq!(ago(at(then), now), told);
    }
}

#[test]
fn one_river_is_told_in_full() {
    let topic = |topic: &str, status: &str, reason: Option<&str>| Subscription {
        river: "r1".into(),
        topic: topic.into(),
        status: status.into(),
        reason: reason.map(str::to_owned),
        rules: Vec::new(),
    };
    let now = at("2026-11-23T12:00:00Z");
    let line = |until| Line { topic: "A".into(), rules: Vec::new(), until };
    let river = River {
        name: "r1".into(),
        topics: vec![topic("A", "active", None), topic("B", "degraded", Some("too many"))],
        row: Row {
            routing: Routing::Auto,
            route: Some("sns".into()),
            route_reason: Some("within the limits of SNS".into()),
            direct: Some(Direct {
                queue_url: String::new(),
                packets: vec![line(Some(at("2026-11-23T12:10:00Z")))],
            }),
            checked_at: Some(at("2026-11-23T11:59:50Z")),
            problem: Some("too many".into()),
            findings: vec!["queue r1-dev has a key of others".into()],
            ..Row::default()
        },
        waiting: Some(Count { visible: 3, hidden: 1 }),
        dead: None,
    };
    let told = lines(&river, now, Paint::NONE).join("\n");
    let expected = "\
river    r1
state    degraded
route    sns: within the limits of SNS (routing auto)
queue    3 waiting, 1 hidden
dlq      there is none
checked  10 s ago
topic    A active
topic    B degraded: too many
direct   A until 2026-11-23T12:10:00Z, while SNS learns its filter
finding  queue r1-dev has a key of others";
    assert_eq!(told, expected);
}
