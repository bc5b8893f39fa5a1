use std::time::Duration;

use event::Producer;
use serde_json::Value;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

fn probes() -> Probes {
    let judged_after = Duration::from_secs(10);
    Probes::new(&config::Probe { judged_after, ..config::Probe::default() })
}

/// What a service answers to the view.
fn answer(view: &Event, event_type: &str, service: &str, ms: i64, payload: Value) -> Event {
    let (version, instance) = ("1".to_owned(), "i".to_owned());
    Event {
        correlation_id: Some(view.event_id.clone()),
        synthetic: view.synthetic,
        producer: Some(Producer { service: service.to_owned(), version, instance }),
        ..Event::root(event_type, service, payload, at(ms))
    }
}

/// All that follows from Sally's view, the selection last.
fn story(view: &Event) -> Vec<Event> {
    let offer = |service: &str, basis: &str| {
        answer(view, "OfferProposed", service, 300, json!({"basis": basis}))
    };
    let selected = json!({"offers": [{"basis": "segment+tier"}, {"basis": "segment"}]});
    vec![
        offer("location", "baseline"),
        offer("brand-next", "baseline"),
        answer(view, "CustomerSegmented", "segmentation", 100, json!({"segment": "RoadWarrior"})),
        answer(view, "MembershipResolved", "membership", 100, json!({"tier": "Platinum"})),
        offer("location", "segment"),
        offer("brand", "segment"),
        offer("location", "segment+tier"),
        answer(view, "OffersSelected", "offer-engine", 2_100, selected),
    ]
}

/// The beginning of all.
fn began() -> Moment {
    Clock::new(at(0)).moment(at(0))
}

/// The clock after so many seconds in which the rapids were heard.
fn after(seconds: i64) -> Clock {
    let mut clock = Clock::new(at(0));
    for s in 1..=seconds {
        clock.heard(at(1_000 * s), at(1_000 * s));
        clock.tick(at(1_000 * s));
    }
    clock
}

fn verdict(probes: &mut Probes) -> Verdict {
    assert_eq!(probes.judge(&after(9)), []);
    let mut verdicts = probes.judge(&after(10));
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

/// The stages that fail when the story is told in this way.
fn failing(tell: impl FnOnce(&mut Vec<Event>)) -> Vec<(&'static str, String)> {
    let mut probes = probes();
    let view = probes.start(began()).remove(0);
    let mut story = story(&view);
    tell(&mut story);
    story.iter().for_each(|event| probes.heard(event));
    verdict(&mut probes).failed
}

#[test]
fn sally_passes_when_every_stage_comes() {
    let mut probes = probes();
    let views = probes.start(began());
    let [view] = &views[..] else { panic!("one view") };
    assert!(view.synthetic);
    story(view).iter().for_each(|event| probes.heard(event));
    let verdict = verdict(&mut probes);
    assert_eq!((verdict.probe, verdict.failed), ("sally", Vec::new()));
    assert_eq!(verdict.reached.len(), 8);
    assert!(verdict.reached.contains(&("selection", 2.1)));
    assert_eq!(probes.judge(&after(99)), []);
}

#[test]
fn each_stage_that_does_not_come_is_told() {
    for (index, stage) in STAGES[..8].iter().enumerate() {
        let failed = failing(|story| drop(story.remove(index)));
        assert_eq!(failed, [(*stage, "it did not come".to_owned())]);
    }
}

#[test]
fn what_comes_wrong_or_late_or_twice_or_unmarked_fails_its_stage() {
    let selection = |failed: Vec<(&'static str, String)>, says: &str| {
        let [("selection", why)] = &failed[..] else { panic!("{failed:?}") };
        assert!(why.contains(says), "{why}");
    };
    selection(failing(|story| story[7].timestamp = at(3_501)), "3501 ms");
    selection(failing(|story| story[7].payload = json!({"offers": []})), "segment+tier");
    let second = |story: &mut Vec<Event>| {
        let other = Event { event_id: "other".into(), ..story[7].clone() };
        story.push(other);
    };
    selection(failing(second), "several");
    assert_eq!(failing(|story| story.push(story[7].clone())), [], "a copy is the same selection");
    let failed = failing(|story| story[2].payload = json!({"segment": "None"}));
    assert_eq!(failed, [("segment_event", r#"segment is "None", not "RoadWarrior""#.to_owned())]);
    let failed = failing(|story| story[0].synthetic = false);
    assert_eq!(failed[0].0, "marked_synthetic");
}

#[test]
fn the_probes_take_turns_and_one_is_put_twice() {
    let mut probes = probes();
    let started: Vec<_> = (0..4).map(|_| probes.start(began())).collect();
    assert_eq!(started.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 2, 1]);
    assert_eq!(started[2][0], started[2][1]);
    assert_ne!(started[1][0].payload["customerId"], started[0][0].payload["customerId"]);
    assert_eq!(probes.judge(&after(10)).len(), 4);
}

#[test]
fn nobody_gets_the_offers_that_everybody_gets() {
    let mut probes = probes();
    probes.turn = 1;
    let view = probes.start(began()).remove(0);
    for mut event in story(&view) {
        match event.event_type.as_str() {
            "CustomerSegmented" => event.payload = json!({"segment": "None"}),
            "MembershipResolved" => event.payload = json!({"tier": "None"}),
            "OffersSelected" => event.payload = json!({"offers": [{"basis": "baseline"}]}),
            _ if event.payload["basis"] != "baseline" => continue,
            _ => {}
        }
        probes.heard(&event);
    }
    assert_eq!(verdict(&mut probes).failed, []);
}
