//! What a request, a record and a shard may hold, and what is throttled.

use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use local_aws::{Clock, KinesisSettings};

use crate::world::{NOW_MS, World};

const MIB: usize = 1 << 20;

fn entry(key: &str, bytes: usize) -> PutRecordsRequestEntry {
    let data = Blob::new(vec![b'x'; bytes]);
    PutRecordsRequestEntry::builder().partition_key(key).data(data).build().unwrap()
}

async fn refusal(world: &World, records: Vec<PutRecordsRequestEntry>) -> String {
    let put = world.kinesis.put_records().stream_name(&world.stream);
    let error = put.set_records(Some(records)).send().await.unwrap_err();
    error.as_service_error().and_then(|error| error.code()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_takes_500_records_and_10_mib() {
    let world = World::new(1).await;
    assert_eq!(refusal(&world, vec![entry("k", 1); 501]).await, "ValidationException");
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    assert_eq!(refusal(&world, vec![entry("k", MIB - 1); 11]).await, "InvalidArgumentException");
}

#[tokio::test]
async fn a_key_has_1_to_256_characters() {
    let world = World::new(1).await;
    assert_eq!(refusal(&world, vec![entry(&"k".repeat(257), 1)]).await, "ValidationException");
    assert_eq!(refusal(&world, vec![entry("", 1)]).await, "ValidationException");
}

#[tokio::test]
async fn a_record_has_at_most_1_mib_unless_the_stream_takes_more() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    assert_eq!(refusal(&world, vec![entry("k", MIB + 1)]).await, "ValidationException");
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let summary = summary.send().await.unwrap().stream_description_summary.unwrap();
    let raise = world.kinesis.update_max_record_size().stream_arn(&summary.stream_arn);
    raise.max_record_size_in_kib(10_240).send().await.unwrap();
    let put = world.kinesis.put_records().stream_name(&world.stream);
    let put = put.records(entry("k", 5 * MIB)).send().await.unwrap();
    assert_eq!(put.failed_record_count, Some(0));
    assert_eq!(refusal(&world, vec![entry("k", 10 * MIB + 1)]).await, "ValidationException");
}

#[tokio::test]
async fn the_key_counts_towards_the_size_of_a_record() {
    let world = World::new(1).await;
    let put = world.kinesis.put_records().stream_name(&world.stream);
    put.records(entry("kk", MIB - 2)).send().await.unwrap();
    assert_eq!(refusal(&world, vec![entry("kk", MIB - 1)]).await, "ValidationException");
}

#[tokio::test]
async fn an_explicit_hash_key_is_a_plain_number_of_128_bits() {
    let world = World::new(1).await;
    for (key, code) in [
        ("340282366920938463463374607431768211456", "InvalidArgumentException"),
        ("-1", "ValidationException"),
        ("007", "ValidationException"),
        ("half", "ValidationException"),
    ] {
        let entry = PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new("x"));
        let entry = entry.explicit_hash_key(key).build().unwrap();
        assert_eq!(refusal(&world, vec![entry]).await, code, "{key}");
    }
}

#[tokio::test]
async fn one_bad_entry_refuses_the_request_and_nothing_is_written() {
    let world = World::new(1).await;
    assert_eq!(refusal(&world, vec![entry("k", 1), entry("", 1)]).await, "ValidationException");
    let oldest = world.oldest(&world.shards().await[0].shard_id).await;
    assert!(world.read(&oldest).await.records().is_empty());
}

#[tokio::test]
async fn a_read_returns_at_most_10_mb_and_the_limit_asked_for() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    for _ in 0..3 {
        let put = world.kinesis.put_records().stream_name(&world.stream);
        let put = put.set_records(Some(vec![entry("k", MIB / 2); 10]));
        put.send().await.unwrap();
    }
    let shard = world.shards().await.remove(0).shard_id;
    let oldest = world.oldest(&shard).await;
    let read = world.read(&oldest).await;
    assert_eq!(read.records().len(), 19, "20 with their keys are more than 10 MiB");
    let rest = world.read(read.next_shard_iterator().unwrap()).await;
    assert_eq!(rest.records().len(), 11);
    let get = |limit| world.kinesis.get_records().shard_iterator(&oldest).limit(limit).send();
    assert_eq!(get(7).await.unwrap().records().len(), 7);
    for limit in [0, 10_001] {
        let error = get(limit).await.unwrap_err();
        let code = error.as_service_error().and_then(|error| error.code()).map(str::to_owned);
        assert_eq!(code.as_deref(), Some("ValidationException"), "limit {limit}");
    }
}

/// Requests are made one after the other, each once: an SDK that retries would wait on a clock that stands.
async fn throttled() -> Option<(World, Clock)> {
    let settings = KinesisSettings { throttling: true, ..KinesisSettings::default() };
    let clock = Clock::held(NOW_MS);
    let world =
        World::embedded(2, |builder| builder.clock(clock.clone()).kinesis(settings)).await?;
    Some((world, clock))
}

#[tokio::test(start_paused = true)]
async fn a_shard_takes_a_thousand_records_a_second_and_refuses_the_rest_one_by_one() {
    let Some((world, clock)) = throttled().await else { return };
    let put = || {
        let put = world.kinesis.put_records().stream_name(&world.stream);
        put.set_records(Some(vec![entry("a", 10); 500])).send()
    };
    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(put().await.unwrap());
    }
    let counts: Vec<_> = failed.iter().map(|put| put.failed_record_count.unwrap()).collect();
    assert_eq!(counts, [0, 0, 500]);
    let refused = &failed[2].records()[0];
    assert_eq!(refused.error_code(), Some("ProvisionedThroughputExceededException"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(put().await.unwrap().failed_record_count, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_shard_takes_five_reads_a_second() {
    let Some((world, clock)) = throttled().await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let iterator = world.oldest(&shard).await;
    for _ in 0..5 {
        world.read(&iterator).await;
    }
    let sixth = world.kinesis.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    let sixth = sixth.into_service_error();
    assert!(sixth.is_provisioned_throughput_exceeded_exception(), "{sixth:?}");
    clock.advance(Duration::from_secs(1));
    world.read(&iterator).await;
}

#[tokio::test(start_paused = true)]
async fn ten_megabytes_read_block_a_shard_for_five_seconds() {
    let Some((world, clock)) = throttled().await else { return };
    for _ in 0..10 {
        let put = world.kinesis.put_records().stream_name(&world.stream);
        let put = put.records(entry("a", MIB - 1)).send().await.unwrap();
        assert_eq!(put.failed_record_count, Some(0), "a shard takes a mebibyte a second");
        clock.advance(Duration::from_secs(1));
    }
    let iterator = world.oldest(&world.shards().await[0].shard_id).await;
    assert_eq!(world.read(&iterator).await.records().len(), 10);
    clock.advance(Duration::from_millis(4_999));
    let early = world.kinesis.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    let early = early.into_service_error();
    assert!(early.is_provisioned_throughput_exceeded_exception(), "{early:?}");
    clock.advance(Duration::from_millis(1));
    world.read(&iterator).await;
}

#[tokio::test]
async fn what_does_not_exist_is_told_by_name() {
    let world = World::new(1).await;
    let error = world.kinesis.list_shards().stream_name("no-such-stream").send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    assert!(error.to_string().contains("no-such-stream"), "{error}");
    let again = world.kinesis.create_stream().stream_name(&world.stream).shard_count(1);
    let again = again.send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
}
