//! Listing shards, in pages and by filter.

use serde::Deserialize;
use serde_json::{Value, json};

use super::stream::{Shard, Stream, millis};
use super::token::{self, Page};
use super::{Kinesis, Reply, StreamRef, from_seconds, invalid_argument, parse, validation};
use crate::wire::AwsError;

/// Shards on a page unless asked otherwise
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>).
const PAGE: usize = 1_000;
const PAGE_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    #[serde(flatten)]
    stream: StreamRef,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<usize>,
    shard_filter: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    r#type: String,
    shard_id: Option<String>,
    timestamp: Option<f64>,
}

impl Kinesis {
    pub(super) fn list_shards(&self, body: &[u8]) -> Reply {
        let request: ListShards = parse(body)?;
        let max = request.max_results.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&max) {
            let constraint = "Member must have value between 1 and 10000";
            return Err(validation("maxResults", &max.to_string(), constraint));
        }
        let (named, after, filter) = self.place(request)?;
        self.with_stream(&named, |stream, now_ms| {
            let rule = filter.clone().map(|filter| parse::<Filter>(filter.to_string().as_bytes()));
            let rule = rule.transpose()?;
            let mut shards = Vec::new();
            for shard in stream.shards.values().filter(|shard| shard.id > after) {
                let passes =
                    rule.as_ref().map_or(Ok(true), |rule| rule.passes(stream, shard, now_ms));
                if passes? {
                    shards.push(shard);
                }
            }
            let page: Vec<_> = shards.iter().take(max).map(|shard| shard.to_json()).collect();
            let mut answer = json!({ "Shards": page });
            if shards.len() > max {
                let stream = stream.name.clone();
                let after_shard = shards[max - 1].id.clone();
                let page = Page { stream, after_shard, filter, issued_ms: now_ms };
                answer["NextToken"] = json!(token::encode(&page));
            }
            Ok(answer.to_string())
        })
    }

    /// Stream, shard to begin after, and filter: of the request, or of the page that it continues.
    fn place(&self, request: ListShards) -> Result<(StreamRef, String, Option<Value>), AwsError> {
        let Some(token) = request.next_token else {
            let after = request.exclusive_start_shard_id.unwrap_or_default();
            return Ok((request.stream, after, request.shard_filter));
        };
        let alone = request.stream.stream_name.is_none()
            && request.exclusive_start_shard_id.is_none()
            && request.shard_filter.is_none();
        if !alone {
            return Err(invalid_argument("NextToken and StreamName cannot be provided together."));
        }
        let page: Page =
            token::decode(&token).ok_or_else(|| invalid_argument("Invalid NextToken."))?;
        let age_ms = self.now_ms().saturating_sub(page.issued_ms);
        if age_ms > millis(self.0.settings.iterator_lifetime) {
            let message = "The pagination token passed to the operation is expired.";
            return Err(AwsError::bad_request("ExpiredNextTokenException", message));
        }
        let named = StreamRef { stream_name: Some(page.stream), stream_arn: None };
        Ok((named, page.after_shard, page.filter))
    }
}

impl Filter {
    fn passes(&self, stream: &Stream, shard: &Shard, now_ms: u64) -> Result<bool, AwsError> {
        let horizon = stream.created_ms.max(stream.horizon_ms(now_ms));
        let at = || {
            let at = self.timestamp.map(from_seconds);
            at.ok_or_else(|| invalid_argument("The shard filter needs a Timestamp."))
        };
        // A shard closed at an instant is followed at that instant by its children.
        let open_at = |ms| shard.first.ms <= ms && shard.last.is_none_or(|last| last.ms > ms);
        let open_from = |ms| shard.last.is_none_or(|last| last.ms > ms);
        Ok(match self.r#type.as_str() {
            "AFTER_SHARD_ID" => {
                let id = self.shard_id.as_ref();
                shard.id
                    > *id.ok_or_else(|| invalid_argument("The shard filter needs a ShardId."))?
            }
            "AT_TRIM_HORIZON" => open_at(horizon),
            "FROM_TRIM_HORIZON" => true,
            "AT_LATEST" => shard.is_open(),
            "AT_TIMESTAMP" => open_at(at()?),
            "FROM_TIMESTAMP" => open_from(at()?),
            other => {
                let constraint = "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP]";
                return Err(validation("shardFilter.type", other, constraint));
            }
        })
    }
}
