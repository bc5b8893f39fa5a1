//! The end of a shard, and what looks like it.

use std::sync::Arc;
use std::time::Duration;

use kcl::{Batch, Failure};
use local_aws::{Fault, Service};
use tokio::time::sleep;

use crate::world::{FAILOVER, Log, STREAM, World, all, distinct, numbers, until};

async fn split(world: &World, shard: &str) {
    let split = world.kinesis.split_shard().stream_name(STREAM).shard_to_split(shard);
    split.new_starting_hash_key((u128::MAX / 2).to_string()).send().await.unwrap();
}

async fn is_finished(world: &World, shard: &str) -> bool {
    world.leases().await.iter().any(|lease| lease.key == shard && lease.is_finished())
}

#[tokio::test(start_paused = true)]
async fn an_empty_parent_leads_to_its_children() {
    let world = World::with_shards(1).await;
    let parent = world.shard_ids().await.remove(0);
    let log = Log::default();
    let mut worker = world.start("a", &log).await;
    worker.reads(1).await;
    split(&world, &parent).await;
    until("the parent is finished", async || is_finished(&world, &parent).await).await;
    worker.reads(2).await;
    world.put(0..50).await;
    until("all arrive", async || distinct(&log) == all(0..50)).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_every_record_was_saved_before_it_ended_ends_by_itself() {
    let world = World::with_shards(1).await;
    let parent = world.shard_ids().await.remove(0);
    let log = Log::default();
    let mut worker = world.start("a", &log).await;
    world.put(0..20).await;
    until("all arrive", async || distinct(&log) == all(0..20)).await;
    sleep(FAILOVER).await; // Their place is saved.
    split(&world, &parent).await;
    until("the parent is finished", async || is_finished(&world, &parent).await).await;
    worker.reads(2).await;
    assert_eq!(numbers(&log), all(0..20));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_last_batch_fails_is_not_ended_and_its_children_wait() {
    let world = World::with_shards(1).await;
    let parent = world.shard_ids().await.remove(0);
    world.put(0..20).await;
    split(&world, &parent).await;
    world.put(20..40).await;
    let log = Log::default();
    let refuse = |batch: &Batch| match batch.records.iter().any(|record| record.data == "19") {
        true => Err(Failure::retry("not here")),
        false => Ok(()),
    };
    let a = world.start_with("a", &log, Arc::new(refuse)).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!is_finished(&world, &parent).await);
    assert!(distinct(&log).iter().all(|number| *number < 20), "a child was read");
    a.stop().await;
    let b = world.start("b", &log).await;
    until("all arrive", async || distinct(&log) == all(0..40)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_deleted_is_no_end_and_its_leases_stay() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..20).await;
    until("all arrive", async || distinct(&log) == all(0..20)).await;
    let checkpoints = async || -> Vec<_> {
        world.leases().await.into_iter().map(|lease| (lease.key, lease.checkpoint)).collect()
    };
    sleep(FAILOVER).await;
    let before = checkpoints().await;
    world.kinesis.delete_stream().stream_name(STREAM).send().await.unwrap();
    sleep(Duration::from_secs(120)).await;
    assert_eq!(checkpoints().await, before);
    assert_eq!(world.owners().await, [("a".to_owned(), 2)].into(), "they are kept");
    worker.stop().await;
    assert_eq!(checkpoints().await, before);
}

/// Lets the worker that ends a shard make so many writes, kills it, and has another one go on. Whether it was cut
/// short.
async fn crash_at_the_end(written: u64) -> bool {
    let what = &format!("crash after {written} writes");
    let world = World::with_shards(1).await;
    let parent = world.shard_ids().await.remove(0);
    let log = Log::default();
    let mut a = world.start("a", &log).await;
    world.put(0..20).await;
    until("all arrive", async || distinct(&log) == all(0..20)).await;
    a.reads(1).await;
    sleep(FAILOVER).await; // Their place is saved.
    let fault = Fault::on(Service::DynamoDb, "UpdateItem").after(written);
    world.aws.faults().add(fault.always().throttle());
    split(&world, &parent).await;
    sleep(FAILOVER / 2).await;
    let cut_short = !is_finished(&world, &parent).await;
    a.kill();
    world.aws.faults().clear();
    world.put(20..60).await;
    let b = world.start("b", &log).await;
    until(what, async || distinct(&log) == all(0..60)).await;
    assert_eq!(numbers(&log), all(0..60), "{what}: nothing twice");
    let leases = world.leases().await;
    assert_eq!(leases.len(), 3, "{what}: {leases:?}");
    let of = |key: &str| leases.iter().find(|lease| lease.key == key).unwrap();
    assert!(of(&parent).is_finished(), "{what}");
    for child in &of(&parent).children {
        assert!(of(child).parents.contains(&parent), "{what}");
    }
    assert_eq!(of(&parent).children.len(), 2, "{what}");
    b.stop().await;
    cut_short
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_writes_of_a_shards_end_is_completed_by_the_next_worker() {
    let mut cut_short = 0;
    for written in 0..10 {
        cut_short += u32::from(crash_at_the_end(written).await);
    }
    // Two children made, their names noted, and the end: it was stopped before each of them.
    assert!((4..10).contains(&cut_short), "{cut_short}");
}
