//! Reading, sharing, stopping, taking over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use kcl::{Batch, Checkpoint, Consumer, Error, Failure, Lease};
use local_aws::{Fault, LocalAws, Service};

use crate::world::{FAILOVER, Log, Recorder, STREAM, World, all, distinct, numbers, until};

#[tokio::test(start_paused = true)]
async fn every_record_of_every_shard_arrives_once_and_a_new_worker_goes_on_from_there() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    world.put(0..300).await;
    let first = world.start("a", &log).await;
    until("the first 300 arrive", async || numbers(&log).len() == 300).await;
    first.stop().await;
    world.put(300..400).await;
    let second = world.start("b", &log).await;
    until("the next 100 arrive", async || numbers(&log).len() >= 400).await;
    second.stop().await;
    assert_eq!(numbers(&log), all(0..400));
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_four_shards() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let mut a = world.start("a", &log).await;
    a.reads(4).await;
    let mut b = world.start("b", &log).await;
    world.owned_by(&[("a", 2), ("b", 2)]).await;
    a.reads(2).await;
    b.reads(2).await;
    world.put(0..200).await;
    until("all 200 arrive", async || distinct(&log) == all(0..200)).await;
    let workers: std::collections::BTreeSet<_> =
        log.lock().unwrap().iter().map(|delivery| delivery.worker.clone()).collect();
    assert_eq!(workers.len(), 2);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_workers_shards_are_taken_over_and_nothing_is_lost() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let a = world.start("a", &log).await;
    let b = world.start("b", &log).await;
    world.owned_by(&[("a", 2), ("b", 2)]).await;
    world.put(0..200).await;
    until("some arrive at a", async || {
        log.lock().unwrap().iter().any(|delivery| delivery.worker == "a")
    })
    .await;
    a.kill();
    world.put(200..400).await;
    world.owned_by(&[("b", 4)]).await;
    until("all 400 arrive", async || distinct(&log) == all(0..400)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_saves_its_places_and_releases_its_leases() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let a = world.start("a", &log).await;
    world.put(0..100).await;
    until("all arrive", async || numbers(&log).len() == 100).await;
    a.stop().await;
    for lease in world.leases().await {
        assert_eq!(lease.owner, None);
        assert!(matches!(lease.checkpoint, Checkpoint::At(_)), "{lease:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_comes_again_and_the_checkpoint_waits_for_it() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let offers = Arc::new(AtomicU32::new(0));
    let verdict = {
        let offers = offers.clone();
        move |_: &Batch| match offers.fetch_add(1, Relaxed) {
            0..4 => Err(Failure::retry("not now")),
            4 => panic!("a processor's own mistake"),
            _ => Ok(()),
        }
    };
    let worker = world.start_with("a", &log, Arc::new(verdict)).await;
    world.put(0..10).await;
    until("the batch was refused", async || offers.load(Relaxed) >= 3).await;
    assert_eq!(world.leases().await[0].checkpoint, Checkpoint::TrimHorizon);
    until("all arrive", async || numbers(&log) == all(0..10)).await;
    worker.stop().await;
    assert!(matches!(world.leases().await[0].checkpoint, Checkpoint::At(_)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_batch_is_never_accepted_still_stops() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start_with("a", &log, Arc::new(|_| Err(Failure::retry("never")))).await;
    world.put(0..10).await;
    world.owned_by(&[("a", 1)]).await;
    worker.stop().await;
    assert_eq!(world.leases().await[0].checkpoint, Checkpoint::TrimHorizon);
    assert_eq!(world.leases().await[0].owner, None);
}

#[tokio::test(start_paused = true)]
async fn children_are_read_after_both_parents_across_split_and_merge() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..100).await;
    let parent = world.shard_ids().await.remove(0);
    let half = (u128::MAX / 2).to_string();
    let split = world.kinesis.split_shard().stream_name(STREAM).shard_to_split(&parent);
    split.new_starting_hash_key(half).send().await.unwrap();
    world.put(100..200).await;
    let shards = world.shard_ids().await;
    let merge = world.kinesis.merge_shards().stream_name(STREAM);
    merge.shard_to_merge(&shards[1]).adjacent_shard_to_merge(&shards[2]).send().await.unwrap();
    world.put(200..300).await;
    until("all arrive", async || distinct(&log) == all(0..300)).await;
    let log = log.lock().unwrap().clone();
    for key in 0..50 {
        let of_key = log.iter().map(|delivery| delivery.text.parse::<u32>().unwrap());
        let of_key: Vec<_> = of_key.filter(|number| number % 50 == key).collect();
        assert!(of_key.is_sorted(), "key-{key}: {of_key:?}");
    }
    let finished = world.leases().await.into_iter().filter(Lease::is_finished);
    assert_eq!(finished.count(), 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_lease_write_costs_nothing() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.owned_by(&[("a", 1)]).await;
    let fault = Fault::on(Service::DynamoDb, "UpdateItem").times(1).lose_reply();
    for round in 0..5 {
        world.aws.faults().add(fault.clone());
        world.put(round * 10..round * 10 + 10).await;
        tokio::time::sleep(FAILOVER).await;
    }
    until("all arrive", async || numbers(&log).len() >= 50).await;
    assert_eq!(numbers(&log), all(0..50), "the lease was never lost, so nothing came twice");
    assert_eq!(world.leases().await[0].owner_switches, 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_dynamodb_longer_than_the_failover_stops_reading_and_then_resumes() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..10).await;
    until("the first arrive", async || numbers(&log).len() == 10).await;
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    tokio::time::sleep(FAILOVER * 2).await;
    world.put(10..20).await;
    tokio::time::sleep(FAILOVER).await;
    assert_eq!(numbers(&log).len(), 10, "nothing is read without a lease that can be renewed");
    world.aws.faults().clear();
    until("the rest arrive", async || distinct(&log) == all(0..20)).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_missing_stream_is_told_by_name() {
    let aws = LocalAws::new();
    let config = aws.sdk_config();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let recorder =
        Recorder { worker: "a".into(), log: Log::default(), verdict: Arc::new(|_| Ok(())) };
    let built = Consumer::build(kinesis, dynamodb, World::settings("a"), recorder).await;
    let Err(Error::StreamNotFound { stream }) = built.map(|_| ()) else {
        panic!("a consumer of a missing stream was built");
    };
    assert_eq!(stream, STREAM);
}
