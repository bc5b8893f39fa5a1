//! Lists of shards, in pages and by filter.

use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType};

use crate::world::{NOW_MS, World};

#[tokio::test]
async fn later_pages_are_asked_for_by_token_alone() {
    let world = World::new(5).await;
    let all: Vec<_> = world.shards().await.into_iter().map(|shard| shard.shard_id).collect();
    let mut seen = Vec::new();
    let first = world.kinesis.list_shards().stream_name(&world.stream).max_results(2);
    let mut page = first.send().await.unwrap();
    loop {
        seen.extend(page.shards().iter().map(|shard| shard.shard_id.clone()));
        let Some(token) = page.next_token() else { break };
        let both = world.kinesis.list_shards().stream_name(&world.stream).next_token(token);
        let both = both.send().await.unwrap_err().into_service_error();
        assert!(both.is_invalid_argument_exception(), "{both:?}");
        page = world.kinesis.list_shards().next_token(token).max_results(2).send().await.unwrap();
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_page_token_expires() {
    let Some((world, clock)) = World::held(3).await else { return };
    let page = world.kinesis.list_shards().stream_name(&world.stream).max_results(1);
    let page = page.send().await.unwrap();
    clock.advance(Duration::from_secs(301));
    let next = world.kinesis.list_shards().next_token(page.next_token().unwrap());
    let error = next.send().await.unwrap_err().into_service_error();
    assert!(error.is_expired_next_token_exception(), "{error:?}");
}

#[tokio::test]
async fn a_shard_can_be_started_after_and_the_stream_named_by_arn() {
    let world = World::new(3).await;
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let summary = summary.send().await.unwrap().stream_description_summary.unwrap();
    let all = world.shards().await;
    let rest = world.kinesis.list_shards().stream_arn(summary.stream_arn);
    let rest = rest.exclusive_start_shard_id(&all[0].shard_id).send().await.unwrap();
    assert_eq!(rest.shards(), &all[1..]);
}

#[tokio::test]
async fn each_filter_shows_its_part_of_the_tree() {
    let Some((world, clock)) = World::held(1).await else { return };
    clock.advance(Duration::from_secs(10));
    let parent = world.shards().await.remove(0).shard_id;
    world.split(&parent, 1 << 127).await;
    let shards = world.shards().await;
    let (left, right) = (&shards[1].shard_id, &shards[2].shard_id);
    clock.advance(Duration::from_secs(10));
    world.merge(left, right).await;
    let list = |kind: ShardFilterType, at_s: Option<u64>, shard: Option<&str>| {
        let at = at_s.map(|s| DateTime::from_millis(i64::try_from(NOW_MS + s * 1_000).unwrap()));
        let filter = ShardFilter::builder().r#type(kind).set_timestamp(at);
        let filter = filter.set_shard_id(shard.map(str::to_owned)).build().unwrap();
        let list = world.kinesis.list_shards().stream_name(&world.stream).shard_filter(filter);
        async move {
            let shards = list.send().await.unwrap().shards.unwrap();
            let last = |shard: aws_sdk_kinesis::types::Shard| shard.shard_id[19..].to_owned();
            shards.into_iter().map(last).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(ShardFilterType::FromTrimHorizon, None, None).await, ["0", "1", "2", "3"]);
    assert_eq!(list(ShardFilterType::AtTrimHorizon, None, None).await, ["0"]);
    assert_eq!(list(ShardFilterType::AtLatest, None, None).await, ["3"]);
    assert_eq!(list(ShardFilterType::AtTimestamp, Some(5), None).await, ["0"]);
    assert_eq!(list(ShardFilterType::AtTimestamp, Some(15), None).await, ["1", "2"]);
    // Both ends count: a record of the instant may be in the parent or in the child.
    assert_eq!(list(ShardFilterType::AtTimestamp, Some(20), None).await, ["1", "2", "3"]);
    assert_eq!(list(ShardFilterType::FromTimestamp, Some(15), None).await, ["1", "2", "3"]);
    assert_eq!(list(ShardFilterType::FromTimestamp, Some(21), None).await, ["3"]);
    assert_eq!(list(ShardFilterType::AfterShardId, None, Some(left)).await, ["2", "3"]);
    clock.advance(Duration::from_hours(24) - Duration::from_secs(5));
    let expired = "the first shard closed 24 hours and 5 seconds ago";
    assert_eq!(
        list(ShardFilterType::FromTrimHorizon, None, None).await,
        ["1", "2", "3"],
        "{expired}"
    );
    assert_eq!(list(ShardFilterType::AtTrimHorizon, None, None).await, ["1", "2"], "{expired}");
    let before = "a time before the horizon is corrected to it";
    assert_eq!(list(ShardFilterType::AtTimestamp, Some(1), None).await, ["1", "2"], "{before}");
}

#[tokio::test]
async fn the_root_is_found_even_when_all_happened_within_one_millisecond() {
    let Some((world, _clock)) = World::held(1).await else { return };
    let parent = world.shards().await.remove(0).shard_id;
    world.put("k", "in the parent").await;
    world.split(&parent, 1 << 127).await;
    let filter = ShardFilter::builder().r#type(ShardFilterType::AtTrimHorizon).build().unwrap();
    let list = world.kinesis.list_shards().stream_name(&world.stream).shard_filter(filter);
    let shards = list.send().await.unwrap().shards.unwrap();
    let ids: Vec<_> = shards.iter().map(|shard| &shard.shard_id).collect();
    assert_eq!(ids, [&parent]);
}

#[tokio::test]
async fn a_page_has_at_most_a_thousand_shards_whatever_is_asked_for() {
    let Some(world) = World::embedded(1_001, |builder| builder).await else { return };
    let list = || world.kinesis.list_shards().stream_name(&world.stream);
    assert_eq!(list().max_results(10_000).send().await.unwrap().shards().len(), 1_000);
    for max in [0, 10_001] {
        let error = list().max_results(max).send().await.unwrap_err();
        let code = error.as_service_error().and_then(|error| error.code()).map(str::to_owned);
        assert_eq!(code.as_deref(), Some("ValidationException"), "{max} on a page");
    }
}

#[tokio::test]
async fn a_stream_is_described_in_pages_of_shards() {
    let world = World::new(3).await;
    let all = world.shards().await;
    let describe = || world.kinesis.describe_stream().stream_name(&world.stream);
    let first = describe().limit(2).send().await.unwrap().stream_description.unwrap();
    assert_eq!((first.shards(), first.has_more_shards), (&all[..2], true));
    let rest = describe().exclusive_start_shard_id(&all[1].shard_id);
    let rest = rest.send().await.unwrap().stream_description.unwrap();
    assert_eq!((rest.shards(), rest.has_more_shards), (&all[2..], false));
}
