//! Leases that are lost, and leases that are not although DynamoDB fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::{Batch, Checkpoint, Ended, Failure, Processor, Settings, ShardContext};
use local_aws::{Fault, Service};
use tokio::time::{Instant, sleep};

use crate::world::{FAILOVER, Log, World, all, distinct, numbers, until};

/// Never done with a batch; writes down what becomes of it.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Tale>>);

#[derive(Default)]
struct Tale {
    begun: Vec<ShardContext>,
    broken_off: usize,
    ended: Vec<(Ended, Instant)>,
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
async fn busy(world: &World) -> (Busy, crate::world::Worker) {
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
    let worker = world.start_as(settings, crate::world::recorder("a", &log)).await;
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
