//! Streams as a whole: made, described, listed, deleted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::configure::{ModeDetails, record_bytes};
use super::error::{
    legal_name, limit_exceeded, not_served, parse, reply, resource_in_use, seconds, validation,
    within,
};
use super::shard::{Shard, ShardId};
use super::stream::Stream;
use super::write::encryption;
use super::{Kinesis, Reply, StreamRef};

/// Open shards of an account: the default quota of the large regions
/// (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>).
const SHARDS_MAX: u32 = 20_000;
const ON_DEMAND_STREAMS_MAX: u32 = 50;
/// An on-demand stream begins with this many shards.
const ON_DEMAND_SHARDS: u32 = 4;
/// Shards or streams on a page, unless asked otherwise and at the most
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStream.html>).
const PAGE: usize = 100;
const LIMIT_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateStream {
    stream_name: String,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    record_distribution_strategy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteStream {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(default)]
    enforce_consumer_deletion: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStream {
    #[serde(flatten)]
    stream: StreamRef,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreams {
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

impl Kinesis {
    pub(super) fn create_stream(&self, body: &[u8]) -> Reply {
        let request: CreateStream = parse(body)?;
        let name = legal_name("streamName", &request.stream_name)?;
        if request.record_distribution_strategy.is_some_and(|s| s != "USER_PARTITION_KEY") {
            return Err(not_served("RecordDistributionStrategy AUTO"));
        }
        let on_demand = request.stream_mode_details.map(|mode| mode.on_demand()).transpose()?;
        let on_demand = on_demand.unwrap_or_default();
        let asked = if on_demand { None } else { request.shard_count };
        let shards = asked.unwrap_or(if on_demand { ON_DEMAND_SHARDS.into() } else { 1 });
        let shards = u32::try_from(shards).ok().filter(|shards| *shards > 0).ok_or_else(|| {
            let constraint = "Member must have value greater than or equal to 1";
            validation("shardCount", &shards.to_string(), constraint)
        })?;
        let record_bytes_max = request.max_record_size_in_kib.map(record_bytes).transpose()?;
        let now_ms = self.now_ms();
        let mut state = self.state();
        if let Some(stream) = state.streams.get(name) {
            return Err(resource_in_use(format!("Stream {} already exists.", stream.title())));
        }
        let open: usize = state.streams.values().map(Stream::open_count).sum();
        if open + shards as usize > SHARDS_MAX as usize {
            return Err(limit_exceeded(format!(
                "This request would exceed the shard limit for the account {}. Current shard count for the account: {open}. Limit: {SHARDS_MAX}. Number of additional shards that would have resulted from this request: {shards}.",
                self.0.account
            )));
        }
        state.made += 1;
        let origin = self.origin(name, state.made);
        let mut stream = Stream::new(&origin, shards, now_ms, self.0.settings.updating);
        stream.on_demand = on_demand;
        stream.tags = request.tags;
        stream.record_bytes_max = record_bytes_max.unwrap_or(stream.record_bytes_max);
        state.streams.insert(name.to_owned(), stream);
        Ok("{}".to_owned())
    }

    pub(super) fn delete_stream(&self, body: &[u8]) -> Reply {
        let request: DeleteStream = parse(body)?;
        let name = self.with_stream(&request.stream, |stream, _| {
            if !stream.consumers.is_empty() && !request.enforce_consumer_deletion {
                let message = format!(
                    "Stream {} has consumers registered: set EnforceConsumerDeletion.",
                    stream.title()
                );
                return Err(resource_in_use(message));
            }
            Ok(stream.name.clone())
        })?;
        self.state().streams.remove(&name);
        Ok("{}".to_owned())
    }

    pub(super) fn describe_stream(&self, body: &[u8]) -> Reply {
        let request: DescribeStream = parse(body)?;
        let limit = request.limit;
        let limit = limit.map_or(Ok(PAGE), |limit| within("limit", limit, 1, LIMIT_MAX))?;
        let after = request.exclusive_start_shard_id.as_deref().and_then(ShardId::parse);
        self.with_stream(&request.stream, |stream, now_ms| {
            let listed = stream.shards.values();
            let mut listed = listed.filter(|shard| after.is_none_or(|after| shard.id > after));
            let shards: Vec<_> =
                listed.by_ref().take(limit.min(PAGE)).map(Shard::to_json).collect();
            let mut description = describe(stream, now_ms);
            description["Shards"] = json!(shards);
            description["HasMoreShards"] = json!(listed.next().is_some());
            reply(&json!({ "StreamDescription": description }))
        })
    }

    pub(super) fn describe_stream_summary(&self, body: &[u8]) -> Reply {
        let named: StreamRef = parse(body)?;
        self.with_stream(&named, |stream, now_ms| {
            let mut description = describe(stream, now_ms);
            description["OpenShardCount"] = json!(stream.open_count());
            description["ConsumerCount"] = json!(stream.consumers.len());
            description["MaxRecordSizeInKiB"] = json!(stream.record_bytes_max >> 10);
            if stream.on_demand {
                description["RecordDistributionStrategy"] = json!("USER_PARTITION_KEY");
            }
            reply(&json!({ "StreamDescriptionSummary": description }))
        })
    }

    pub(super) fn describe_limits(&self) -> Reply {
        let state = self.state();
        let open: usize = state.streams.values().map(Stream::open_count).sum();
        let on_demand = state.streams.values().filter(|stream| stream.on_demand).count();
        reply(&json!({
            "ShardLimit": SHARDS_MAX,
            "OpenShardCount": open,
            "OnDemandStreamCount": on_demand,
            "OnDemandStreamCountLimit": ON_DEMAND_STREAMS_MAX,
        }))
    }

    pub(super) fn list_streams(&self, body: &[u8]) -> Reply {
        let request: ListStreams = parse(body)?;
        let after = request.next_token.or(request.exclusive_start_stream_name).unwrap_or_default();
        let limit = request.limit;
        let limit = limit.map_or(Ok(PAGE), |limit| within("limit", limit, 1, LIMIT_MAX))?;
        let now_ms = self.now_ms();
        let state = self.state();
        let mut listed = state.streams.values().filter(|stream| stream.name > after);
        let page: Vec<_> = listed.by_ref().take(limit).collect();
        let more = listed.next().is_some();
        let names: Vec<_> = page.iter().map(|stream| &stream.name).collect();
        let summaries: Vec<_> = page.iter().map(|stream| summarize(stream, now_ms)).collect();
        let mut answer = json!({
            "StreamNames": names,
            "StreamSummaries": summaries,
            "HasMoreStreams": more,
        });
        if let Some(last) = names.last().filter(|_| more) {
            answer["NextToken"] = json!(last);
        }
        reply(&answer)
    }
}

fn summarize(stream: &Stream, now_ms: u64) -> Value {
    let mode = if stream.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
    json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status(now_ms),
        "StreamModeDetails": { "StreamMode": mode },
        "StreamCreationTimestamp": seconds(stream.created_ms),
    })
}

fn describe(stream: &Stream, now_ms: u64) -> Value {
    let mut description = summarize(stream, now_ms);
    description["RetentionPeriodHours"] = json!(stream.retention_h);
    description["EnhancedMonitoring"] = json!([{ "ShardLevelMetrics": [] }]);
    description["EncryptionType"] = json!(encryption(stream));
    if let Some(key) = &stream.encryption_key {
        description["KeyId"] = json!(key);
    }
    description
}
