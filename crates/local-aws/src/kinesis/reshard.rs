//! Operations that change the shards of a stream.

use serde::Deserialize;
use serde_json::json;

use super::{Kinesis, Reply, StreamRef, invalid_argument, parse};
use crate::wire::AwsError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SplitShard {
    #[serde(flatten)]
    stream: StreamRef,
    shard_to_split: String,
    new_starting_hash_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MergeShards {
    #[serde(flatten)]
    stream: StreamRef,
    shard_to_merge: String,
    adjacent_shard_to_merge: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateShardCount {
    #[serde(flatten)]
    stream: StreamRef,
    target_shard_count: u32,
    scaling_type: String,
}

impl Kinesis {
    pub(super) fn split_shard(&self, body: &[u8]) -> Reply {
        let request: SplitShard = parse(body)?;
        let at = request.new_starting_hash_key.parse().map_err(|_| {
            invalid_argument(format!("Invalid hash key {}", request.new_starting_hash_key))
        })?;
        self.with_stream(&request.stream, |stream, now_ms| {
            stream.begin_update(now_ms, self.0.settings.updating)?;
            stream.split(&request.shard_to_split, at, now_ms)?;
            Ok("{}".to_owned())
        })
    }

    pub(super) fn merge_shards(&self, body: &[u8]) -> Reply {
        let request: MergeShards = parse(body)?;
        self.with_stream(&request.stream, |stream, now_ms| {
            stream.begin_update(now_ms, self.0.settings.updating)?;
            stream.merge(&request.shard_to_merge, &request.adjacent_shard_to_merge, now_ms)?;
            Ok("{}".to_owned())
        })
    }

    pub(super) fn update_shard_count(&self, body: &[u8]) -> Reply {
        let request: UpdateShardCount = parse(body)?;
        if request.scaling_type != "UNIFORM_SCALING" {
            return Err(invalid_argument("ScalingType must be UNIFORM_SCALING."));
        }
        let target = request.target_shard_count;
        self.with_stream(&request.stream, |stream, now_ms| {
            let current = u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX);
            if target == 0 || target > current * 2 || target * 2 < current {
                return Err(refused_count(current, target));
            }
            stream.begin_update(now_ms, self.0.settings.updating)?;
            stream.update_count(target, now_ms)?;
            let answer = json!({
                "StreamName": stream.name,
                "StreamARN": stream.arn,
                "CurrentShardCount": current,
                "TargetShardCount": target,
            });
            Ok(answer.to_string())
        })
    }
}

/// Not beyond double and not below half
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>).
fn refused_count(current: u32, target: u32) -> AwsError {
    let message = format!(
        "UpdateShardCount cannot scale from {current} to {target}: at most double and at least half the current open shard count."
    );
    invalid_argument(message)
}
