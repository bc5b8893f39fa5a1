use event::Malformed;

use super::*;
use crate::args::watch::Pick;

fn event(event_type: &str) -> Event {
    let at = "2026-11-23T08:00:00Z".parse().unwrap();
    let mut event = Event::root(event_type, "web", json!({"name": "Sally"}), at);
    event.event_id = "019ab2c4-aaaa".into();
    event
}

fn record(data: &str) -> Record {
    Record {
        arrived: "2026-11-23T08:00:01.5Z".parse().unwrap(),
        shard: "shardId-000000000000".into(),
        sequence_number: "49".into(),
        event: Event::parse(data.as_bytes()),
        data: data.into(),
        is_copy: false,
    }
}

fn settings() -> Settings {
    #[derive(clap::Parser)]
    struct Grammar {
        #[command(flatten)]
        settings: Settings,
    }
    <Grammar as clap::Parser>::parse_from(["tail"]).settings
}

#[test]
fn a_line_has_time_type_source_ids_and_what_fits_of_the_payload() {
    let event = event("ViewPage");
    let at = "2026-11-23T08:00:01.5Z".parse().unwrap();
    let line = |width| event_line(Paint::NONE, width, at, &event, false);
    assert_eq!(
        line(None),
        "08:00:01.500  ViewPage             web            019ab2c4             {\"name\":\"Sally\"}"
    );
    assert!(line(Some(80)).ends_with("{\"name\":…"), "{}", line(Some(80)));
    assert_eq!(line(Some(80)).chars().count(), 80);
    assert!(event_line(Paint::NONE, None, at, &event, true).contains("(copy)"));
}

#[test]
fn for_machines_an_event_is_as_it_came_but_in_one_line() {
    let text = event("ViewPage").to_json().replacen(',', ",\n  ", 3);
    assert_eq!(json_line(&record(&text)).unwrap(), text.replace('\n', " "));
    let refused = json_line(&record("{oops")).unwrap();
    let refused: serde_json::Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["notAnEvent"]["kind"], "not_json");
    assert_eq!(refused["notAnEvent"]["sequenceNumber"], "49");
}

#[test]
fn what_is_no_event_is_shown_only_to_those_who_want_everything() {
    let (good, bad) = (record(&event("ViewPage").to_json()), record("{oops"));
    assert!(matches!(bad.event, Err(Malformed::NotJson(_))));
    assert!(is_meant(&settings(), &good) && is_meant(&settings(), &bad));
    let types = Pick { types: vec!["View*".into()], places: Vec::new() };
    let some = Settings { pick: types, ..settings() };
    assert!(is_meant(&some, &good) && !is_meant(&some, &bad));
    let of = |source: &str| Settings { source: Some(source.into()), ..settings() };
    assert!(is_meant(&of("web"), &good) && !is_meant(&of("app"), &good));
    let of = |id: &str| Settings { correlation: Some(id.into()), ..settings() };
    assert!(is_meant(&of("019ab2c4"), &good) && !is_meant(&of("77"), &good));
}
