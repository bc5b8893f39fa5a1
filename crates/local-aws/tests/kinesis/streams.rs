//! Streams as a whole: their states, settings, tags and names.

use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{EncryptionType, ShardIteratorType, StreamMode, StreamModeDetails};
use local_aws::{Clock, KinesisSettings};

use crate::world::{World, texts};

/// A stream that takes a second to change, and the clock of it.
async fn slow() -> Option<(World, Clock)> {
    let settings =
        KinesisSettings { updating: Duration::from_secs(1), ..KinesisSettings::default() };
    let clock = Clock::running();
    let world =
        World::embedded(1, |builder| builder.kinesis(settings).clock(clock.clone())).await?;
    Some((world, clock))
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_updating_for_as_long_as_set_and_takes_no_change_meanwhile() {
    let Some((world, clock)) = slow().await else { return };
    let shards = world.shards().await;
    let split = |shard: &str| {
        let split = world.kinesis.split_shard().stream_name(&world.stream).shard_to_split(shard);
        split.new_starting_hash_key("99").send()
    };
    split(&shards[0].shard_id).await.unwrap();
    assert_eq!(world.status().await.as_str(), "UPDATING");
    world.put("k", "records are taken").await;
    let children = world.shards().await;
    let again = split(&children[2].shard_id).await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
    clock.advance(Duration::from_secs(1));
    assert_eq!(world.status().await.as_str(), "ACTIVE");
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_leaves_a_stream_active() {
    let Some((world, _clock)) = slow().await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let split = world.kinesis.split_shard().stream_name(&world.stream).shard_to_split(shard);
    let refused = split.new_starting_hash_key("0").send().await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_argument_exception(), "{refused:?}");
    let update = world.kinesis.update_shard_count().stream_name(&world.stream);
    let update = update.target_shard_count(3).scaling_type("UNIFORM_SCALING".into());
    let refused = update.send().await.unwrap_err().into_service_error();
    assert!(refused.is_invalid_argument_exception(), "beyond double: {refused:?}");
    assert_eq!(world.status().await.as_str(), "ACTIVE");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_creating_is_not_there_for_records() {
    let Some((world, clock)) = slow().await else { return };
    let create = || world.kinesis.create_stream().stream_name("new").shard_count(1).send();
    create().await.unwrap();
    let put = || {
        let put = world.kinesis.put_record().stream_name("new").partition_key("k");
        put.data(Blob::new("x")).send()
    };
    let early = put().await.unwrap_err().into_service_error();
    assert!(early.is_resource_not_found_exception(), "{early:?}");
    let again = create().await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
    clock.advance(Duration::from_secs(1));
    put().await.unwrap();
}

#[tokio::test]
async fn every_operation_takes_the_arn_for_the_name() {
    let world = World::new(1).await;
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let arn = summary.send().await.unwrap().stream_description_summary.unwrap().stream_arn;
    let put = world.kinesis.put_record().stream_arn(&arn).partition_key("k");
    let shard = put.data(Blob::new("one")).send().await.unwrap().shard_id;
    let iterator = world.kinesis.get_shard_iterator().stream_arn(&arn).shard_id(shard);
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = iterator.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(texts(&world.read(&iterator).await), ["one"]);
    let neither = world.kinesis.describe_stream_summary().send().await.unwrap_err();
    assert!(neither.into_service_error().is_invalid_argument_exception());
}

#[tokio::test]
async fn encryption_and_mode_are_told() {
    let world = World::new(1).await;
    let summary = || async {
        let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
        summary.send().await.unwrap().stream_description_summary.unwrap()
    };
    let (kind, key) = (EncryptionType::Kms, "alias/aws/kinesis");
    let start = world.kinesis.start_stream_encryption().stream_name(&world.stream);
    start.encryption_type(kind.clone()).key_id(key).send().await.unwrap();
    world.active().await;
    let told = summary().await;
    assert_eq!((told.encryption_type, told.key_id), (Some(kind.clone()), Some(key.to_owned())));
    let stop = world.kinesis.stop_stream_encryption().stream_name(&world.stream);
    stop.encryption_type(kind).key_id(key).send().await.unwrap();
    world.active().await;
    let told = summary().await;
    assert_eq!(told.encryption_type, Some(EncryptionType::None));

    let details = |mode| StreamModeDetails::builder().stream_mode(mode).build().unwrap();
    let update = world.kinesis.update_stream_mode().stream_arn(told.stream_arn);
    update.stream_mode_details(details(StreamMode::OnDemand)).send().await.unwrap();
    world.active().await;
    assert_eq!(summary().await.stream_mode_details, Some(details(StreamMode::OnDemand)));
    let split = world.kinesis.split_shard().stream_name(&world.stream);
    let split = split.shard_to_split("shardId-000000000000").new_starting_hash_key("99");
    let refused = split.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ValidationException"), "AWS scales it: {refused:?}");
}

#[tokio::test]
async fn retention_goes_up_and_down_between_a_day_and_a_year() {
    let Some((world, clock)) = World::held(1).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let increase = |hours| {
        let increase = world.kinesis.increase_stream_retention_period().stream_name(&world.stream);
        increase.retention_period_hours(hours).send()
    };
    let decrease = |hours| {
        let decrease = world.kinesis.decrease_stream_retention_period().stream_name(&world.stream);
        decrease.retention_period_hours(hours).send()
    };
    for hours in [23, 8_761] {
        let refused = increase(hours).await.unwrap_err().into_service_error();
        assert!(refused.is_invalid_argument_exception(), "{hours} hours: {refused:?}");
    }
    increase(48).await.unwrap();
    assert!(increase(47).await.is_err(), "47 hours are fewer");
    assert!(decrease(49).await.is_err(), "49 hours are more");
    world.put("k", "old").await;
    clock.advance(Duration::from_hours(47));
    assert_eq!(texts(&world.read(&world.oldest(&shard).await).await), ["old"]);
    decrease(24).await.unwrap();
    assert!(world.read(&world.oldest(&shard).await).await.records().is_empty());
}

#[tokio::test]
async fn tags_are_kept_by_either_family_of_operations() {
    let world = World::new(1).await;
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let arn = summary.send().await.unwrap().stream_description_summary.unwrap().stream_arn;
    let add = world.kinesis.add_tags_to_stream().stream_name(&world.stream);
    add.tags("a", "1").tags("b", "2").send().await.unwrap();
    world.kinesis.tag_resource().resource_arn(&arn).tags("c", "3").send().await.unwrap();
    world.kinesis.untag_resource().resource_arn(&arn).tag_keys("a").send().await.unwrap();
    let list = || world.kinesis.list_tags_for_stream().stream_name(&world.stream);
    let first = list().limit(1).send().await.unwrap();
    assert_eq!((first.tags()[0].key.as_str(), first.has_more_tags), ("b", true));
    let rest = list().exclusive_start_tag_key("b").send().await.unwrap();
    assert_eq!((rest.tags()[0].key.as_str(), rest.has_more_tags), ("c", false));
    let remove = world.kinesis.remove_tags_from_stream().stream_name(&world.stream);
    remove.tag_keys("b").send().await.unwrap();
    let left = world.kinesis.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    let left: Vec<_> = left.tags().iter().map(|tag| (tag.key.as_str(), tag.value())).collect();
    assert_eq!(left, [("c", Some("3"))]);
}

#[tokio::test]
async fn streams_are_listed_in_pages() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    for name in ["a", "b"] {
        world.kinesis.create_stream().stream_name(name).shard_count(1).send().await.unwrap();
    }
    let first = world.kinesis.list_streams().limit(2).send().await.unwrap();
    assert_eq!(
        (first.stream_names(), first.has_more_streams),
        (&["a".into(), "b".into()][..], true)
    );
    let rest = world.kinesis.list_streams().set_next_token(first.next_token.clone());
    let rest = rest.send().await.unwrap();
    assert_eq!((rest.stream_names(), rest.has_more_streams), (&[world.stream.clone()][..], false));
    assert_eq!(rest.stream_summaries()[0].stream_status.as_str(), "ACTIVE");
    let limits = world.kinesis.describe_limits().send().await.unwrap();
    assert_eq!(limits.open_shard_count, 3);
}

#[tokio::test]
async fn what_is_not_served_is_refused_by_name() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let unknown = world.kinesis.describe_account_settings().send().await.unwrap_err();
    let unknown = unknown.into_service_error();
    assert_eq!(unknown.code(), Some("UnknownOperationException"));
    assert!(unknown.message().unwrap().contains("DescribeAccountSettings"), "{unknown:?}");
    let name = world.kinesis.create_stream().stream_name("no spaces").shard_count(1);
    let name = name.send().await.unwrap_err().into_service_error();
    assert_eq!(name.code(), Some("ValidationException"));
    let summary = world.kinesis.describe_stream_summary().stream_name("none").send().await;
    let message = summary.unwrap_err().into_service_error().message().unwrap().to_owned();
    assert_eq!(message, "Stream none under account 000000000000 not found.");
}
