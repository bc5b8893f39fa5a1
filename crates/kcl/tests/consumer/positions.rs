//! Where reading begins in a shard without checkpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kcl::lease::transition::Transition;
use kcl::{Checkpoint, Failure, InitialPosition, Lease, Settings};
use tokio::time::sleep;

use crate::world::{FAILOVER, Log, Recorder, World, all, distinct, numbers, recorder, until};

fn at(worker: &str, initial_position: InitialPosition) -> Settings {
    Settings { initial_position, ..World::settings(worker) }
}

/// A recorder that accepts nothing.
fn refusing(worker: &str, log: &Log) -> Recorder {
    let verdict = Arc::new(|_: &_| Err(Failure::retry("not now")));
    Recorder { worker: worker.to_owned(), log: log.clone(), verdict }
}

#[tokio::test(start_paused = true)]
async fn latest_is_written_down_so_that_a_crash_before_the_first_checkpoint_loses_nothing() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    world.put(0..50).await;
    sleep(Duration::from_secs(1)).await;
    let mut a = world.start_as(at("a", InitialPosition::Latest), refusing("a", &log)).await;
    a.reads(2).await;
    sleep(Duration::from_secs(1)).await;
    world.put(50..100).await;
    sleep(Duration::from_secs(5)).await;
    assert!(world.leases().await.iter().all(|lease| lease.checkpoint == Checkpoint::Latest));
    a.kill();
    world.put(100..150).await;
    sleep(FAILOVER * 2).await;
    world.put(150..200).await;
    let b = world.start_as(at("b", InitialPosition::Latest), recorder("b", &log)).await;
    until("all since the first start arrive", async || distinct(&log) == all(50..200)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_latest_lease_of_another_library_is_pinned_when_it_is_first_taken() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    world.make_lease_table().await;
    let shard = world.shard_ids().await.remove(0);
    world.put_lease(&Lease::new(shard, Checkpoint::Latest)).await;
    world.put(0..50).await;
    sleep(Duration::from_secs(1)).await;
    let mut a = world.start_as(at("a", InitialPosition::Latest), refusing("a", &log)).await;
    a.reads(1).await;
    a.kill();
    sleep(Duration::from_secs(1)).await;
    world.put(50..100).await;
    let b = world.start("b", &log).await;
    until("all since the first start arrive", async || distinct(&log) == all(50..100)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_worker_that_made_the_lease_holds_for_all() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    world.put(0..50).await;
    sleep(Duration::from_secs(10)).await;
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(world.aws.clock().now_ms());
    world.put(50..100).await;
    let mut a =
        world.start_as(at("a", InitialPosition::AtTimestamp(now)), refusing("a", &log)).await;
    a.reads(1).await;
    a.kill();
    sleep(Duration::from_secs(10)).await;
    let later = now + Duration::from_secs(3600);
    let b = world.start_as(at("b", InitialPosition::AtTimestamp(later)), recorder("b", &log)).await;
    until("all from the first worker's time arrive", async || numbers(&log) == all(50..100)).await;
    b.stop().await;
}

#[test]
fn a_pin_is_a_write_of_its_own_that_changes_nothing_else() {
    let lease = Lease::new("shardId-000000000000", Checkpoint::Latest);
    let pinned = Transition::Pin(7).apply(&lease);
    assert_eq!(pinned, Lease { initial_at: Some(7), ..lease });
}
