//! Messages that arrive just when a service stops: each is handled, or there for others at once.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod slow;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::{Kit, embed};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use world::{Actor, World, play};

/// Between the first and the last message of a run.
const SPREAD_MS: u64 = 9;
const MESSAGES: usize = 4;

/// Where the messages of a run are after it.
#[derive(Debug)]
struct After {
    handled: usize,
    visible: usize,
    hidden: usize,
}

/// Stops an idle service and sends it messages around `offset_ms` after 1 s before the stop, over a network on which
/// answers to a receive take `latency`.
async fn run(offset_ms: u64, latency: Duration) -> (World, After) {
    let world = World::new().await;
    let aws = slow::replies(&world.aws.sdk_config(), "ReceiveMessage", latency);
    let stop = CancellationToken::new();
    let kit = Kit::new("actor", aws);
    let actor = embed::<river::Service<Actor>>(kit, world.config(), None, stop.clone());
    let actor = actor.await.unwrap();
    assert!(actor.readiness().ready().await);
    sleep(Duration::from_secs(5)).await;
    let sending = async {
        sleep(Duration::from_millis(offset_ms)).await;
        for n in 0..MESSAGES {
            world.send(&play(&format!("e{n}"), json!({}))).await;
            sleep(Duration::from_millis(SPREAD_MS / 3)).await;
        }
    };
    let stopping = async {
        sleep(Duration::from_secs(1)).await;
        stop.cancel();
        actor.join().await.unwrap();
    };
    tokio::join!(sending, stopping);
    let handled = world.stage.ended.load(Ordering::SeqCst);
    let (visible, hidden) = world.depth(&world.queue).await;
    (world, After { handled, visible, hidden })
}

#[tokio::test(start_paused = true)]
async fn whenever_a_message_arrives_around_a_stop_it_is_handled_or_visible_at_once() {
    let (mut handled, mut released) = (0, 0);
    for offset_ms in (900..1_100).chain((1_100..2_200).step_by(7)) {
        let (_, after) = run(offset_ms, Duration::ZERO).await;
        assert_eq!((after.hidden, after.handled + after.visible), (0, MESSAGES), "{offset_ms}");
        handled += after.handled;
        released += after.visible;
    }
    assert!(handled > 0 && released > 0, "the stop was never between the messages");
}

#[tokio::test(start_paused = true)]
async fn with_answers_that_take_their_time_so_is_what_sqs_hands_out_before_the_last_poll_ends() {
    let latency = Duration::from_millis(300);
    for offset_ms in (500..1_680).step_by(11) {
        let (_, after) = run(offset_ms, latency).await;
        assert_eq!((after.hidden, after.handled + after.visible), (0, MESSAGES), "{offset_ms}");
    }
}

/// The gap that the API leaves: see `LAST_POLL`.
#[tokio::test(start_paused = true)]
async fn what_is_handed_out_to_a_connection_that_is_closed_meanwhile_comes_again_after_its_timeout()
{
    let mut stranded = 0;
    for offset_ms in (1_720..1_960).step_by(30) {
        let (world, after) = run(offset_ms, Duration::from_millis(300)).await;
        stranded += after.hidden;
        sleep(world.config().visibility).await;
        let (visible, hidden) = world.depth(&world.queue).await;
        assert_eq!((visible, hidden), (MESSAGES - after.handled, 0), "{offset_ms}");
    }
    assert!(stranded > 0, "there is no gap any more: tell LAST_POLL");
}

#[tokio::test(start_paused = true)]
async fn the_last_poll_is_listened_to_for_as_long_as_a_handler_works() {
    let world = World::new().await;
    let aws = slow::replies(&world.aws.sdk_config(), "ReceiveMessage", Duration::from_millis(300));
    let stop = CancellationToken::new();
    let kit = Kit::new("actor", aws);
    let actor = embed::<river::Service<Actor>>(kit, world.config(), None, stop.clone());
    let actor = actor.await.unwrap();
    world.send(&play("slow", json!({"sleep_s": 10}))).await;
    world.until(&world.stage.begun, 1).await;
    sleep(Duration::from_secs(1)).await;
    stop.cancel();
    sleep(Duration::from_secs(4)).await;
    world.send(&play("late", json!({}))).await;
    actor.join().await.unwrap();
    assert_eq!(world.depth(&world.queue).await, (1, 0), "it was left hidden");
    assert_eq!(world.stage.ended.load(Ordering::SeqCst), 1);
}
