//! Sharing the table with workers of the Java library.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl::{Mode, Settings};
use tokio_util::sync::CancellationToken;

use crate::world::{Log, World, all, distinct, recorder, until};

/// Without one of them KCL 2.x fails its scan, and with that all that it does.
const REQUIRED: [&str; 4] =
    ["leaseKey", "leaseCounter", "ownerSwitchesSinceCheckpoint", "checkpoint"];

/// Looks at every row again and again, until it is stopped; the rows that KCL 2.x could not read.
async fn unreadable(world: World, stop: CancellationToken) -> BTreeSet<String> {
    let mut unreadable = BTreeSet::new();
    while !stop.is_cancelled() {
        let scan = world.dynamodb.scan().table_name("leases").consistent_read(true).send().await;
        for row in scan.ok().and_then(|scan| scan.items).unwrap_or_default() {
            if !REQUIRED.iter().all(|name| row.contains_key(*name)) {
                unreadable.insert(format!("{row:?}"));
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    unreadable
}

#[tokio::test(start_paused = true)]
async fn beside_java_2x_no_row_is_ever_without_what_its_scan_needs() {
    let world = World::with_shards(3).await;
    let log = Log::default();
    let compat = |worker| Settings { mode: Mode::Compat2x, ..World::settings(worker) };
    let stop = CancellationToken::new();
    let watch = tokio::spawn(unreadable(world.clone(), stop.clone()));
    let a = world.start_as(compat("a"), recorder("a", &log)).await;
    let b = world.start_as(compat("b"), recorder("b", &log)).await;
    until("both hold leases", async || world.owners().await.len() == 2).await;
    world.put(0..100).await;
    let shards = world.shard_ids().await;
    let split = world.kinesis.split_shard().stream_name("events").shard_to_split(&shards[0]);
    split.new_starting_hash_key((u128::MAX / 6).to_string()).send().await.unwrap();
    world.put(100..200).await;
    a.kill();
    until("all arrive", async || distinct(&log) == all(0..200)).await;
    until("the rest is taken", async || world.owners().await.into_keys().eq(["b".to_owned()]))
        .await;
    b.stop().await;
    assert_eq!(world.leases().await.len(), 5);
    stop.cancel();
    assert_eq!(watch.await.unwrap(), BTreeSet::new());
}
