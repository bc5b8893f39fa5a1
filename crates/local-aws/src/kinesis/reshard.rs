//! Operations that change the shards of a stream.

use serde::Deserialize;
use serde_json::json;

use super::error::{invalid_argument, parse, validation};
use super::stream::Stream;
use super::{Kinesis, Reply, StreamRef};
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
    target_shard_count: i64,
    scaling_type: String,
}

impl Kinesis {
    pub(super) fn split_shard(&self, body: &[u8]) -> Reply {
        let request: SplitShard = parse(body)?;
        let at = super::hash::parse("newStartingHashKey", &request.new_starting_hash_key)?;
        self.reshard(&request.stream, |stream, now_ms| {
            stream.split(&request.shard_to_split, at, now_ms)
        })?;
        Ok("{}".to_owned())
    }

    pub(super) fn merge_shards(&self, body: &[u8]) -> Reply {
        let request: MergeShards = parse(body)?;
        self.reshard(&request.stream, |stream, now_ms| {
            stream.merge(&request.shard_to_merge, &request.adjacent_shard_to_merge, now_ms)
        })?;
        Ok("{}".to_owned())
    }

    pub(super) fn update_shard_count(&self, body: &[u8]) -> Reply {
        let request: UpdateShardCount = parse(body)?;
        if request.scaling_type != "UNIFORM_SCALING" {
            let constraint = "Member must satisfy enum value set: [UNIFORM_SCALING]";
            return Err(validation("scalingType", &request.scaling_type, constraint));
        }
        let answer = self.reshard(&request.stream, |stream, now_ms| {
            let current = stream.open_count();
            let target = count(request.target_shard_count, current)?;
            stream.update_count(target, now_ms);
            Ok(json!({
                "StreamName": stream.name,
                "StreamARN": stream.arn,
                "CurrentShardCount": current,
                "TargetShardCount": target,
            }))
        })?;
        Ok(answer.to_string())
    }

    /// Does `act`; the stream is UPDATING afterwards, unless `act` was refused.
    fn reshard<T>(
        &self,
        named: &StreamRef,
        act: impl FnOnce(&mut Stream, u64) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        self.with_stream(named, |stream, now_ms| {
            if stream.on_demand {
                let message =
                    format!("Request is invalid. Stream {} is in On-Demand mode.", stream.title());
                return Err(AwsError::bad_request("ValidationException", message));
            }
            stream.check_active(now_ms)?;
            let done = act(stream, now_ms)?;
            stream.update(now_ms, self.0.settings.updating);
            Ok(done)
        })
    }
}

/// The target, unless it lies beyond double or below half
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html>).
fn count(target: i64, current: usize) -> Result<u32, AwsError> {
    let wanted = u32::try_from(target).ok().filter(|target| *target > 0);
    let wanted = wanted.ok_or_else(|| {
        let constraint = "Member must have value greater than or equal to 1";
        validation("targetShardCount", &target.to_string(), constraint)
    })?;
    let beyond = match usize::try_from(wanted).unwrap_or(usize::MAX) {
        target if target > current * 2 => "up over double",
        target if target * 2 < current => "down below half",
        _ => return Ok(wanted),
    };
    let message = format!(
        "UpdateShardCount cannot scale {beyond} your current open shard count. Current open shard count: {current} Target shard count: {target}"
    );
    Err(invalid_argument(message))
}
