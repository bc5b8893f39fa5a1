use event::Producer;
use jiff::Timestamp;

use super::*;

fn row(river: &str, topic: &str, status: &str) -> Subscription {
    Subscription {
        river: river.into(),
        topic: topic.into(),
        status: status.into(),
        reason: None,
        rules: Vec::new(),
    }
}

fn event(event_type: &str, by: &str, cause: Option<&Event>) -> Event {
    let mut event = Event::root(event_type, "travel", json!({}), Timestamp::UNIX_EPOCH);
    event.producer =
        Some(Producer { service: by.into(), version: "1".into(), instance: "a".into() });
    event.causation_id = cause.map(|cause| cause.event_id.clone());
    event
}

fn rows() -> Vec<Subscription> {
    vec![
        row("location", "View*", "active"),
        row("offers", "OffersSelected", "active"),
        row("audit", "ViewPage", "degraded"),
    ]
}

fn fill(map: &mut Map<'_>) {
    let view = event("ViewPage", "web", None);
    map.add(&view);
    map.add(&event("ViewPage", "web", None));
    map.add(&event("OfferProposed", "location", Some(&view)));
    map.add(&event("Logged", "logger", Some(&view)));
    map.unreadable += 1;
}

#[test]
fn a_table_says_who_emits_and_who_consumes() {
    let rows = rows();
    let mut map = Map::new(&rows);
    fill(&mut map);
    assert_eq!(
        map.lines(Paint::NONE),
        [
            "EMITTED BY    TYPE           CONSUMED BY",
            "logger (1)    Logged         -",
            "location (1)  OfferProposed  -",
            "web (2)       ViewPage       location, audit (degraded), answered by logger",
            "\nno river consumes: Logged, OfferProposed",
            "\nsubscribed to, but not seen: OffersSelected (river offers)",
            "\n1 records are not events",
        ]
    );
}

#[test]
fn machines_get_the_same_as_one_object() {
    let rows = rows();
    let mut map = Map::new(&rows);
    fill(&mut map);
    let json = map.json();
    assert_eq!(json["types"][2]["emittedBy"], json!({"web": 2}));
    assert_eq!(json["types"][2]["answeredBy"], json!(["location", "logger"]));
    assert_eq!(json["unconsumed"], json!(["Logged", "OfferProposed"]));
    assert_eq!(json["neverSeen"][0]["river"], "offers");
}

#[test]
fn a_flowchart_leads_from_services_over_types_to_rivers() {
    let rows = [row("offers", "ViewPage", "active")];
    let mut map = Map::new(&rows);
    let view = event("ViewPage", "web", None);
    map.add(&view);
    map.add(&event("Logged", "logger", Some(&view)));
    assert_eq!(
        map.mermaid(),
        "flowchart LR\n  t0([\"Logged\"])\n  s1[\"logger\"]\n  t2([\"ViewPage\"])\n  s3[\"web\"]\n  \
         r4[(\"offers\")]\n  s1 -->|1| t0\n  s3 -->|1| t2\n  t2 --> r4\n  t2 -.-> s1"
    );
}
