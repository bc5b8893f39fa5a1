//! Streams as a whole: made, described, changed, deleted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::stream::Stream;
use super::write::encryption;
use super::{
    Kinesis, Reply, StreamRef, invalid_argument, parse, resource_in_use, seconds, validation,
};
use crate::wire::AwsError;

/// Shards of a new stream: the default quota of the large regions.
const SHARDS_MAX: u32 = 20_000;
const RETENTION_MIN_H: u32 = 24;
const RETENTION_MAX_H: u32 = 8_760;
/// An on-demand stream begins with this many shards.
const ON_DEMAND_SHARDS: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateStream {
    stream_name: String,
    shard_count: Option<u32>,
    stream_mode_details: Option<ModeDetails>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: String,
}

/// The requests below differ in one field or two; what an operation does not know is not there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    #[serde(flatten)]
    stream: StreamRef,
    retention_period_hours: Option<u32>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<usize>,
    key_id: Option<String>,
    stream_mode_details: Option<ModeDetails>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreams {
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

impl Kinesis {
    pub(super) fn create_stream(&self, body: &[u8]) -> Reply {
        let request: CreateStream = parse(body)?;
        let name = &request.stream_name;
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
            let constraint = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            return Err(validation("streamName", name, constraint));
        }
        let mode = request.stream_mode_details.map(|mode| mode.stream_mode);
        let on_demand = mode.is_some_and(|mode| mode == "ON_DEMAND");
        let shards = if on_demand { Some(ON_DEMAND_SHARDS) } else { request.shard_count };
        let shards = shards.unwrap_or(1);
        if !(1..=SHARDS_MAX).contains(&shards) {
            let constraint = "Member must have value between 1 and 20000";
            return Err(validation("shardCount", &shards.to_string(), constraint));
        }
        let arn = format!("arn:aws:kinesis:{}:{}:stream/{name}", self.0.region, self.0.account);
        let mut streams = self.streams();
        if streams.contains_key(name) {
            let account = &self.0.account;
            return Err(resource_in_use(format!(
                "Stream {name} under account {account} already exists."
            )));
        }
        let mut stream = Stream::new(name, arn, shards, self.now_ms(), self.0.settings.updating);
        stream.on_demand = on_demand;
        stream.tags = request.tags;
        streams.insert(name.clone(), stream);
        Ok("{}".to_owned())
    }

    pub(super) fn delete_stream(&self, body: &[u8]) -> Reply {
        let named: StreamRef = parse(body)?;
        let name = self.with_stream(&named, |stream, _| Ok(stream.name.clone()))?;
        self.streams().remove(&name);
        Ok("{}".to_owned())
    }

    pub(super) fn describe_stream(&self, body: &[u8]) -> Reply {
        let named: StreamRef = parse(body)?;
        self.with_stream(&named, |stream, now_ms| {
            let mut description = describe(stream, now_ms);
            let shards: Vec<_> =
                stream.shards.values().map(super::stream::Shard::to_json).collect();
            description["Shards"] = json!(shards);
            description["HasMoreShards"] = json!(false);
            Ok(json!({ "StreamDescription": description }).to_string())
        })
    }

    pub(super) fn describe_stream_summary(&self, body: &[u8]) -> Reply {
        let named: StreamRef = parse(body)?;
        self.with_stream(&named, |stream, now_ms| {
            let mut description = describe(stream, now_ms);
            description["OpenShardCount"] = json!(stream.open_shards().count());
            description["ConsumerCount"] = json!(stream.consumers.len());
            description["MaxRecordSizeInKiB"] = json!(stream.record_bytes_max >> 10);
            Ok(json!({ "StreamDescriptionSummary": description }).to_string())
        })
    }

    pub(super) fn describe_limits(&self) -> Reply {
        let streams = self.streams();
        let open: usize = streams.values().map(|stream| stream.open_shards().count()).sum();
        let on_demand = streams.values().filter(|stream| stream.on_demand).count();
        let answer = json!({
            "ShardLimit": SHARDS_MAX,
            "OpenShardCount": open,
            "OnDemandStreamCount": on_demand,
            "OnDemandStreamCountLimit": 50,
        });
        Ok(answer.to_string())
    }

    pub(super) fn list_streams(&self, body: &[u8]) -> Reply {
        let request: ListStreams = parse(body)?;
        let after = request.next_token.or(request.exclusive_start_stream_name).unwrap_or_default();
        let limit = request.limit.unwrap_or(100);
        let streams = self.streams();
        let mut names: Vec<_> = streams.keys().filter(|name| **name > after).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut answer = json!({ "StreamNames": names, "HasMoreStreams": more });
        if more {
            answer["NextToken"] = json!(names.last());
        }
        Ok(answer.to_string())
    }

    pub(super) fn change_retention(&self, body: &[u8], up: bool) -> Reply {
        self.change(body, |stream, change| {
            let hours = change.retention_period_hours.unwrap_or_default();
            let grows = if up { hours >= stream.retention_h } else { hours <= stream.retention_h };
            if !(RETENTION_MIN_H..=RETENTION_MAX_H).contains(&hours) || !grows {
                let message = format!(
                    "Requested retention period ({hours} hours) must lie between 24 and 8760 hours and on the right side of the current {} hours.",
                    stream.retention_h
                );
                return Err(invalid_argument(message));
            }
            stream.retention_h = hours;
            Ok(())
        })
    }

    pub(super) fn update_max_record_size(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, change| {
            let kib = change.max_record_size_in_kib.unwrap_or_default();
            if !(1_024..=10_240).contains(&kib) {
                let constraint = "Member must have value between 1024 and 10240";
                return Err(validation("maxRecordSizeInKiB", &kib.to_string(), constraint));
            }
            stream.record_bytes_max = kib << 10;
            Ok(())
        })
    }

    pub(super) fn update_stream_mode(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, change| {
            let mode = change.stream_mode_details.as_ref().map(|mode| mode.stream_mode.as_str());
            stream.on_demand = mode == Some("ON_DEMAND");
            Ok(())
        })
    }

    pub(super) fn start_stream_encryption(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, change| {
            let missing = || invalid_argument("KeyId is missing.");
            stream.encryption_key = Some(change.key_id.clone().ok_or_else(missing)?);
            Ok(())
        })
    }

    pub(super) fn stop_stream_encryption(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, _| {
            stream.encryption_key = None;
            Ok(())
        })
    }

    pub(super) fn add_tags(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, change| {
            stream.tags.extend(change.tags.clone());
            Ok(())
        })
    }

    pub(super) fn remove_tags(&self, body: &[u8]) -> Reply {
        self.change(body, |stream, change| {
            stream.tags.retain(|key, _| !change.tag_keys.contains(key));
            Ok(())
        })
    }

    pub(super) fn list_tags(&self, body: &[u8]) -> Reply {
        let named: StreamRef = parse(body)?;
        self.with_stream(&named, |stream, _| {
            let tag = |(key, value)| json!({ "Key": key, "Value": value });
            let tags: Vec<_> = stream.tags.iter().map(tag).collect();
            Ok(json!({ "Tags": tags, "HasMoreTags": false }).to_string())
        })
    }

    fn change(
        &self,
        body: &[u8],
        act: impl FnOnce(&mut Stream, &Change) -> Result<(), AwsError>,
    ) -> Reply {
        let change: Change = parse(body)?;
        self.with_stream(&change.stream, |stream, _| act(stream, &change))?;
        Ok("{}".to_owned())
    }
}

fn describe(stream: &Stream, now_ms: u64) -> Value {
    let mode = if stream.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
    let mut description = json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status(now_ms),
        "StreamModeDetails": { "StreamMode": mode },
        "RetentionPeriodHours": stream.retention_h,
        "StreamCreationTimestamp": seconds(stream.created_ms),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": encryption(stream),
    });
    if let Some(key) = &stream.encryption_key {
        description["KeyId"] = json!(key);
    }
    description
}
