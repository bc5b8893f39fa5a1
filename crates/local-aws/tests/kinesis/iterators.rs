//! The five kinds of iterators, how far behind they are, and how they end.

use std::time::Duration;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;

use crate::world::{NOW_MS, World, texts};

async fn shard_of(world: &World) -> String {
    world.shards().await.remove(0).shard_id
}

#[tokio::test]
async fn each_kind_begins_where_it_says() {
    let world = World::new(1).await;
    let shard = shard_of(&world).await;
    let (_, first) = world.put("k", "one").await;
    let (_, second) = world.put("k", "two").await;
    let latest = world.iterator(&shard, ShardIteratorType::Latest, None).await;
    world.put("k", "three").await;
    let at = world.iterator(&shard, ShardIteratorType::AtSequenceNumber, Some(&second)).await;
    let after = world.iterator(&shard, ShardIteratorType::AfterSequenceNumber, Some(&first)).await;
    assert_eq!(texts(&world.read(&world.oldest(&shard).await).await), ["one", "two", "three"]);
    assert_eq!(texts(&world.read(&latest).await), ["three"]);
    assert_eq!(texts(&world.read(&at).await), ["two", "three"]);
    assert_eq!(texts(&world.read(&after).await), ["two", "three"]);
}

#[tokio::test]
async fn a_shards_starting_number_is_accepted() {
    let world = World::new(1).await;
    let shard = world.shards().await.remove(0);
    let start = &shard.sequence_number_range().unwrap().starting_sequence_number;
    world.put("k", "one").await;
    for kind in [ShardIteratorType::AtSequenceNumber, ShardIteratorType::AfterSequenceNumber] {
        let iterator = world.iterator(&shard.shard_id, kind, Some(start)).await;
        assert_eq!(texts(&world.read(&iterator).await), ["one"]);
    }
}

#[tokio::test]
async fn a_time_is_exact_to_the_millisecond() {
    let Some((world, clock)) = World::held(1).await else { return };
    let shard = shard_of(&world).await;
    for text in ["0", "1", "2"] {
        world.put("k", text).await;
        clock.advance(Duration::from_millis(1));
    }
    for (offset, expected) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
        let at = i64::try_from(NOW_MS + offset).unwrap();
        let iterator = world.kinesis.get_shard_iterator().stream_name(&world.stream);
        let iterator = iterator.shard_id(&shard).timestamp(DateTime::from_millis(at));
        let iterator = iterator.shard_iterator_type(ShardIteratorType::AtTimestamp);
        let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
        assert_eq!(world.read(&iterator).await.records().len(), expected, "at +{offset} ms");
    }
}

#[tokio::test]
async fn garbage_is_an_invalid_argument() {
    let world = World::new(1).await;
    let error = world.kinesis.get_records().shard_iterator("AAAAgarbage").send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_argument_exception(), "{error:?}");
    let iterator = world.kinesis.get_shard_iterator().stream_name(&world.stream);
    let iterator = iterator.shard_id(shard_of(&world).await).starting_sequence_number("17");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    let error = iterator.send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_argument_exception(), "{error:?}");
}

#[tokio::test]
async fn a_sequence_number_of_another_shard_is_refused() {
    let world = World::new(2).await;
    let shards = world.shards().await;
    let (shard, sequence) = world.put("a", "one").await;
    let other = shards.iter().find(|other| other.shard_id != shard).unwrap();
    let iterator = world.kinesis.get_shard_iterator().stream_name(&world.stream);
    let iterator = iterator.shard_id(&other.shard_id).starting_sequence_number(sequence);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
    let error = iterator.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_argument_exception(), "{error:?}");
}

#[tokio::test]
async fn a_time_to_come_is_refused() {
    let Some((world, _clock)) = World::held(1).await else { return };
    let at = DateTime::from_millis(i64::try_from(NOW_MS + 1).unwrap());
    let iterator = world.kinesis.get_shard_iterator().stream_name(&world.stream);
    let iterator = iterator.shard_id(shard_of(&world).await).timestamp(at);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::AtTimestamp);
    let error = iterator.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_argument_exception(), "{error:?}");
}

#[tokio::test]
async fn the_arrival_time_of_a_record_leads_back_to_it() {
    let world = World::new(1).await;
    let shard = shard_of(&world).await;
    world.put("k", "one").await;
    let read = world.read(&world.oldest(&shard).await).await;
    let arrived = *read.records()[0].approximate_arrival_timestamp().unwrap();
    let iterator = world.kinesis.get_shard_iterator().stream_name(&world.stream).shard_id(&shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(arrived);
    let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(texts(&world.read(&iterator).await), ["one"]);
}

#[tokio::test]
async fn an_old_iterator_has_expired() {
    let Some((world, clock)) = World::held(1).await else { return };
    let iterator = world.oldest(&shard_of(&world).await).await;
    clock.advance(Duration::from_secs(300));
    let read = world.read(&iterator).await;
    clock.advance(Duration::from_secs(301));
    let next = read.next_shard_iterator().unwrap();
    let error = world.kinesis.get_records().shard_iterator(next).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_expired_iterator_exception(), "{error:?}");
}

#[tokio::test]
async fn lag_is_the_age_of_the_last_record_read_and_none_at_the_tip() {
    let Some((world, clock)) = World::held(1).await else { return };
    world.put("k", "one").await;
    clock.advance(Duration::from_secs(7));
    world.put("k", "two").await;
    clock.advance(Duration::from_secs(3));
    let oldest = world.oldest(&shard_of(&world).await).await;
    let read = world.kinesis.get_records().shard_iterator(oldest).limit(1).send().await.unwrap();
    assert_eq!(read.millis_behind_latest(), Some(10_000));
    let read = world.read(read.next_shard_iterator().unwrap()).await;
    assert_eq!((texts(&read), read.millis_behind_latest()), (vec!["two".to_owned()], Some(0)));
    let read = world.read(read.next_shard_iterator().unwrap()).await;
    assert_eq!((read.records().len(), read.millis_behind_latest()), (0, Some(0)));
}

#[tokio::test]
async fn records_expire_with_the_retention() {
    let Some((world, clock)) = World::held(1).await else { return };
    let shard = shard_of(&world).await;
    world.put("k", "old").await;
    clock.advance(Duration::from_hours(23));
    world.put("k", "young").await;
    clock.advance(Duration::from_hours(2));
    assert_eq!(texts(&world.read(&world.oldest(&shard).await).await), ["young"]);
}

#[tokio::test]
async fn a_stream_made_anew_does_not_take_the_iterators_of_the_old_one() {
    let Some((world, clock)) = World::held(1).await else { return };
    let iterator = world.oldest(&shard_of(&world).await).await;
    world.kinesis.delete_stream().stream_name(&world.stream).send().await.unwrap();
    let gone = world.kinesis.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    assert!(gone.as_service_error().unwrap().is_resource_not_found_exception(), "{gone:?}");
    clock.advance(Duration::from_secs(1));
    world.kinesis.create_stream().stream_name(&world.stream).send().await.unwrap();
    let anew = world.kinesis.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    assert!(anew.as_service_error().unwrap().is_invalid_argument_exception(), "{anew:?}");
}
