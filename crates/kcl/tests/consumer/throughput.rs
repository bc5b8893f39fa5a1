//! Workers that are balanced by what their shards carry.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl::{Balance, Settings};
use tokio::time::sleep;

use crate::world::{Log, STREAM, World, recorder, until};

/// Puts so many records of 10 KB into each shard every second, until dropped.
struct Load(tokio::task::JoinHandle<()>);

impl Load {
    fn start(world: &World, records: [usize; 4]) -> Self {
        let kinesis = world.kinesis.clone();
        Self(tokio::spawn(async move {
            loop {
                for (shard, &count) in records.iter().enumerate() {
                    let key = u128::MAX / 4 * u128::try_from(shard).unwrap() + 1_000;
                    let entry = PutRecordsRequestEntry::builder().partition_key("any");
                    let entry = entry.explicit_hash_key(key.to_string());
                    let entry = entry.data(Blob::new(vec![0; 10 << 10])).build().unwrap();
                    let put = kinesis.put_records().stream_name(STREAM);
                    put.set_records(Some(vec![entry; count])).send().await.unwrap();
                }
                sleep(Duration::from_secs(1)).await;
            }
        }))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn settings(worker: &str) -> Settings {
    Settings { balance: Balance::Throughput, ..World::settings(worker) }
}

#[tokio::test(start_paused = true)]
async fn the_worker_with_the_busy_shard_gives_the_quiet_one_away_and_then_all_stay() {
    let world = World::with_shards(4).await;
    let (log, load) = (Log::default(), Load::start(&world, [6, 2, 2, 2]));
    let busy = world.shard_ids().await.remove(0);
    let a = world.start_as(settings("a"), recorder("a", &log)).await;
    let b = world.start_as(settings("b"), recorder("b", &log)).await;
    let owners = async || -> BTreeMap<String, String> {
        let leases = world.leases().await.into_iter();
        leases.map(|lease| (lease.key, lease.owner.unwrap_or_default())).collect()
    };
    let is_balanced = async || {
        let owners = owners().await;
        let with_busy = owners.values().filter(|owner| **owner == owners[&busy]).count();
        with_busy == 1 && owners.values().all(|owner| !owner.is_empty())
    };
    until("the busy shard is alone with its worker", is_balanced).await;
    sleep(Duration::from_secs(20)).await; // What was measured meanwhile settles.
    let settled = owners().await;
    for _ in 0..5 {
        sleep(Duration::from_secs(5)).await;
        assert_eq!(owners().await, settled, "leases go to and fro");
    }
    let figure = |key: &str, leases: &[kcl::Lease]| {
        leases.iter().find(|lease| lease.key == key).and_then(|lease| lease.throughput).unwrap()
    };
    let carried = figure(&busy, &world.leases().await);
    assert!((30.0..100.0).contains(&carried), "{carried} KB a second instead of 60");
    drop(load);
    a.stop().await;
    b.stop().await;
}
