//! Leases that are lost, and leases that are not although DynamoDB fails.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::{Batch, Checkpoint, Ended, Failure, Processor, Settings, ShardContext};
use local_aws::{Fault, Service};
use tokio::time::{Instant, sleep};

use crate::world::{FAILOVER, Log, World, all, distinct, numbers, recorder, until};

/// Never done with a batch; writes down what becomes of it.
#[derive(Clone, Default)]
pub(crate) struct Busy(pub(crate) Arc<Mutex<Tale>>);

#[derive(Default)]
pub(crate) struct Tale {
    pub(crate) begun: Vec<ShardContext>,
    pub(crate) broken_off: usize,
    pub(crate) ended: Vec<(Ended, Instant)>,
}

struct BreaksOff(Busy);

impl Drop for BreaksOff {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().broken_off += 1;
    }
}

impl Processor for Busy {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.0.lock().unwrap().begun.push(batch.shard.clone());
        let _noticed = BreaksOff(self.clone());
        std::future::pending().await
    }

    async fn ended(&self, _: &ShardContext, why: Ended) {
        self.0.lock().unwrap().ended.push((why, Instant::now()));
    }
}

/// Writes to the only lease as another worker might.
async fn meddle(world: &World, update: &str, values: &[(&str, AttributeValue)]) {
    let key = AttributeValue::S(world.shard_ids().await.remove(0));
    let mut write = world.dynamodb.update_item().table_name("leases").key("leaseKey", key);
    for (name, value) in values {
        write = write.expression_attribute_values(*name, value.clone());
    }
    write.update_expression(update).send().await.unwrap();
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A worker that is busy with the only shard.
pub(crate) async fn busy(world: &World) -> (Busy, crate::world::Worker) {
    let busy = Busy::default();
    world.put(0..10).await;
    let worker = world.start_as(World::settings("a"), busy.clone()).await;
    until("it is busy", async || !busy.0.lock().unwrap().begun.is_empty()).await;
    (busy, worker)
}

async fn assert_broken_off(busy: &Busy) {
    until("it is told", async || !busy.0.lock().unwrap().ended.is_empty()).await;
    let tale = busy.0.lock().unwrap();
    assert_eq!((tale.ended[0].0, tale.broken_off), (Ended::Lost, 1));
    assert!(tale.begun[0].lost.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_one_took_ends_the_handler_and_its_checkpoint_is_never_written() {
    let world = World::with_shards(1).await;
    let (busy, worker) = busy(&world).await;
    let one = AttributeValue::N("1".into());
    meddle(&world, "SET leaseOwner = :b ADD leaseCounter :one", &[(":b", s("b")), (":one", one)])
        .await;
    let taken = Instant::now();
    assert_broken_off(&busy).await;
    assert!(taken.elapsed() < FAILOVER, "told after {:?}", taken.elapsed());
    let lease = world.leases().await.remove(0);
    assert_eq!((lease.owner.as_deref(), lease.checkpoint), (Some("b"), Checkpoint::TrimHorizon));
    worker.kill();
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_hand_over_names_another_holder_is_lost() {
    let world = World::with_shards(1).await;
    let (busy, worker) = busy(&world).await;
    let owners = [(":c", s("c")), (":d", s("d"))];
    meddle(&world, "SET leaseOwner = :c, checkpointOwner = :d", &owners).await;
    assert_broken_off(&busy).await;
    let lease = world.leases().await.remove(0);
    assert_eq!(lease.checkpoint_owner.as_deref(), Some("d"), "no write of ours since");
    worker.kill();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_the_handler_before_another_one_may_take_it() {
    let world = World::with_shards(1).await;
    let (busy, worker) = busy(&world).await;
    let counter = async || world.leases().await[0].counter;
    let renewed = counter().await;
    until("it was just renewed", async || counter().await > renewed).await;
    let renewed = Instant::now();
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    assert_broken_off(&busy).await;
    let ended = busy.0.lock().unwrap().ended[0].1;
    assert!(ended - renewed < FAILOVER, "{:?}", ended - renewed);
    worker.kill();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_dynamodb_shorter_than_the_failover_costs_nothing() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..10).await;
    until("the first arrive", async || numbers(&log).len() == 10).await;
    let fences = async || world.leases().await.into_iter().map(|it| it.owner_switches).max();
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    world.put(10..20).await;
    sleep(FAILOVER / 2).await;
    assert_eq!(numbers(&log).len(), 20, "reading goes on");
    world.aws.faults().clear();
    world.put(20..30).await;
    until("all arrive", async || distinct(&log) == all(0..30)).await;
    sleep(FAILOVER * 2).await;
    assert_eq!(numbers(&log).len(), 30, "no lease was lost, so nothing came twice");
    assert_eq!(fences().await, Some(0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_throttled_checkpoint_is_tried_again_with_the_newest_place() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let settings = Settings { failover: Duration::from_secs(30), ..World::settings("a") };
    let worker = world.start_as(settings, recorder("a", &log)).await;
    until("it holds its lease", async || !world.leases().await.is_empty()).await;
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").times(12).throttle());
    for round in 0..10 {
        world.put(round * 10..(round + 1) * 10).await;
        sleep(Duration::from_millis(500)).await;
    }
    until("all arrive", async || distinct(&log) == all(0..100)).await;
    let saved = async || matches!(world.leases().await[0].checkpoint, Checkpoint::At(_));
    until("a place is saved", saved).await;
    worker.stop().await;
    let log_b = Log::default();
    let b = world.start("b", &log_b).await;
    world.put(100..110).await;
    until("what follows arrives", async || distinct(&log_b) == all(100..110)).await;
    assert_eq!(numbers(&log).len(), 100);
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_failover_repeats_nothing_that_was_saved_before() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..20).await;
    let is_saved = |lease: &kcl::Lease| matches!(lease.checkpoint, Checkpoint::At(_));
    until("all is saved", async || world.leases().await.iter().all(is_saved)).await;
    sleep(FAILOVER).await;
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    sleep(FAILOVER * 4).await;
    assert_eq!(worker.status.borrow().held, 0, "every lease is lost");
    world.put(20..40).await;
    world.aws.faults().clear();
    until("the rest arrives", async || distinct(&log) == all(0..40)).await;
    sleep(FAILOVER).await;
    assert_eq!(numbers(&log), all(0..40));
    worker.stop().await;
}

/// Writes down where it is.
struct Places(Arc<Mutex<Option<kcl::Position>>>);

impl Processor for Places {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        *self.0.lock().unwrap() = batch.records.last().map(|record| record.position);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn after_throttling_the_first_place_that_is_saved_is_the_newest_and_it_is_saved_once() {
    let world = World::with_shards(1).await;
    let newest = Arc::new(Mutex::new(None));
    let settings = Settings { failover: Duration::from_secs(90), ..World::settings("a") };
    let worker = world.start_as(settings, Places(newest.clone())).await;
    until("it reads", async || worker.status.borrow().held == 1).await;
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    for round in 0..10 {
        world.put(round * 10..(round + 1) * 10).await;
        sleep(Duration::from_secs(1)).await;
    }
    let place = async || world.leases().await[0].checkpoint;
    assert_eq!(place().await, Checkpoint::TrimHorizon);
    world.aws.faults().clear();
    until("a place is saved", async || place().await != Checkpoint::TrimHorizon).await;
    assert_eq!(place().await, Checkpoint::At(newest.lock().unwrap().unwrap()));
    // The lease is renewed every 30 s: whatever is written before would be the same place once more.
    let writes = world.aws.calls(Service::DynamoDb, "UpdateItem");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(world.aws.calls(Service::DynamoDb, "UpdateItem"), writes);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_by_an_hour_and_back_moves_no_lease() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let hours = Arc::new(AtomicU32::new(10));
    let now = {
        let hours = hours.clone();
        move || SystemTime::UNIX_EPOCH + Duration::from_secs(3_600) * hours.load(Relaxed)
    };
    let a = world.start_at(World::settings("a"), recorder("a", &log), now).await;
    let b = world.start("b", &log).await;
    let even = [("a", 2), ("b", 2)];
    world.owned_by(&even).await;
    until("they read", async || (a.status.borrow().held, b.status.borrow().held) == (2, 2)).await;
    let switches = async || world.leases().await.iter().map(|it| it.owner_switches).sum::<u64>();
    let before = switches().await;
    for (round, hour) in [11, 9, 10].into_iter().enumerate() {
        hours.store(hour, Relaxed);
        let first = u32::try_from(round).unwrap() * 40;
        world.put(first..first + 40).await;
        sleep(FAILOVER * 3).await;
        assert_eq!(numbers(&log), all(0..first + 40), "each once");
        world.owned_by(&even).await;
        assert!(switches().await <= before);
    }
    a.stop().await;
    b.stop().await;
}
