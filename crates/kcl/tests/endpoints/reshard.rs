//! A stream that is split and merged while two workers read it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_sdk_kinesis::types::Shard;
use kcl::Mode;

use crate::tale::{KEYS, Tale};
use crate::world::{World, until};

/// Puts records until told to stop, and says how many.
async fn produce(world: &World, ends: &AtomicBool) -> u32 {
    let mut put = 0;
    while !ends.load(Relaxed) {
        world.put(put..put + KEYS).await;
        put += KEYS;
        tokio::task::yield_now().await;
    }
    put
}

fn hash_key(key: &str) -> u128 {
    key.parse().unwrap()
}

/// The shards that take records, in the order of their keys. How a stream's key space is divided differs by one
/// between services.
async fn open(world: &World) -> Vec<Shard> {
    let mut shards = world.shards().await;
    shards.retain(|shard| {
        let range = shard.sequence_number_range.as_ref().unwrap();
        range.ending_sequence_number.is_none()
    });
    shards.sort_by_key(|shard| hash_key(&shard.hash_key_range.as_ref().unwrap().starting_hash_key));
    shards
}

/// Splits the first shard in the middle, and says which it was.
pub(crate) async fn split_the_first(world: &World) -> String {
    let first = open(world).await.remove(0);
    let middle = hash_key(&first.hash_key_range.unwrap().ending_hash_key) / 2;
    let split = world.kinesis.split_shard().stream_name(&world.stream);
    let split = split.shard_to_split(&first.shard_id).new_starting_hash_key(middle.to_string());
    split.send().await.unwrap();
    world.stream_is_active().await;
    first.shard_id
}

/// Of two shards the first is split, and its upper half merged with the second.
async fn reshard(world: &World, tale: &Tale) {
    let arrived = async |least: usize| {
        until("records arrive", async || tale.distinct().len() >= least).await;
    };
    arrived(100).await;
    split_the_first(world).await;
    arrived(tale.distinct().len() + 100).await;
    let shards = open(world).await;
    let merge = world.kinesis.merge_shards().stream_name(&world.stream);
    let merge = merge.shard_to_merge(&shards[1].shard_id);
    merge.adjacent_shard_to_merge(&shards[2].shard_id).send().await.unwrap();
    world.stream_is_active().await;
    arrived(tale.distinct().len() + 100).await;
}

/// Every shard with each of its parents.
async fn parents(world: &World) -> Vec<(String, String)> {
    let parents = |shard: Shard| {
        let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
        parents.into_iter().flatten().map(move |parent| (shard.shard_id.clone(), parent))
    };
    world.shards().await.into_iter().flat_map(parents).collect()
}

/// Whether the children are held, and nothing else is any more.
async fn is_settled(world: &World) -> bool {
    let open: BTreeSet<_> = open(world).await.into_iter().map(|shard| shard.shard_id).collect();
    let leases = world.leases().await.into_iter().filter(|lease| !lease.is_finished());
    open == leases.filter(|lease| lease.owner.is_some()).map(|lease| lease.key).collect()
}

pub(crate) async fn every_record_arrives_in_order_and_parents_come_first(world: World) {
    let tale = Tale::default();
    let (a, b) = (world.start("a", &tale).await, world.start("b", &tale).await);
    world.is_held_by(&[("a", 1), ("b", 1)]).await;
    let ends = AtomicBool::new(false);
    let (put, ()) = tokio::join!(produce(&world, &ends), async {
        reshard(&world, &tale).await;
        ends.store(true, Relaxed);
    });
    until("all arrive", async || tale.distinct().len() == put as usize).await;
    until("only the children are read", async || is_settled(&world).await).await;
    a.stop().await;
    b.stop().await;
    tale.assert_order_of_keys();
    tale.assert_one_owner_at_a_time();
    let parents = parents(&world).await;
    assert_eq!(parents.len(), 4, "{parents:?}");
    tale.assert_parents_first(&parents);
    let leases = world.leases().await;
    for (child, parent) in &parents {
        let children = leases.iter().find(|lease| lease.key == *parent).map(|it| &it.children);
        // A parent that has served is deleted at the next audit.
        assert!(children.is_none_or(|children| children.contains(child)), "{parent}: {children:?}");
    }
    if world.settings("a").mode == Mode::Native {
        tale.assert_each_once(0..put);
    }
    world.end().await;
}

#[tokio::test]
async fn natively_every_record_arrives_in_order_across_split_and_merge() {
    let world = World::with_shards(2, Mode::Native).await;
    every_record_arrives_in_order_and_parents_come_first(world).await;
}

#[tokio::test]
async fn by_the_rules_of_2x_every_record_arrives_in_order_across_split_and_merge() {
    let world = World::with_shards(2, Mode::Compat2x).await;
    every_record_arrives_in_order_and_parents_come_first(world).await;
}
