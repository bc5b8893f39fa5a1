//! A window through every order of steps that matters.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::time::Duration;

use event::{Event, EventId};
use local_aws::{Fault, Service};
use pond::{
    CloseReason, Closing, Collected, Error, Frozen, Lateness, Opening, When, WindowId, Windows,
};
use serde_json::json;
use tokio::time::sleep;
use world::{World, event, view};

/// Milliseconds that a window is open.
const OPEN_MS: i64 = 2_000;

fn id() -> WindowId {
    WindowId { correlation: "c".into(), name: "rental".into() }
}

fn windows(world: &World) -> Windows<String> {
    Windows::new(&world.pond)
}

async fn open(world: &World) -> bool {
    let opened_at = world.now();
    let due = opened_at + jiff::SignedDuration::from_millis(OPEN_MS);
    windows(world).open(&id(), &Opening { opened_at, due, cause: view() }).await.unwrap()
}

async fn collect(world: &World, solution: &str) -> Collected {
    windows(world).collect(&id(), solution, &solution.to_owned()).await.unwrap()
}

fn values(frozen: &Frozen<String>) -> Vec<&String> {
    frozen.solutions.iter().map(|solution| &solution.value).collect()
}

/// A choice that tells who made it.
fn chosen_by(who: &str) -> impl Fn(&Frozen<String>) -> Event {
    move |frozen| event("selection", json!({"by": who, "of": values(frozen)}))
}

/// Closes to the end as `who`, and returns what was published on the way.
async fn finish(world: &World, who: &str) -> Result<Option<Event>, Error> {
    match windows(world).close(&id(), When::Due, chosen_by(who)).await? {
        Closing::Emit { event, revision, .. } => {
            windows(world).sent(&id(), revision).await?;
            Ok(Some(*event))
        }
        Closing::Sent => Ok(None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_collected_in_time_is_chosen_from_once_the_time_is_over() {
    let world = World::new().await;
    assert!(open(&world).await);
    assert!(!open(&world).await, "a window opens once");
    assert_eq!(collect(&world, "b").await, Collected::Added);
    assert_eq!(collect(&world, "a").await, Collected::Added);
    assert_eq!(collect(&world, "b").await, Collected::Duplicate);
    let due = world.now() + jiff::SignedDuration::from_millis(OPEN_MS);
    let early = windows(&world).close(&id(), When::Due, chosen_by("x")).await.unwrap();
    assert_eq!(early, Closing::NotYet { due });
    world.advance_ms(OPEN_MS);
    let Closing::Emit { event, revision: 1, opening } =
        windows(&world).close(&id(), When::Due, chosen_by("x")).await.unwrap()
    else {
        panic!("nothing to emit");
    };
    assert_eq!(event.payload, json!({"by": "x", "of": ["a", "b"]}));
    assert_eq!(opening.cause, view());
    windows(&world).sent(&id(), 1).await.unwrap();
    assert_eq!(
        windows(&world).close(&id(), When::Due, chosen_by("y")).await.unwrap(),
        Closing::Sent
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_window_is_chosen_from_too() {
    let world = World::new().await;
    open(&world).await;
    world.advance_ms(OPEN_MS);
    let event = finish(&world, "x").await.unwrap().unwrap();
    assert_eq!(event.payload["of"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn without_a_window_nothing_is_written() {
    let world = World::new().await;
    assert_eq!(collect(&world, "a").await, Collected::NoWindow);
    let close = windows(&world).close(&id(), When::Due, chosen_by("x")).await.unwrap();
    assert_eq!(close, Closing::NoWindow);
    let items = world.dynamodb().scan().table_name("Pond-test-dev").send().await.unwrap();
    assert_eq!(items.count, 0);
    assert!(!windows(&world).is_known(&id()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_solution_too_late_is_kept_and_told_from_its_copy_and_from_one_in_time() {
    let world = World::new().await;
    open(&world).await;
    collect(&world, "in time").await;
    world.advance_ms(OPEN_MS);
    finish(&world, "x").await.unwrap();
    assert_eq!(collect(&world, "late").await, Collected::Late { first: true });
    assert_eq!(collect(&world, "late").await, Collected::Late { first: false });
    assert_eq!(collect(&world, "in time").await, Collected::Duplicate);
    assert!(!open(&world).await, "a closed window never opens again");
}

#[tokio::test(start_paused = true)]
async fn two_that_close_at_once_publish_one_content() {
    for delayed in ["GetItem", "Query", "UpdateItem"] {
        for nth in 0..4 {
            let world = World::new().await;
            open(&world).await;
            collect(&world, "a").await;
            world.advance_ms(OPEN_MS);
            // One of them falls behind at one of its steps.
            let slow = Fault::on(Service::DynamoDb, delayed).after(nth);
            world.aws.faults().add(slow.delay(Duration::from_millis(500)));
            let choose = |who| async move { windows_close(who).await };
            async fn windows_close((world, who): (&World, &str)) -> Closing {
                windows(world).close(&id(), When::Due, chosen_by(who)).await.unwrap()
            }
            let (one, other) = tokio::join!(choose((&world, "one")), choose((&world, "other")));
            assert_eq!(one, other, "{delayed} {nth}");
            assert!(matches!(one, Closing::Emit { .. }), "{one:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_changes_neither_whether_nor_what_is_chosen() {
    let steps = [("GetItem", 3), ("UpdateItem", 3), ("Query", 1)];
    for (operation, times) in steps {
        for nth in 0..times {
            for done_before in [false, true] {
                let world = World::new().await;
                open(&world).await;
                collect(&world, "a").await;
                world.advance_ms(OPEN_MS);
                // The first process gets nowhere after its nth call, whether that has had its effect or not.
                let crash = Fault::on(Service::DynamoDb, operation).after(nth).always();
                world.aws.faults().add(if done_before {
                    crash.lose_reply()
                } else {
                    crash.error(400, "AccessDeniedException", "it is dead")
                });
                let published = finish(&world, "first").await;
                assert!(published.is_err(), "{operation} {nth} was never called");
                world.aws.faults().clear();
                collect(&world, "b").await;
                let event = finish(&world, "second").await.unwrap();
                if let Some(event) = event {
                    let of = event.payload["of"].as_array().unwrap();
                    assert!(of.contains(&json!("a")), "an offer is lost: {event:?}");
                    let again =
                        windows(&world).close(&id(), When::Due, chosen_by("third")).await.unwrap();
                    assert_eq!(again, Closing::Sent);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_solution_that_was_added_is_in_the_choice_and_no_other_is() {
    for seed in 0..60 {
        let world = World::new().await;
        let mut random = fastrand::Rng::with_seed(seed);
        open(&world).await;
        world.advance_ms(OPEN_MS);
        for operation in ["TransactWriteItems", "UpdateItem", "Query", "GetItem"] {
            for nth in 0..3 {
                let delay = Duration::from_millis(random.u64(0..40));
                world
                    .aws
                    .faults()
                    .add(Fault::on(Service::DynamoDb, operation).after(nth).times(1).delay(delay));
            }
        }
        let begin = |ms| sleep(Duration::from_millis(ms));
        let (at_a, at_b, at_close) = (random.u64(0..80), random.u64(0..80), random.u64(0..80));
        let solution = async |at, name| {
            begin(at).await;
            collect(&world, name).await
        };
        let close = async {
            begin(at_close).await;
            finish(&world, "x").await.unwrap().unwrap()
        };
        let (a, b, event) = tokio::join!(solution(at_a, "a"), solution(at_b, "b"), close);
        let added = [("a", a), ("b", b)].into_iter().filter(|(_, became)| match became {
            Collected::Added => true,
            Collected::Late { first: true } => false,
            other => panic!("{other:?}"),
        });
        let added: Vec<_> = added.map(|(name, _)| name).collect();
        assert_eq!(event.payload["of"], json!(added), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_others_is_waited_out() {
    let world = World::new().await;
    open(&world).await;
    let busy = Fault::on(Service::DynamoDb, "TransactWriteItems").times(8);
    let message = "Transaction is ongoing for the item";
    world.aws.faults().add(busy.error(400, "TransactionInProgressException", message));
    assert_eq!(collect(&world, "a").await, Collected::Added);
    world.advance_ms(OPEN_MS);
    let busy = Fault::on(Service::DynamoDb, "UpdateItem").times(3);
    world.aws.faults().add(busy.error(400, "TransactionConflictException", message));
    assert!(finish(&world, "x").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn windows_of_one_conversation_are_apart() {
    let world = World::new().await;
    let hotel = WindowId { correlation: EventId::from("c"), name: "hotel".into() };
    open(&world).await;
    assert_eq!(
        windows(&world).collect(&hotel, "a", &"a".to_owned()).await.unwrap(),
        Collected::NoWindow
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_can_be_closed_before_its_time_and_says_why() {
    let world = World::new().await;
    open(&world).await;
    collect(&world, "a").await;
    let choose = |frozen: &Frozen<String>| event("selection", json!(frozen.reason.as_str()));
    let now = When::Now(CloseReason::Complete);
    let closed = windows(&world).close(&id(), now, choose).await.unwrap();
    let Closing::Emit { event, .. } = closed else { panic!("{closed:?}") };
    assert_eq!(event.payload, json!("complete"));
    assert_eq!(collect(&world, "b").await, Collected::Late { first: true });
}

const LATENESS: Lateness =
    Lateness { within: jiff::SignedDuration::from_secs(30), amendments_max: 2 };

/// Publishes whatever there is to amend, and returns the contents.
async fn amend(world: &World) -> Result<Vec<Event>, Error> {
    let mut published = Vec::new();
    let choose = |frozen: &Frozen<String>, current: &Event| {
        let payload = json!({"revision": frozen.revision, "of": values(frozen)});
        (payload["of"] != current.payload["of"]).then(|| event("amendment", payload))
    };
    loop {
        match windows(world).amend(&id(), LATENESS, choose).await? {
            Closing::Emit { event, revision, .. } => {
                windows(world).sent(&id(), revision).await?;
                published.push(*event);
            }
            Closing::Sent => return Ok(published),
            other => panic!("{other:?}"),
        }
    }
}

/// A window that is closed over `in time`, and its choice published.
async fn chosen() -> World {
    let world = World::new().await;
    open(&world).await;
    collect(&world, "in time").await;
    world.advance_ms(OPEN_MS);
    finish(&world, "x").await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn what_comes_soon_after_amends_the_choice_and_not_more_often_than_allowed() {
    let world = chosen().await;
    assert_eq!(amend(&world).await.unwrap(), [], "nothing came late");
    for (n, late) in [(2, "l1"), (3, "l2")] {
        collect(&world, late).await;
        let [amended] = &amend(&world).await.unwrap()[..] else { panic!("one amendment") };
        assert_eq!(amended.payload["revision"], n);
        assert!(amended.payload["of"].as_array().unwrap().contains(&json!(late)));
        assert_eq!(amend(&world).await.unwrap(), [], "it is amended for");
    }
    collect(&world, "l3").await;
    assert_eq!(amend(&world).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_comes_much_later_is_kept_and_amends_nothing() {
    let world = chosen().await;
    world.advance_ms(30_001);
    assert_eq!(collect(&world, "late").await, Collected::Late { first: true });
    assert_eq!(amend(&world).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_an_amendment_is_made_up_for_by_the_next_to_try() {
    for (operation, times) in [("GetItem", 4), ("UpdateItem", 2), ("Query", 2)] {
        for nth in 0..times {
            for done_before in [false, true] {
                let world = chosen().await;
                collect(&world, "late").await;
                let crash = Fault::on(Service::DynamoDb, operation).after(nth).always();
                world.aws.faults().add(if done_before {
                    crash.lose_reply()
                } else {
                    crash.error(400, "AccessDeniedException", "it is dead")
                });
                // Whether it got through before or not, what the next one does is right.
                amend(&world).await.ok();
                world.aws.faults().clear();
                amend(&world).await.unwrap();
                let look = |_: &Frozen<String>, current: &Event| {
                    assert_eq!(current.payload["of"], json!(["in time", "late"]));
                    None
                };
                let looked = windows(&world).amend(&id(), LATENESS, look).await.unwrap();
                assert_eq!(looked, Closing::Sent, "{operation} {nth}");
            }
        }
    }
}
