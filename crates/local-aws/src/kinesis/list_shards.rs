//! Listing shards, in pages and by filter.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{from_seconds, invalid_argument, not_found, parse, reply, validation, within};
use super::shard::{Shard, ShardId};
use super::stream::Stream;
use super::token::{self, Page};
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

/// Shards on a page at the most, whatever is asked for
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>).
const PAGE: usize = 1_000;
const MAX_RESULTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    #[serde(flatten)]
    stream: StreamRef,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    shard_filter: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    r#type: String,
    shard_id: Option<String>,
    timestamp: Option<f64>,
}

/// A filter that was checked against the stream.
enum Rule {
    All,
    After(ShardId),
    AtTrimHorizon,
    AtLatest,
    At(u64),
    From(u64),
}

impl Kinesis {
    pub(super) fn list_shards(&self, body: &[u8]) -> Reply {
        let request: ListShards = parse(body)?;
        let max = request.max_results;
        let max = max.map_or(Ok(PAGE), |max| within("maxResults", max, 1, MAX_RESULTS))?.min(PAGE);
        let (named, after, filter) = self.place(request)?;
        self.with_stream(&named, |stream, now_ms| {
            let rule = Rule::read(filter.as_ref(), stream, now_ms)?;
            let after = after.as_deref().map(|id| shard_id(id, stream)).transpose()?;
            let listed = stream.shards.values();
            let listed = listed.filter(|shard| after.is_none_or(|after| shard.id > after));
            let mut listed = listed.filter(|shard| rule.passes(stream, shard));
            let page: Vec<_> = listed.by_ref().take(max).collect();
            let more = listed.next().is_some();
            let mut answer =
                json!({ "Shards": page.iter().map(|shard| shard.to_json()).collect::<Vec<_>>() });
            if let Some(last) = page.last().filter(|_| more) {
                let (stream, after) = (stream.name.clone(), last.id.to_string());
                let page = Page { stream, after, filter, issued_ms: now_ms };
                answer["NextToken"] = json!(token::encode(&page));
            }
            reply(&answer)
        })
    }

    /// Stream, shard to begin after, and filter: of the request, or of the page that it continues.
    fn place(
        &self,
        request: ListShards,
    ) -> Result<(StreamRef, Option<String>, Option<Value>), AwsError> {
        let Some(token) = request.next_token else {
            return Ok((request.stream, request.exclusive_start_shard_id, request.shard_filter));
        };
        let alone = request.stream.stream_name.is_none()
            && request.exclusive_start_shard_id.is_none()
            && request.shard_filter.is_none();
        if !alone {
            return Err(invalid_argument("NextToken and StreamName cannot be provided together."));
        }
        let page = Page::read(&token, self.now_ms(), self.0.settings.iterator_lifetime)?;
        Ok((StreamRef::called(&page.stream), Some(page.after), page.filter))
    }
}

/// The id of a shard that is there or was.
fn shard_id(id: &str, stream: &Stream) -> Result<ShardId, AwsError> {
    ShardId::parse(id)
        .ok_or_else(|| not_found(format!("Shard {id} in stream {} does not exist", stream.title())))
}

impl Rule {
    fn read(filter: Option<&Value>, stream: &Stream, now_ms: u64) -> Result<Self, AwsError> {
        let Some(filter) = filter else { return Ok(Self::All) };
        let filter: Filter = parse(filter.to_string().as_bytes())?;
        // What lies before the horizon is corrected to it.
        let at = || match filter.timestamp.map(from_seconds) {
            None => Err(invalid_argument("Timestamp must be specified for this ShardFilter type.")),
            Some(at_ms) if at_ms <= stream.trim_horizon_ms(now_ms) => Ok(None),
            Some(at_ms) => Ok(Some(at_ms)),
        };
        Ok(match filter.r#type.as_str() {
            "AFTER_SHARD_ID" => {
                let missing = || invalid_argument("ShardId must be specified for AFTER_SHARD_ID.");
                Self::After(shard_id(filter.shard_id.as_deref().ok_or_else(missing)?, stream)?)
            }
            "AT_TRIM_HORIZON" => Self::AtTrimHorizon,
            "FROM_TRIM_HORIZON" => Self::All,
            "AT_LATEST" => Self::AtLatest,
            "AT_TIMESTAMP" => at()?.map_or(Self::AtTrimHorizon, Self::At),
            "FROM_TIMESTAMP" => at()?.map_or(Self::All, Self::From),
            other => {
                let constraint = "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP]";
                return Err(validation("shardFilter.type", other, constraint));
            }
        })
    }

    fn passes(&self, stream: &Stream, shard: &Shard) -> bool {
        match *self {
            Self::All => true,
            Self::After(id) => shard.id > id,
            // Those without parents that still have records: exact even when a parent and its child were made within
            // one millisecond.
            Self::AtTrimHorizon => {
                !shard.parents.iter().any(|parent| stream.shards.contains_key(parent))
            }
            Self::AtLatest => shard.is_open(),
            // Inclusive at both ends, as documented: a record of the instant may be in the parent or in the child.
            Self::At(ms) => {
                shard.opened_ms <= ms && shard.closed_ms.is_none_or(|closed| closed >= ms)
            }
            Self::From(ms) => shard.closed_ms.is_none_or(|closed| closed >= ms),
        }
    }
}
