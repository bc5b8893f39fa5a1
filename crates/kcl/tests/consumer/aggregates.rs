//! Aggregates of the KPL, from the producer to the checkpoint.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl::{Aggregator, Aggregators, Batch, Checkpoint, Failure, Fate, Lanes, Metrics, Settings};

use crate::world::{Log, STREAM, World, distinct, numbers, recorder, until};

async fn put(world: &World, aggregated: kcl::Aggregated) {
    let entry = aggregated.into_entry().unwrap();
    let put = world.kinesis.put_records().stream_name(STREAM).records(entry);
    assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
}

fn aggregate(numbers: std::ops::Range<u32>) -> kcl::Aggregated {
    let mut aggregator = Aggregator::new(1 << 20);
    for number in numbers {
        let key = format!("key-{}", number % 3);
        assert_eq!(aggregator.add(&key, None, number.to_string()).unwrap(), None);
    }
    aggregator.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn of_an_aggregate_of_five_the_next_worker_gets_what_the_last_one_did_not_acknowledge() {
    let world = World::with_shards(1).await;
    put(&world, aggregate(0..5)).await;
    let log = Log::default();
    let settings = Settings { batch_records_max: 1, ..World::settings("a") };
    // One by one; record 3 fails for ever.
    let stuck = |batch: &Batch| match batch.records[0].data.as_ref() {
        b"3" => Err(Failure::retry("not here")),
        _ => Ok(()),
    };
    let mut first = recorder("a", &log);
    first.verdict = Arc::new(stuck);
    let a = world.start_as(settings.clone(), first).await;
    let checkpoint = async || world.leases().await.first().map(|lease| lease.checkpoint);
    let is_saved =
        |it: Option<Checkpoint>| matches!(it, Some(Checkpoint::At(at)) if at.sub_sequence == 2);
    until("0 to 2 are saved", async || is_saved(checkpoint().await)).await;
    a.kill();
    let b = world.start_as(Settings { worker: "b".into(), ..settings }, recorder("b", &log)).await;
    until("the rest arrives", async || distinct(&log) == [0, 1, 2, 3, 4]).await;
    assert_eq!(numbers(&log), [0, 1, 2, 3, 4], "none comes twice");
    b.stop().await;
    let at = checkpoint().await;
    assert!(matches!(at, Some(Checkpoint::At(at)) if at.sub_sequence == 4), "{at:?}");
    let c = world.start("c", &log).await;
    put(&world, aggregate(5..8)).await;
    until("what follows arrives", async || distinct(&log).len() == 8).await;
    assert_eq!(numbers(&log).len(), 8, "a finished aggregate comes again");
    c.stop().await;
}

#[tokio::test(start_paused = true)]
async fn aggregates_by_shard_arrive_in_the_order_of_their_keys_in_lanes_too() {
    let world = World::with_shards(3).await;
    let shards = world.kinesis.list_shards().stream_name(STREAM).send().await.unwrap();
    let ranges = shards.shards().iter().map(|shard| {
        let range = shard.hash_key_range.as_ref().unwrap();
        let key = |text: &str| text.parse().unwrap();
        kcl::HashRange { start: key(&range.starting_hash_key), end: key(&range.ending_hash_key) }
    });
    let mut aggregators = Aggregators::new(ranges, 2_000);
    let mut sent = 0;
    for number in 0..2_000_u32 {
        let key = format!("key-{}", number % 20);
        if let Some(full) = aggregators.add(&key, None, number.to_string()).unwrap() {
            put(&world, full).await;
            sent += 1;
        }
    }
    for rest in aggregators.finish() {
        put(&world, rest).await;
        sent += 1;
    }
    assert!(sent < 40, "{sent} records of Kinesis");
    let log = Log::default();
    let settings = Settings {
        lanes: Lanes::ByKey(4),
        outside_shard: kcl::OutsideShard::Drop,
        batch_records_max: 50,
        ..World::settings("a")
    };
    let a = world.start_as(settings, recorder("a", &log)).await;
    until("all arrive", async || distinct(&log).len() == 2_000).await;
    let log = log.lock().unwrap().clone();
    for key in 0..20 {
        let of_key =
            log.iter().map(|it| it.text.parse::<u32>().unwrap()).filter(|it| it % 20 == key);
        assert!(of_key.is_sorted(), "key {key}");
    }
    a.stop().await;
}

#[derive(Default)]
struct Fates(Mutex<Vec<(Fate, u64)>>);

impl Metrics for Fates {
    fn records(&self, fate: Fate, records: u64, _: u64) {
        self.0.lock().unwrap().push((fate, records));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_or_lies_outside_is_counted_and_the_checkpoint_passes_it() {
    let world = World::with_shards(2).await;
    // Two that belong to the second shard, in an aggregate that goes to the first.
    let mut aggregator = Aggregator::new(1 << 20);
    for (key, number) in [(0, "0"), (u128::MAX, "1"), (u128::MAX - 1, "2")] {
        aggregator.add("any", Some(key), number).unwrap();
    }
    put(&world, aggregator.finish().unwrap()).await;
    let (log, fates) = (Log::default(), Arc::new(Fates::default()));
    let settings = Settings { outside_shard: kcl::OutsideShard::Drop, ..World::settings("a") };
    let (kinesis, dynamodb) = (world.kinesis.clone(), world.dynamodb.clone());
    let consumer =
        kcl::Consumer::build(kinesis, dynamodb, settings, recorder("a", &log)).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(consumer.with_metrics(fates.clone()).run(stop.clone()));
    let is_past =
        |it: &kcl::Lease| matches!(it.checkpoint, Checkpoint::At(at) if at.sub_sequence == 2);
    until("the checkpoint passes all of it", async || world.leases().await.iter().any(is_past))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(numbers(&log), [0]);
    assert!(fates.0.lock().unwrap().contains(&(Fate::OutsideShard, 2)));
    stop.cancel();
    running.await.unwrap().unwrap();
}
