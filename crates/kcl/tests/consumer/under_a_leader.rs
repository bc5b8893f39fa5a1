//! In a fleet of KCL 3.x, whose leader the test plays.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl::{Checkpoint, Lease, Mode, Settings};

use crate::world::{FAILOVER, Log, World, all, distinct, recorder, until};

/// Long enough for several looks of every worker.
const A_WHILE: Duration = Duration::from_secs(30);

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn version(world: &World, version: &str) {
    let put = world.dynamodb.put_item().table_name("leases");
    let put = put.item("leaseKey", s("Migration3.0")).item("cv", s(version));
    put.item("entityType", s("CLIENT_VERSION_MIGRATION")).send().await.unwrap();
}

/// A stream, and the leases of its shards, that belong to nobody yet.
async fn world(shards: i32) -> World {
    let world = World::with_shards(shards).await;
    world.make_lease_table().await;
    version(&world, "CLIENT_VERSION_3X").await;
    for shard in world.shard_ids().await {
        world.put_lease(&Lease::new(shard, Checkpoint::TrimHorizon)).await;
    }
    world
}

/// What the leader writes: a lease to a worker, at once or once `from` has finished.
async fn assign(world: &World, key: &str, to: &str, from: Option<&str>) {
    let write = world.dynamodb.update_item().table_name("leases").key("leaseKey", s(key));
    let write = write.expression_attribute_values(":to", s(to));
    let write = match from {
        Some(from) => write
            .condition_expression("leaseOwner = :from AND attribute_not_exists(checkpointOwner)")
            .update_expression("SET leaseOwner = :to, checkpointOwner = :from")
            .expression_attribute_values(":from", s(from)),
        None => write
            .update_expression("SET leaseOwner = :to ADD leaseCounter :one")
            .expression_attribute_values(":one", AttributeValue::N("1".into())),
    };
    write.send().await.unwrap();
}

fn participant(worker: &str) -> Settings {
    Settings { mode: Mode::Participant3x, ..World::settings(worker) }
}

async fn reports(world: &World) -> Vec<String> {
    let scan = world.dynamodb.scan().table_name("leases").consistent_read(true).send().await;
    let rows = scan.unwrap().items.unwrap_or_default();
    let is_report = |kind: &AttributeValue| kind == &s("WORKER_METRIC_STATS");
    let rows = rows.iter().filter(|row| row.get("entityType").is_some_and(is_report));
    rows.map(|row| row["leaseKey"].as_s().unwrap().clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_that_the_leader_has_not_assigned() {
    let world = world(2).await;
    let log = Log::default();
    let a = world.start_as(participant("a"), recorder("a", &log)).await;
    world.put(0..50).await;
    until("it reports itself", async || reports(&world).await == ["a"]).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.owners().await, BTreeMap::from([(String::new(), 2)]));
    for shard in world.shard_ids().await {
        assign(&world, &shard, "a", None).await;
    }
    until("all arrive", async || distinct(&log) == all(0..50)).await;
    a.stop().await;
    assert_eq!(world.owners().await, BTreeMap::from([(String::new(), 2)]));
    assert!(reports(&world).await.is_empty(), "the leader must not assign to it any more");
}

#[tokio::test(start_paused = true)]
async fn a_lease_moves_when_the_leader_asks_and_nothing_comes_twice() {
    let world = world(1).await;
    let log = Log::default();
    let shard = world.shard_ids().await.remove(0);
    let a = world.start_as(participant("a"), recorder("a", &log)).await;
    let b = world.start_as(participant("b"), recorder("b", &log)).await;
    assign(&world, &shard, "a", None).await;
    world.put(0..50).await;
    until("half arrives", async || distinct(&log) == all(0..50)).await;
    assign(&world, &shard, "b", Some("a")).await;
    until("it is handed over", async || world.leases().await[0].checkpoint_owner.is_none()).await;
    world.put(50..100).await;
    until("the rest arrives", async || distinct(&log) == all(0..100)).await;
    let log = log.lock().unwrap().clone();
    assert_eq!(log.len(), 100, "twice");
    assert!(log[..50].iter().all(|delivery| delivery.worker == "a"));
    assert!(log[50..].iter().all(|delivery| delivery.worker == "b"));
    assert_eq!(world.leases().await[0].owner.as_deref(), Some("b"));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flip_to_3x_ends_the_taking_and_a_rollback_starts_it_again() {
    let world = world(4).await;
    version(&world, "CLIENT_VERSION_UPGRADE_FROM_2X").await;
    let log = Log::default();
    let mut a = world.start_as(participant("a"), recorder("a", &log)).await;
    world.owned_by(&[("a", 4)]).await;
    a.reads(4).await;
    version(&world, "CLIENT_VERSION_3X_WITH_ROLLBACK").await;
    tokio::time::sleep(FAILOVER).await; // Every worker has looked since.
    let b = world.start_as(participant("b"), recorder("b", &log)).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.owners().await, BTreeMap::from([("a".to_owned(), 4)]), "b took");
    version(&world, "CLIENT_VERSION_2X").await;
    world.owned_by(&[("a", 2), ("b", 2)]).await;
    world.put(0..100).await;
    until("all arrive", async || distinct(&log) == all(0..100)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_assigned_before_its_time_is_kept_and_waits_for_its_parent() {
    let world = world(1).await;
    let log = Log::default();
    let parent = world.shard_ids().await.remove(0);
    world.put(0..20).await;
    let split = world.kinesis.split_shard().stream_name("events").shard_to_split(&parent);
    split.new_starting_hash_key((u128::MAX / 2).to_string()).send().await.unwrap();
    world.put(20..40).await;
    for child in world.shard_ids().await.into_iter().skip(1) {
        let lease = Lease::new(&child, Checkpoint::TrimHorizon);
        world.put_lease(&Lease { parents: [parent.clone()].into(), ..lease }).await;
        assign(&world, &child, "a", None).await;
    }
    let a = world.start_as(participant("a"), recorder("a", &log)).await;
    let counters = async || world.leases().await.iter().map(|it| it.counter).collect::<Vec<_>>();
    until("the children are kept alive", async || counters().await[1..].iter().all(|&it| it > 4))
        .await;
    assert!(log.lock().unwrap().is_empty(), "a child came before its parent");
    assign(&world, &parent, "a", None).await;
    until("all arrive", async || distinct(&log) == all(0..40)).await;
    let log = log.lock().unwrap().clone();
    let of_parent = log.iter().rposition(|delivery| delivery.shard == parent).unwrap();
    assert!(log[..=of_parent].iter().all(|delivery| delivery.shard == parent));
    a.stop().await;
}
