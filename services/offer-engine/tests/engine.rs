//! The engine between its river and the rapids.

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use event::Event;
use jiff::Timestamp;
use local_aws::{Fault, Service};
use offer_engine::{Config, OfferEngine, Policy, Rule};
use river_test::{Plan, Run, World, explore};
use serde_json::json;
use tokio::time::sleep;
use world::{drained, ids, offer, selection, send, view};

#[tokio::test(start_paused = true)]
async fn sallys_offers_are_collected_for_a_while_and_the_best_fitting_comes_first() {
    let world = World::new().await;
    let engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &view).await;
    for (id, offerer, facts) in [
        ("location-baseline", "location", 1),
        ("brand-baseline", "brand", 1),
        ("location-segment", "location", 2),
        ("brand-segment", "brand", 2),
        ("location-combined", "location", 3),
    ] {
        send(&world, &offer(&view, id, offerer, facts)).await;
    }
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.rapids().await.len(), 0, "the window is open for two seconds");
    let selection = selection(&world).await;
    assert_eq!((&*selection.event_type, &*selection.event_domain), ("OffersSelected", "offers"));
    assert_eq!(selection.correlation_id.as_ref(), Some(&view.event_id));
    assert_eq!(selection.causation_id.as_ref(), Some(&view.event_id));
    assert_eq!(ids(&selection, "offers"), ["location-combined", "brand-segment"]);
    let rejected = ["brand-baseline", "location-baseline", "location-segment"];
    assert_eq!(ids(&selection, "rejected"), rejected);
    let payload = &selection.payload;
    assert_eq!(payload["offers"][0]["basis"], "segment+tier");
    assert_eq!(payload["offers"][0]["offerer"], "location");
    assert_eq!(
        payload["offers"][0]["why"],
        "3000 × 0.2 = 600; rests on 3 facts; supersedes 2 others of location"
    );
    let superseded = json!({
        "offerId": "brand-baseline", "offerer": "brand", "basis": "baseline",
        "reason": "superseded", "by": "brand-segment",
    });
    assert_eq!(payload["rejected"][0], superseded);
    assert_eq!(payload["policy"], json!({"name": "ranked", "version": 2}));
    assert_eq!(payload["counts"], json!({"received": 5, "late": 0, "selected": 2, "rejected": 3}));
    assert_eq!((&payload["revision"], &payload["result"]), (&json!(1), &json!("some")));
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1, "something else is on the rapids");
    assert_eq!(engine.counted("offer_engine_selections_total", "some"), 1);
    assert!(engine.counted("rapids_river_handle_seconds", "WindowDue") >= 1);
    let aged = engine.counted("rapids_river_event_age_seconds", "WindowDue");
    assert_eq!(aged, 0, "a timer is meant to wait");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_view_that_nobody_has_an_offer_for_is_told_too() {
    let world = World::new().await;
    let engine = world.start::<OfferEngine>().await;
    send(&world, &view(&world)).await;
    let selection = selection(&world).await;
    assert_eq!(selection.payload["result"], "none");
    assert_eq!(selection.payload["offers"], json!([]));
    drained(&world).await;
    assert_eq!(engine.counted("offer_engine_selections_total", "none"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_overtakes_its_view_opens_the_window() {
    let world = World::new().await;
    let _engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &offer(&view, "early", "brand", 1)).await;
    sleep(Duration::from_millis(500)).await;
    send(&world, &view).await;
    let selection = selection(&world).await;
    assert_eq!(ids(&selection, "offers"), ["early"]);
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_engines_and_two_of_every_message_make_one_content() {
    let world = World::new().await;
    let (one, other) = (world.start::<OfferEngine>().await, world.start::<OfferEngine>().await);
    let view = view(&world);
    let offers = ["a", "b", "c"].map(|id| offer(&view, id, &format!("offerer of {id}"), 2));
    for _ in 0..2 {
        send(&world, &view).await;
        for offer in &offers {
            send(&world, offer).await;
        }
    }
    let selection = selection(&world).await;
    assert_eq!(ids(&selection, "offers"), ["a", "b", "c"]);
    drained(&world).await;
    let copies = world.rapids().await;
    let contents: BTreeSet<String> = copies.iter().map(Event::to_json).collect();
    assert_eq!(contents.len(), 1, "{contents:#?}");
    let added = |label| {
        one.counted("offer_engine_offers_total", label)
            + other.counted("offer_engine_offers_total", label)
    };
    assert_eq!((added("added"), added("duplicate")), (3, 3));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_window_survives_the_engine_that_opened_it() {
    let world = World::new().await;
    let first = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_millis(500)).await;
    first.stop().await;
    assert_eq!(world.rapids().await.len(), 0);
    sleep(Duration::from_secs(60)).await;
    let second = world.start::<OfferEngine>().await;
    send(&world, &offer(&view, "b", "brand", 1)).await;
    let selection = selection(&world).await;
    assert!(ids(&selection, "offers").contains(&"a"), "{selection:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_the_rapids_do_not_take_is_published_later_as_it_was_chosen() {
    let world = World::new().await;
    let down = Fault::on(Service::Kinesis, "PutRecords").always();
    world.aws().faults().add(down.error(500, "InternalFailure", "down"));
    let _engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(world.rapids().await.len(), 0);
    send(&world, &offer(&view, "late", "location", 3)).await;
    sleep(Duration::from_secs(1)).await;
    world.aws().faults().clear();
    let selection = selection(&world).await;
    assert_eq!(ids(&selection, "offers"), ["a"]);
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_offer_that_is_good_enough_amends_the_selection_once() {
    let world = World::new().await;
    let engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "in time", "brand", 1)).await;
    let first = selection(&world).await;
    let late = offer(&view, "late", "location", 3);
    send(&world, &late).await;
    send(&world, &late).await;
    drained(&world).await;
    let published = world.rapids().await;
    let [_, amended] = &published[..] else { panic!("{published:#?}") };
    assert_eq!((&*amended.event_type, &amended.payload["revision"]), ("OffersAmended", &json!(2)));
    assert_eq!(ids(amended, "offers"), ["late", "in time"]);
    assert_eq!(amended.payload["windowId"], first.payload["windowId"]);
    assert_ne!(amended.event_id, first.event_id);
    assert_eq!(amended.payload["counts"]["late"], 1);
    assert_eq!(engine.counted("offer_engine_offers_total", "late"), 1);
    assert_eq!(engine.counted("offer_engine_offers_total", "duplicate"), 1);
    assert_eq!(engine.counted("offer_engine_late_total", "amended"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_offer_that_changes_nothing_is_recorded_only() {
    let world = World::new().await;
    let engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "in time", "brand", 2)).await;
    selection(&world).await;
    send(&world, &offer(&view, "worse", "brand", 1)).await;
    drained(&world).await;
    sleep(Duration::from_secs(31)).await;
    send(&world, &offer(&view, "best but much later", "location", 3)).await;
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1);
    assert_eq!(engine.counted("offer_engine_late_total", "recorded"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_window_closes_early_when_all_expected_have_answered() {
    let world = World::new().await;
    let expected = ["brand", "location"].map(str::to_owned).into();
    let _engine = world.start_with::<OfferEngine>(Config { expected, ..Config::default() }).await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(world.rapids().await.len(), 0);
    send(&world, &offer(&view, "b", "location", 1)).await;
    let selection = selection(&world).await;
    assert_eq!(selection.payload["window"]["reason"], "complete");
    assert_eq!(ids(&selection, "offers"), ["a", "b"]);
    assert!(selection.timestamp.duration_since(view.timestamp).as_millis() < 1_500);
}

#[tokio::test(start_paused = true)]
async fn a_window_closes_early_when_nothing_comes_any_more() {
    let world = World::new().await;
    let quiet = Duration::from_millis(400);
    let window = need::Window { quiet, ..need::Window::default() };
    let _engine = world.start_with::<OfferEngine>(Config { window, ..Config::default() }).await;
    let view = view(&world);
    send(&world, &view).await;
    sleep(Duration::from_millis(700)).await;
    for id in ["a", "b"] {
        send(&world, &offer(&view, id, id, 1)).await;
        sleep(Duration::from_millis(200)).await;
    }
    let selection = selection(&world).await;
    assert_eq!(selection.payload["window"]["reason"], "quiet");
    assert_eq!(ids(&selection, "offers"), ["a", "b"]);
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_offer_wins_where_the_policy_says_so() {
    let world = World::new().await;
    let policy = Policy { rule: Rule::First, ..Policy::default() };
    let _engine = world.start_with::<OfferEngine>(Config { policy, ..Config::default() }).await;
    let view = view(&world);
    send(&world, &view).await;
    send(&world, &offer(&view, "first", "brand", 1)).await;
    let selection = selection(&world).await;
    assert_eq!(ids(&selection, "offers"), ["first"]);
    assert_eq!(selection.payload["policy"], json!({"name": "first", "version": 1}));
    send(&world, &offer(&view, "better", "location", 3)).await;
    drained(&world).await;
    assert_eq!(world.rapids().await.len(), 1, "the first stays the first");
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_cannot_be_ranked_is_quarantined() {
    let world = World::new().await;
    let _engine = world.start::<OfferEngine>().await;
    let view = view(&world);
    let mut wrong = offer(&view, "a", "brand", 1);
    wrong.payload["likelihood"] = json!(7);
    send(&world, &wrong).await;
    drained(&world).await;
    let [letter] = &world.dead_letters("offer-engine").await[..] else { panic!("one dead letter") };
    assert_eq!(Event::parse(letter.body.as_bytes()), Ok(wrong));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_after_its_timer_has_come_is_closed_by_another_process() {
    let world = World::new().await;
    let slow = Fault::on(Service::DynamoDb, "PutItem").matching("OPEN").times(1);
    world.aws().faults().add(slow.delay(Duration::from_secs(20)));
    let first = world.start::<OfferEngine>().await;
    send(&world, &view(&world)).await;
    sleep(Duration::from_millis(20_500)).await;
    first.stop().await;
    assert_eq!(world.rapids().await.len(), 0);
    let _second = world.start::<OfferEngine>().await;
    let selection = selection(&world).await;
    assert_eq!(selection.payload["result"], "none");
}

/// A conversation with two offers, all within a window that takes notice of what is late for as long as a crash delays it.
fn two_offers() -> Plan<Config> {
    let mut view =
        Event::root("ViewPage", "TheSource", json!({"name": "Sally"}), Timestamp::UNIX_EPOCH);
    view.event_id = "view".into();
    let offers = [offer(&view, "a", "brand", 1), offer(&view, "b", "location", 1)];
    Plan::of([vec![view], offers.into()].concat()).answers_may_differ().configured(|| {
        let mut config = Config::default();
        config.window.amendments.within = Duration::from_secs(600);
        config
    })
}

/// There is one first selection, no revision is left out, and the last one knows all offers.
fn nothing_is_lost(run: &Run) {
    let answers = run.answers();
    let revisions: Vec<_> = answers.iter().map(|it| it.payload["revision"].clone()).collect();
    let expected: Vec<_> = (1..=answers.len()).map(|revision| json!(revision)).collect();
    assert_eq!(revisions, expected);
    assert_eq!(run.answers_of("OffersSelected").len(), 1);
    let last = answers.last().expect("a selection");
    let mut known = [ids(last, "offers"), ids(last, "rejected")].concat();
    known.sort_unstable();
    assert_eq!(known, ["a", "b"]);
}

#[test]
fn in_every_order_and_with_every_copy_no_offer_is_lost() {
    let runs = explore::<OfferEngine>(&two_offers().every_order_with_copies(4), nothing_is_lost);
    assert_eq!(runs, 6 + 36);
    let together = two_offers().every_order().each_twice().all_at_once().replicas(2);
    explore::<OfferEngine>(&together, nothing_is_lost);
}

#[test]
fn an_engine_that_dies_at_any_call_loses_no_offer() {
    explore::<OfferEngine>(&two_offers().crash_at_every_call(), nothing_is_lost);
}
