//! Splits, merges and new shard counts, and what a reader sees of them.

use aws_sdk_kinesis::types::{ScalingType, Shard, ShardIteratorType};

use crate::world::{World, texts};

const HALF: u128 = 1 << 127;

fn number(text: &str) -> Vec<u8> {
    // Decimal text without leading zeros, padded, compares as the number does.
    format!("{text:0>64}").into_bytes()
}

fn first(shard: &Shard) -> Vec<u8> {
    number(&shard.sequence_number_range().unwrap().starting_sequence_number)
}

fn last(shard: &Shard) -> Option<Vec<u8>> {
    shard.sequence_number_range().unwrap().ending_sequence_number().map(number)
}

#[tokio::test]
async fn a_split_closes_the_parent_and_its_children_begin_above_its_end() {
    let world = World::new(1).await;
    let parent = world.shards().await.remove(0);
    world.put("k", "before").await;
    world.split(&parent.shard_id, HALF).await;
    let shards = world.shards().await;
    assert_eq!(shards.len(), 3, "the closed parent stays");
    let end = last(&shards[0]).expect("the parent has an ending sequence number");
    for child in &shards[1..] {
        assert_eq!(child.parent_shard_id(), Some(parent.shard_id.as_str()));
        assert_eq!(child.adjacent_parent_shard_id(), None);
        assert!(last(child).is_none());
        assert!(first(child) > end);
    }
    let range = |shard: &Shard| {
        let range = shard.hash_key_range().unwrap();
        let key = |text: &str| text.parse::<u128>().unwrap();
        (key(&range.starting_hash_key), key(&range.ending_hash_key))
    };
    assert_eq!(range(&shards[1]), (0, HALF - 1));
    assert_eq!(range(&shards[2]), (HALF, u128::MAX));
}

#[tokio::test]
async fn a_merge_gives_one_child_with_both_parents() {
    let world = World::new(2).await;
    let parents = world.shards().await;
    world.merge(&parents[0].shard_id, &parents[1].shard_id).await;
    let shards = world.shards().await;
    let child = &shards[2];
    assert_eq!(child.parent_shard_id(), Some(parents[0].shard_id.as_str()));
    assert_eq!(child.adjacent_parent_shard_id(), Some(parents[1].shard_id.as_str()));
    for parent in &shards[..2] {
        assert!(first(child) > last(parent).expect("a closed parent"));
    }
}

#[tokio::test]
async fn shards_that_do_not_touch_cannot_be_merged() {
    let world = World::new(3).await;
    let shards = world.shards().await;
    let merge = world.kinesis.merge_shards().stream_name(&world.stream);
    let merge = merge.shard_to_merge(&shards[0].shard_id);
    let error = merge.adjacent_shard_to_merge(&shards[2].shard_id).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_argument_exception(), "{error:?}");
}

#[tokio::test]
async fn a_new_shard_count_leaves_every_open_shard_with_parents_and_the_space_covered() {
    let Some(world) = World::embedded(4, |builder| builder).await else { return };
    for target in [6, 3, 5, 4] {
        let update = world.kinesis.update_shard_count().stream_name(&world.stream);
        let update = update.target_shard_count(target).scaling_type(ScalingType::UniformScaling);
        update.send().await.unwrap();
        world.active().await;
        let shards = world.shards().await;
        let mut open: Vec<_> = shards.iter().filter(|shard| last(shard).is_none()).collect();
        open.sort_by_key(|shard| {
            shard.hash_key_range().unwrap().starting_hash_key.parse::<u128>().unwrap()
        });
        assert_eq!(open.len(), usize::try_from(target).unwrap());
        let mut next = Some(0);
        for shard in open {
            let range = shard.hash_key_range().unwrap();
            assert_eq!(range.starting_hash_key.parse().ok(), next, "no gap and no overlap");
            next = range.ending_hash_key.parse::<u128>().unwrap().checked_add(1);
        }
        assert_eq!(next, None, "up to the highest key");
        for shard in &shards {
            let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
            for parent in parents.into_iter().flatten() {
                let parent = shards.iter().find(|known| known.shard_id == parent).unwrap();
                assert!(first(shard) > last(parent).expect("a parent is closed"));
            }
        }
    }
}

#[tokio::test]
async fn reading_a_closed_shard_ends_with_its_children() {
    let world = World::new(1).await;
    let parent = world.shards().await.remove(0).shard_id;
    let (_, sequence) = world.put("k", "one").await;
    world.split(&parent, HALF).await;
    let read = world.read(&world.oldest(&parent).await).await;
    assert_eq!(texts(&read), ["one"]);
    assert_eq!(read.next_shard_iterator(), None);
    let mut children: Vec<_> =
        read.child_shards().iter().map(|child| child.shard_id.clone()).collect();
    children.sort();
    let shards = world.shards().await;
    assert_eq!(children, [shards[1].shard_id.clone(), shards[2].shard_id.clone()]);
    assert_eq!(read.child_shards()[0].parent_shards, std::slice::from_ref(&parent));

    let kind = ShardIteratorType::AfterSequenceNumber;
    let after = world.iterator(&parent, kind, Some(&sequence)).await;
    let read = world.read(&after).await;
    assert!(read.records().is_empty());
    assert_eq!(read.next_shard_iterator(), None, "past the last record of a closed shard");
    assert_eq!(read.child_shards().len(), 2);
}

#[tokio::test]
async fn an_iterator_taken_before_a_split_reads_to_the_end_and_not_beyond() {
    let world = World::new(1).await;
    let parent = world.shards().await.remove(0).shard_id;
    let open = world.read(&world.oldest(&parent).await).await;
    world.put("k", "before").await;
    world.split(&parent, HALF).await;
    let shard = world.put_at(0, "after").await;
    assert_ne!(shard, parent, "no record lands in a closed shard");
    let read = world.read(open.next_shard_iterator().unwrap()).await;
    assert_eq!(texts(&read), ["before"]);
    assert_eq!(read.next_shard_iterator(), None);
}

#[tokio::test]
async fn records_are_routed_by_md5_or_by_the_explicit_key() {
    let world = World::new(2).await;
    let shards = world.shards().await;
    // md5("a") begins with 0c, md5("b") with 92.
    assert_eq!(world.put("a", "x").await.0, shards[0].shard_id);
    assert_eq!(world.put("b", "x").await.0, shards[1].shard_id);
    assert_eq!(world.put_at(0, "x").await, shards[0].shard_id);
    assert_eq!(world.put_at(HALF - 1, "x").await, shards[0].shard_id);
    assert_eq!(world.put_at(HALF, "x").await, shards[1].shard_id);
    assert_eq!(world.put_at(u128::MAX, "x").await, shards[1].shard_id);
}
