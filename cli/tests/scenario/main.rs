//! The story of the original, and what may happen to it: the whole system in virtual time, on the embedded AWS.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod bridge;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use brand::Brand;
use event::Event;
use event::control::Command;
use event::experiment::{Arm, Experiment};
use location::Location;
use membership::Membership;
use offer_engine::OfferEngine;
use segmentation::Segmentation;
use tokio::time::sleep;
use world::{Scenario, offers};

const FOR_SALLY: [&str; 2] = ["location segment+tier", "brand segment"];

#[tokio::test(start_paused = true)]
async fn sally_gets_what_fits_a_platinum_road_warrior_and_all_is_said_why() {
    let (scenario, _services) = Scenario::with_all().await;
    let view = scenario.view("Sally").await;
    let selection = scenario.selection(&view).await;
    assert_eq!(offers(&selection), FOR_SALLY);
    assert_eq!(selection.payload["rejected"].as_array().unwrap().len(), 3);
    let took = selection.timestamp.duration_since(view.timestamp);
    assert!((1_900..3_500).contains(&took.as_millis()), "{took}");
    for (event_type, count) in
        [("CustomerSegmented", 1), ("MembershipResolved", 1), ("OfferProposed", 5)]
    {
        let said = scenario.said(&view, event_type).await;
        assert_eq!(said.len(), count, "{event_type}");
        assert!(said.iter().all(|event| event.causation_id.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_that_nobody_knows_gets_what_everybody_gets() {
    let (scenario, _services) = Scenario::with_all().await;
    let view = scenario.view("Harry").await;
    let selection = scenario.selection(&view).await;
    assert_eq!(offers(&selection), ["location baseline", "brand baseline"]);
}

#[tokio::test(start_paused = true)]
async fn membership_that_comes_too_late_amends_the_selection() {
    let scenario = Scenario::new().await;
    let _segmentation = scenario.start::<Segmentation>().await;
    let membership = scenario.start::<Membership>().await;
    let _location = scenario.start::<Location>().await;
    let _engine = scenario.start::<OfferEngine>().await;
    membership.stop().await;
    let view = scenario.view("Sally").await;
    assert_eq!(offers(&scenario.selection(&view).await), ["location segment"]);
    let _membership = scenario.start::<Membership>().await;
    let amended = scenario.wait_for(&view, "OffersAmended", 1).await.remove(0);
    assert_eq!(offers(&amended), ["location segment+tier"]);
    assert_eq!(amended.payload["revision"], 2);
}

#[tokio::test(start_paused = true)]
async fn facts_that_come_before_the_view_make_the_same_offers() {
    let scenario = Scenario::new().await;
    let _location = scenario.start::<Location>().await;
    let _engine = scenario.start::<OfferEngine>().await;
    let view = Event::root(
        "ViewPage",
        "TheSource",
        serde_json::json!({"name": "Sally"}),
        scenario.world.now(),
    );
    for (event_type, fact) in [("MembershipResolved", "tier"), ("CustomerSegmented", "segment")] {
        let value = if fact == "tier" { "Platinum" } else { "RoadWarrior" };
        let said =
            Event::root(event_type, "test", serde_json::json!({ fact: value }), view.timestamp);
        let correlation_id = Some(view.event_id.clone());
        scenario.world.put(&Event { correlation_id, ..said }).await;
    }
    sleep(Duration::from_millis(900)).await;
    assert_eq!(scenario.said(&view, "OfferProposed").await, [], "nobody has looked at anything");
    scenario.world.put(&view).await;
    assert_eq!(offers(&scenario.selection(&view).await), ["location segment+tier"]);
}

#[tokio::test(start_paused = true)]
async fn everything_twice_changes_nothing() {
    let (scenario, _services) = Scenario::with_all().await;
    let view = scenario.view("Sally").await;
    let selection = scenario.selection(&view).await;
    for event in scenario.world.rapids().await {
        scenario.world.put(&event).await;
    }
    sleep(Duration::from_secs(60)).await;
    for event_type in ["OffersSelected", "OfferProposed", "CustomerSegmented"] {
        let contents: BTreeSet<String> = scenario
            .said(&view, event_type)
            .await
            .into_iter()
            .map(|event| {
                let timestamp = view.timestamp;
                Event { timestamp, producer: None, ..event }.to_json()
            })
            .collect();
        let expected = if event_type == "OfferProposed" { 5 } else { 1 };
        assert_eq!(contents.len(), expected, "{event_type}");
    }
    assert!(scenario.said(&view, "OffersSelected").await.contains(&selection));
    assert!(scenario.said(&view, "OffersAmended").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_brand_costs_its_own_offers_and_nothing_else() {
    let (scenario, mut services) = Scenario::with_all().await;
    services.remove(3).stop().await;
    let view = scenario.view("Sally").await;
    assert_eq!(offers(&scenario.selection(&view).await), ["location segment+tier"]);
    // What waited for it is not lost: it answers when it is back, and the selection is amended.
    let _brand = scenario.start::<Brand>().await;
    let amended = scenario.wait_for(&view, "OffersAmended", 1).await;
    scenario.world.drained("offer-engine").await;
    let last = scenario.said(&view, "OffersAmended").await.pop().unwrap();
    assert_eq!(offers(&last), FOR_SALLY, "{} amendments", amended.len());
}

#[tokio::test(start_paused = true)]
async fn poison_in_every_river_is_set_aside_and_stops_nobody() {
    let (scenario, _services) = Scenario::with_all().await;
    let rivers = ["segmentation", "membership", "location", "brand", "offer-engine"];
    for river in rivers {
        scenario.world.send_text(river, "poison").await;
    }
    let view = scenario.view("Sally").await;
    assert_eq!(offers(&scenario.selection(&view).await), FOR_SALLY);
    for river in rivers {
        let letters = scenario.world.dead_letters(river).await;
        assert_eq!(letters.len(), 1, "{river}");
        assert_eq!(letters[0].body, "poison");
        assert!(!letters[0].reason.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_killed_in_the_window_is_stood_in_for() {
    let (scenario, mut services) = Scenario::with_all().await;
    let _second = scenario.start::<OfferEngine>().await;
    for kill in [false, true] {
        let view = scenario.view("Sally").await;
        sleep(Duration::from_millis(1_000)).await;
        if kill {
            services.pop().unwrap().kill();
        }
        scenario.selection(&view).await;
        sleep(Duration::from_secs(90)).await;
        let ids = scenario.said(&view, "OffersSelected").await;
        let ids: BTreeSet<_> = ids.into_iter().map(|it| it.to_json()).collect();
        assert_eq!(ids.len(), 1);
        let amended = scenario.said(&view, "OffersAmended").await;
        let last = amended.last().cloned();
        let last = match last {
            Some(amended) => amended,
            None => scenario.selection(&view).await,
        };
        assert_eq!(offers(&last), FOR_SALLY);
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_engine_is_killed_in_the_window_and_the_next_one_closes_it() {
    let (scenario, mut services) = Scenario::with_all().await;
    let view = scenario.view("Sally").await;
    sleep(Duration::from_millis(1_500)).await;
    services.pop().unwrap().kill();
    sleep(Duration::from_secs(5)).await;
    assert!(scenario.said(&view, "OffersSelected").await.is_empty());
    let _second = scenario.start::<OfferEngine>().await;
    assert_eq!(offers(&scenario.selection(&view).await), FOR_SALLY);
}

#[tokio::test(start_paused = true)]
async fn a_sibling_of_location_gets_everything_and_both_are_heard() {
    let (scenario, _services) = Scenario::with_all().await;
    let variant = Some("next".to_owned());
    let sibling = scenario.start_as::<Location>(|config| config.variant = variant).await;
    let view = scenario.view("Sally").await;
    let selection = scenario.selection(&view).await;
    let mut offered = offers(&selection);
    offered.sort_unstable();
    let both = ["brand segment", "location segment+tier", "location-next segment+tier"];
    assert_eq!(offered, both);
    sibling.stop().await;
    let view = scenario.view("Sally").await;
    assert_eq!(offers(&scenario.selection(&view).await), FOR_SALLY);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_of_location_says_the_same_and_is_never_selected() {
    let (scenario, _services) = Scenario::with_all().await;
    let _shadow = scenario.start_as::<Location>(|config| config.shadow = true).await;
    let view = scenario.view("Sally").await;
    assert_eq!(offers(&scenario.selection(&view).await), FOR_SALLY);
    let titles = |offers: Vec<Event>| {
        let title = |offer: &Event| offer.payload["title"].to_string();
        offers.iter().map(title).collect::<BTreeSet<_>>()
    };
    let shadows = titles(scenario.wait_for(&view, "shadow.OfferProposed", 3).await);
    let mut proposed = scenario.said(&view, "OfferProposed").await;
    proposed.retain(|offer| offer.event_domain == "location");
    assert_eq!(shadows, titles(proposed));
}

#[tokio::test(start_paused = true)]
async fn an_experiment_sends_each_view_to_one_engine_and_half_of_them_to_each() {
    let (scenario, _services) = Scenario::with_all().await;
    let arm = |name: &str, river: &str| Arm {
        name: name.to_owned(),
        weight: 50,
        river: Some(river.to_owned()),
    };
    let command = Command::StartExperiment(Experiment {
        name: "ranking".to_owned(),
        on: vec!["ViewPage".to_owned()],
        unit: "/eventId".to_owned(),
        arms: vec![arm("control", "offer-engine"), arm("bold", "offer-engine-bold")],
    });
    let kinesis = aws_sdk_kinesis::Client::new(&scenario.world.aws().sdk_config());
    let put = kinesis.put_record().stream_name("Control-dev").partition_key("ranking");
    let json = serde_json::to_vec(&command).unwrap();
    put.data(json.into()).send().await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let bold = |config: &mut river::Config<offer_engine::Config>| {
        config.variant = Some("bold".to_owned());
        config.handler.policy.top = 1;
    };
    let _bold = scenario.start_as::<OfferEngine>(bold).await;
    sleep(Duration::from_secs(5)).await;
    let mut views = Vec::new();
    for _ in 0..40 {
        views.push(scenario.view("Sally").await);
    }
    let mut by_arm = BTreeMap::<String, usize>::new();
    for view in &views {
        let selection = scenario.selection(view).await;
        let arm = selection.experiments["ranking"].clone();
        let service = selection.producer.as_ref().unwrap().service.clone();
        let (by, best) = if arm == "bold" { ("offer-engine-bold", 1) } else { ("offer-engine", 2) };
        assert_eq!((&*service, offers(&selection).len()), (by, best), "{arm}");
        *by_arm.entry(arm).or_default() += 1;
    }
    sleep(Duration::from_secs(60)).await;
    for view in &views {
        let ids = scenario.said(view, "OffersSelected").await;
        let ids: BTreeSet<_> = ids.into_iter().map(|it| it.event_id).collect();
        assert_eq!(ids.len(), 1, "one selection for one view");
    }
    assert!(by_arm.len() == 2 && by_arm.values().all(|views| *views >= 8), "{by_arm:?}");
}
