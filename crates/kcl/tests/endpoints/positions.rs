//! Where reading begins, and where it goes on.

use std::time::{Duration, SystemTime};

use kcl::{InitialPosition, Mode, Settings};

use crate::tale::Tale;
use crate::world::{SHORT, World, until};

/// A time that has not come yet: Kinesis refuses it as a place to begin.
const AHEAD: Duration = Duration::from_secs(2);
/// What the clocks of a machine's processes are apart at most, with the service's resolution of a millisecond.
const TICK: Duration = Duration::from_millis(100);
/// Latest is pinned by the `Date` of an answer, in whole seconds: what came up to a second before is read as well.
const DATE: Duration = Duration::from_millis(1_100);

fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the services have no other")]
    SystemTime::now()
}

#[tokio::test]
async fn a_new_worker_goes_on_at_the_checkpoint_of_the_last() {
    let world = World::with_shards(2, Mode::Native).await;
    let tale = Tale::default();
    world.put(0..100).await;
    let first = world.start("a", &tale).await;
    until("the first 100 arrive", async || tale.deliveries().len() == 100).await;
    first.stop().await;
    world.put(100..150).await;
    let second = world.start("b", &tale).await;
    until("the next 50 arrive", async || tale.distinct().len() == 150).await;
    second.stop().await;
    tale.assert_each_once(0..150);
    world.end().await;
}

#[tokio::test]
async fn a_crash_before_the_first_checkpoint_does_not_move_latest() {
    let world = World::with_shards(2, Mode::Native).await.failing_over(SHORT);
    let tale = Tale::default();
    world.put(0..50).await;
    tokio::time::sleep(DATE).await;
    let latest =
        |worker| Settings { initial_position: InitialPosition::Latest, ..world.settings(worker) };
    let a = world.start_as(latest("a"), &tale).await;
    world.is_held_by(&[("a", 2)]).await;
    assert!(world.leases().await.iter().all(|lease| lease.initial_at.is_some()));
    a.crash();
    tokio::time::sleep(TICK).await;
    world.put(50..100).await;
    let b = world.start_as(latest("b"), &tale).await;
    until("all since the first start arrive", async || tale.distinct().len() >= 50).await;
    b.stop().await;
    assert_eq!(tale.distinct(), (50..100).collect());
    world.end().await;
}

#[tokio::test]
async fn reading_begins_at_a_time_that_is_given() {
    let world = World::with_shards(2, Mode::Native).await;
    let tale = Tale::default();
    world.put(0..50).await;
    tokio::time::sleep(TICK).await;
    let at = now();
    tokio::time::sleep(TICK).await;
    world.put(50..100).await;
    let initial_position = InitialPosition::AtTimestamp(at);
    let a = world.start_as(Settings { initial_position, ..world.settings("a") }, &tale).await;
    until("all since then arrive", async || tale.distinct().len() >= 50).await;
    a.stop().await;
    tale.assert_each_once(50..100);
    world.end().await;
}

#[tokio::test]
async fn reading_begins_at_a_time_that_is_yet_to_come() {
    let world = World::with_shards(1, Mode::Native).await;
    let tale = Tale::default();
    world.put(0..50).await;
    let at = now() + AHEAD;
    let initial_position = InitialPosition::AtTimestamp(at);
    let a = world.start_as(Settings { initial_position, ..world.settings("a") }, &tale).await;
    world.is_held_by(&[("a", 1)]).await;
    until("the time has come", async || now() > at + TICK).await;
    world.put(50..100).await;
    until("all since then arrive", async || tale.distinct().len() >= 50).await;
    a.stop().await;
    tale.assert_each_once(50..100);
    world.end().await;
}
