//! The engine between its river and the rapids.

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use event::Event;
use local_aws::{Fault, Service};
use offer_engine::{Config, Policy, Rule};
use serde_json::json;
use tokio::time::sleep;
use world::{World, ids};

#[tokio::test(start_paused = true)]
async fn sallys_offers_are_collected_for_a_while_and_the_best_fitting_comes_first() {
    let world = World::new().await;
    let engine = world.engine().await;
    let view = world.view();
    world.send(&view).await;
    for (id, offerer, facts) in [
        ("location-baseline", "location", 1),
        ("brand-baseline", "brand", 1),
        ("location-segment", "location", 2),
        ("brand-segment", "brand", 2),
        ("location-combined", "location", 3),
    ] {
        world.send(&world.offer(&view, id, offerer, facts)).await;
    }
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.published().await.len(), 0, "the window is open for two seconds");
    let selection = world.selection().await;
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
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1, "something else is on the rapids");
    assert_eq!(engine.counted("offers_selected_total", "some"), 1);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_view_that_nobody_has_an_offer_for_is_told_too() {
    let world = World::new().await;
    let engine = world.engine().await;
    world.send(&world.view()).await;
    let selection = world.selection().await;
    assert_eq!(selection.payload["result"], "none");
    assert_eq!(selection.payload["offers"], json!([]));
    world.until_drained().await;
    assert_eq!(engine.counted("offers_selected_total", "none"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_overtakes_its_view_opens_the_window() {
    let world = World::new().await;
    let _engine = world.engine().await;
    let view = world.view();
    world.send(&world.offer(&view, "early", "brand", 1)).await;
    sleep(Duration::from_millis(500)).await;
    world.send(&view).await;
    let selection = world.selection().await;
    assert_eq!(ids(&selection, "offers"), ["early"]);
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_engines_and_two_of_every_message_make_one_content() {
    let world = World::new().await;
    let (one, other) = (world.engine().await, world.engine().await);
    let view = world.view();
    let offers = ["a", "b", "c"].map(|id| world.offer(&view, id, &format!("offerer of {id}"), 2));
    for _ in 0..2 {
        world.send(&view).await;
        for offer in &offers {
            world.send(offer).await;
        }
    }
    let selection = world.selection().await;
    assert_eq!(ids(&selection, "offers"), ["a", "b", "c"]);
    world.until_drained().await;
    let contents: BTreeSet<String> = world.published().await.into_iter().collect();
    assert_eq!(contents.len(), 1, "{contents:#?}");
    let added = |label| {
        one.counted("offers_collected_total", label)
            + other.counted("offers_collected_total", label)
    };
    assert_eq!((added("added"), added("duplicate")), (3, 3));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_window_survives_the_engine_that_opened_it() {
    let world = World::new().await;
    let first = world.engine().await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_millis(500)).await;
    first.stop().await;
    assert_eq!(world.published().await.len(), 0);
    sleep(Duration::from_secs(60)).await;
    let second = world.engine().await;
    world.send(&world.offer(&view, "b", "brand", 1)).await;
    let selection = world.selection().await;
    assert!(ids(&selection, "offers").contains(&"a"), "{selection:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_the_rapids_do_not_take_is_published_later_as_it_was_chosen() {
    let world = World::new().await;
    let down = Fault::on(Service::Kinesis, "PutRecords").always();
    world.aws.faults().add(down.error(500, "InternalFailure", "down"));
    let _engine = world.engine().await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(world.published().await.len(), 0);
    world.send(&world.offer(&view, "late", "location", 3)).await;
    sleep(Duration::from_secs(1)).await;
    world.aws.faults().clear();
    let selection = world.selection().await;
    assert_eq!(ids(&selection, "offers"), ["a"]);
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_offer_that_is_good_enough_amends_the_selection_once() {
    let world = World::new().await;
    let engine = world.engine().await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "in time", "brand", 1)).await;
    let first = world.selection().await;
    let late = world.offer(&view, "late", "location", 3);
    world.send(&late).await;
    world.send(&late).await;
    world.until_drained().await;
    let published = world.published().await;
    let [_, amended] = &published[..] else { panic!("{published:#?}") };
    let amended = Event::parse(amended.as_bytes()).unwrap();
    assert_eq!((&*amended.event_type, &amended.payload["revision"]), ("OffersAmended", &json!(2)));
    assert_eq!(ids(&amended, "offers"), ["late", "in time"]);
    assert_eq!(amended.payload["windowId"], first.payload["windowId"]);
    assert_ne!(amended.event_id, first.event_id);
    assert_eq!(amended.payload["counts"]["late"], 1);
    assert_eq!(engine.counted("offers_collected_total", "late"), 1);
    assert_eq!(engine.counted("offers_collected_total", "duplicate"), 1);
    assert_eq!(engine.counted("offers_late_total", "amended"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_offer_that_changes_nothing_is_recorded_only() {
    let world = World::new().await;
    let engine = world.engine().await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "in time", "brand", 2)).await;
    world.selection().await;
    world.send(&world.offer(&view, "worse", "brand", 1)).await;
    world.until_drained().await;
    sleep(Duration::from_secs(31)).await;
    world.send(&world.offer(&view, "best but much later", "location", 3)).await;
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1);
    assert_eq!(engine.counted("offers_late_total", "recorded"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_window_closes_early_when_all_expected_have_answered() {
    let world = World::new().await;
    let expected = ["brand", "location"].map(str::to_owned).into();
    let _engine = world.engine_with(Config { expected, ..Config::default() }).await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "a", "brand", 1)).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(world.published().await.len(), 0);
    world.send(&world.offer(&view, "b", "location", 1)).await;
    let selection = world.selection().await;
    assert_eq!(selection.payload["window"]["reason"], "complete");
    assert_eq!(ids(&selection, "offers"), ["a", "b"]);
    assert!(selection.timestamp.duration_since(view.timestamp).as_millis() < 1_500);
}

#[tokio::test(start_paused = true)]
async fn a_window_closes_early_when_nothing_comes_any_more() {
    let world = World::new().await;
    let quiet = Duration::from_millis(400);
    let window = need::Window { quiet, ..need::Window::default() };
    let _engine = world.engine_with(Config { window, ..Config::default() }).await;
    let view = world.view();
    world.send(&view).await;
    sleep(Duration::from_millis(700)).await;
    for id in ["a", "b"] {
        world.send(&world.offer(&view, id, id, 1)).await;
        sleep(Duration::from_millis(200)).await;
    }
    let selection = world.selection().await;
    assert_eq!(selection.payload["window"]["reason"], "quiet");
    assert_eq!(ids(&selection, "offers"), ["a", "b"]);
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_offer_wins_where_the_policy_says_so() {
    let world = World::new().await;
    let policy = Policy { rule: Rule::First, ..Policy::default() };
    let _engine = world.engine_with(Config { policy, ..Config::default() }).await;
    let view = world.view();
    world.send(&view).await;
    world.send(&world.offer(&view, "first", "brand", 1)).await;
    let selection = world.selection().await;
    assert_eq!(ids(&selection, "offers"), ["first"]);
    assert_eq!(selection.payload["policy"], json!({"name": "first", "version": 1}));
    world.send(&world.offer(&view, "better", "location", 3)).await;
    world.until_drained().await;
    assert_eq!(world.published().await.len(), 1, "the first stays the first");
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_cannot_be_ranked_is_quarantined() {
    let world = World::new().await;
    let _engine = world.engine().await;
    let view = world.view();
    let mut offer = world.offer(&view, "a", "brand", 1);
    offer.payload["likelihood"] = json!(7);
    world.send(&offer).await;
    world.until_drained().await;
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(Event::parse(letters[0].body().unwrap_or_default().as_bytes()), Ok(offer));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_after_its_timer_has_come_is_closed_by_another_process() {
    let world = World::new().await;
    let slow = Fault::on(Service::DynamoDb, "PutItem").matching("OPEN").times(1);
    world.aws.faults().add(slow.delay(Duration::from_secs(20)));
    let first = world.engine().await;
    world.send(&world.view()).await;
    sleep(Duration::from_millis(20_500)).await;
    first.stop().await;
    assert_eq!(world.published().await.len(), 0);
    let _second = world.engine().await;
    let selection = world.selection().await;
    assert_eq!(selection.payload["result"], "none");
}
