//! The leases are kept in step with the stream, whoever deletes or forgets what.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::{Checkpoint, Consumer, InitialPosition, Lease, Look, Metrics, Settings};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::world::{FAILOVER, Log, STREAM, World, all, distinct, numbers, recorder, until};

/// What the looks showed, newest last.
#[derive(Default)]
struct Looks(Mutex<Vec<Look>>);

impl Metrics for Looks {
    fn looked(&self, look: &Look) {
        self.0.lock().unwrap().push(*look);
    }
}

impl Looks {
    fn last(&self) -> Look {
        self.0.lock().unwrap().last().copied().unwrap_or_default()
    }
}

async fn watched(
    world: &World,
    settings: Settings,
    log: &Log,
) -> (Arc<Looks>, impl AsyncFnOnce() + use<>) {
    let looks = Arc::new(Looks::default());
    let (kinesis, dynamodb) = (world.kinesis.clone(), world.dynamodb.clone());
    let processor = recorder(&settings.worker, log);
    let consumer = Consumer::build(kinesis, dynamodb, settings, processor).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.with_metrics(looks.clone()).run(stop.clone()));
    let end = async move || {
        stop.cancel();
        running.await.unwrap().unwrap();
    };
    (looks, end)
}

async fn delete(world: &World, key: &str) {
    let key = AttributeValue::S(key.to_owned());
    let delete = world.dynamodb.delete_item().table_name("leases").key("leaseKey", key);
    delete.send().await.unwrap();
}

async fn split(world: &World, shard: &str, at: u128) {
    let split = world.kinesis.split_shard().stream_name(STREAM).shard_to_split(shard);
    split.new_starting_hash_key(at.to_string()).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hash_range_without_a_lease_is_told_and_has_one_again_within_thirty_seconds() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let (looks, end) = watched(&world, World::settings("a"), &log).await;
    world.put(0..100).await;
    until("all arrive", async || distinct(&log) == all(0..100)).await;
    assert_eq!(looks.last().hole, None);
    let lost = world.shard_ids().await.remove(2);
    delete(&world, &lost).await;
    let began = Instant::now();
    until("the hole is told", async || looks.last().hole.is_some()).await;
    until("the lease is back", async || world.leases().await.len() == 4).await;
    assert!(began.elapsed() < Duration::from_secs(30), "after {:?}", began.elapsed());
    until("no hole is told", async || looks.last().hole.is_none()).await;
    world.put(100..200).await;
    until("all arrive", async || distinct(&log) == all(0..200)).await;
    end().await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_lease_table_that_is_emptied_is_made_anew() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let (_, end) = watched(&world, World::settings("a"), &log).await;
    world.put(0..20).await;
    until("all arrive", async || distinct(&log) == all(0..20)).await;
    for shard in world.shard_ids().await {
        delete(&world, &shard).await;
    }
    world.put(20..40).await;
    until("all arrive", async || distinct(&log) == all(0..40)).await;
    end().await;
}

#[tokio::test(start_paused = true)]
async fn rows_without_a_hash_range_get_theirs() {
    let world = World::with_shards(3).await;
    world.make_lease_table().await;
    for shard in world.shard_ids().await {
        world.put_lease(&Lease::new(shard, Checkpoint::TrimHorizon)).await;
    }
    let log = Log::default();
    let (looks, end) = watched(&world, World::settings("a"), &log).await;
    until("each has one", async || {
        world.leases().await.iter().all(|lease| lease.hash_range.is_some())
    })
    .await;
    let mut ranges: Vec<_> =
        world.leases().await.iter().filter_map(|lease| lease.hash_range).collect();
    ranges.sort();
    assert_eq!((ranges[0].start, ranges[2].end), (0, u128::MAX));
    until("it is read", async || looks.last().held == 3).await;
    assert_eq!(looks.last().hole, None);
    end().await;
}

#[tokio::test(start_paused = true)]
async fn leases_of_finished_shards_go_once_their_children_have_moved_and_nothing_is_read_again() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let (_, end) = watched(&world, World::settings("a"), &log).await;
    let parent = world.shard_ids().await.remove(0);
    world.put(0..50).await;
    split(&world, &parent, u128::MAX / 2).await;
    sleep(Duration::from_secs(200)).await;
    let keys = async || world.leases().await.into_iter().map(|lease| lease.key);
    assert_eq!(keys().await.count(), 3, "while a child is at its beginning its parent stays");
    world.put(50..150).await;
    until("the parent's lease goes", async || keys().await.all(|key| key != parent)).await;
    sleep(Duration::from_secs(200)).await; // Kinesis still lists the parent: it is not begun anew.
    assert_eq!(keys().await.count(), 2);
    until("all arrive", async || distinct(&log) == all(0..150)).await;
    assert_eq!(numbers(&log).len(), 150);
    end().await;
}

#[tokio::test(start_paused = true)]
async fn latest_leaves_closed_shards_alone_and_their_children_begin_where_they_end() {
    let world = World::with_shards(2).await;
    let first = world.shard_ids().await.remove(0);
    world.put(0..50).await;
    split(&world, &first, u128::MAX / 8).await;
    let log = Log::default();
    let settings = Settings { initial_position: InitialPosition::Latest, ..World::settings("a") };
    let mut worker = world.start_as(settings, recorder("a", &log)).await;
    worker.reads(3).await;
    assert!(world.leases().await.iter().all(|lease| lease.key != first));
    world.put(50..100).await;
    until("the new ones arrive", async || distinct(&log) == all(50..100)).await;
    let child = world.shard_ids().await.pop().unwrap();
    split(&world, &child, u128::MAX / 4).await;
    world.put(100..200).await;
    until("all the new ones arrive", async || distinct(&log) == all(50..200)).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bound_on_leases_that_leaves_shards_unread_is_told() {
    let world = World::with_shards(5).await;
    let log = Log::default();
    let settings = Settings { leases_max: 2, ..World::settings("a") };
    let (looks, end) = watched(&world, settings, &log).await;
    until("two are read", async || looks.last().held == 2).await;
    sleep(FAILOVER * 4).await;
    let look = looks.last();
    assert_eq!((look.held, look.open, look.spillover, look.expired), (2, 5, 3, 3));
    end().await;
}
