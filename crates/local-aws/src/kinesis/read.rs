//! Reading a shard by iterators.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{from_seconds, invalid_argument, parse, reply, seconds, validation, within};
use super::hash::HashRange;
use super::sequence::Sequence;
use super::shard::{Shard, ShardId};
use super::stream::{Stream, millis};
use super::token::{self, Iterator};
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

/// Records and bytes of an answer
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
pub(super) const RECORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 10 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetShardIterator {
    #[serde(flatten)]
    stream: StreamRef,
    shard_id: String,
    #[serde(flatten)]
    position: Position,
}

/// Where to begin, as `GetShardIterator` and `SubscribeToShard` say it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Position {
    #[serde(alias = "Type")]
    shard_iterator_type: String,
    #[serde(alias = "SequenceNumber")]
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecordsAnswer<'a> {
    #[serde(flatten)]
    run: &'a Run<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
}

/// A run of records of a shard, and what lies behind it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Run<'a> {
    pub(super) records: Vec<Outgoing<'a>>,
    pub(super) millis_behind_latest: u64,
    /// The children, when the shard is closed and the run reaches its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) child_shards: Option<Vec<Child<'a>>>,
    /// Counter to go on from.
    #[serde(skip)]
    pub(super) next: u64,
    #[serde(skip)]
    bytes: usize,
}

/// A record as it goes out.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outgoing<'a> {
    sequence_number: Sequence,
    approximate_arrival_timestamp: f64,
    data: &'a str,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

/// A shard as the end of a parent tells it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Child<'a> {
    shard_id: ShardId,
    parent_shards: &'a [ShardId],
    hash_key_range: HashRange,
}

impl Kinesis {
    pub(super) fn get_shard_iterator(&self, body: &[u8]) -> Reply {
        let request: GetShardIterator = parse(body)?;
        self.with_stream(&request.stream, |stream, now_ms| {
            stream.check_created(now_ms)?;
            let shard = stream.shard(&request.shard_id)?;
            let from = request.position.counter(stream, shard, now_ms)?;
            let iterator = iterator(stream, shard, from, now_ms);
            Ok(json!({ "ShardIterator": iterator }).to_string())
        })
    }

    pub(super) fn get_records(&self, body: &[u8]) -> Reply {
        let request: GetRecords = parse(body)?;
        let limit = request
            .limit
            .map_or(Ok(RECORDS_MAX), |limit| within("limit", limit, 1, RECORDS_MAX))?;
        let iterator: Iterator = token::decode(&request.shard_iterator)
            .ok_or_else(|| invalid_argument("Invalid ShardIterator."))?;
        self.with_stream(&StreamRef::called(&iterator.stream), |stream, now_ms| {
            if stream.generation != iterator.generation {
                return Err(invalid_argument("Invalid ShardIterator: the stream was made anew."));
            }
            self.check_age(iterator.issued_ms, now_ms)?;
            let id = stream.shard(&iterator.shard)?.id;
            if self.0.settings.throttling {
                throttle_read(stream, id, now_ms)?;
            }
            let shard = stream.shard(&iterator.shard)?;
            let run = run(stream, shard, iterator.from, (limit, BYTES_MAX), now_ms);
            let next = || self::iterator(stream, shard, run.next, now_ms);
            let next_shard_iterator = run.child_shards.is_none().then(next);
            let answer = reply(&GetRecordsAnswer { run: &run, next_shard_iterator })?;
            let bytes = run.bytes;
            if let Some(shard) = stream.shards.get_mut(&id) {
                shard.throttle.read(bytes, now_ms);
            }
            Ok(answer)
        })
    }

    fn check_age(&self, issued_ms: u64, now_ms: u64) -> Result<(), AwsError> {
        let lifetime = millis(self.0.settings.iterator_lifetime);
        if now_ms.saturating_sub(issued_ms) <= lifetime {
            return Ok(());
        }
        let message = format!(
            "Iterator expired. The iterator was created {} ms ago while the lifetime of an iterator is {lifetime} ms.",
            now_ms - issued_ms
        );
        Err(AwsError::bad_request("ExpiredIteratorException", message))
    }
}

fn throttle_read(stream: &mut Stream, id: ShardId, now_ms: u64) -> Result<(), AwsError> {
    let allowed = stream.shards.get_mut(&id).is_none_or(|shard| shard.throttle.may_read(now_ms));
    if allowed {
        return Ok(());
    }
    let message = format!("Rate exceeded for shard {id} in stream {}.", stream.title());
    Err(AwsError::bad_request("ProvisionedThroughputExceededException", message))
}

fn iterator(stream: &Stream, shard: &Shard, from: u64, issued_ms: u64) -> String {
    token::encode(&Iterator {
        stream: stream.name.clone(),
        generation: stream.generation,
        shard: shard.id.to_string(),
        from,
        issued_ms,
    })
}

impl Position {
    /// Lowest counter to return.
    pub(super) fn counter(
        &self,
        stream: &Stream,
        shard: &Shard,
        now_ms: u64,
    ) -> Result<u64, AwsError> {
        match self.shard_iterator_type.as_str() {
            "TRIM_HORIZON" => Ok(0),
            "LATEST" => Ok(shard.tip()),
            "AT_TIMESTAMP" => {
                let at = self.timestamp.map(from_seconds);
                let at = at.ok_or_else(|| {
                    invalid_argument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
                })?;
                if at > now_ms {
                    let message = format!(
                        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {at}, currentTimestampInMillis: {now_ms}"
                    );
                    return Err(invalid_argument(message));
                }
                let first = shard.records.partition_point(|record| record.arrived_ms < at);
                Ok(shard.records.get(first).map_or(shard.tip(), |record| record.counter))
            }
            "AT_SEQUENCE_NUMBER" => self.sequence(stream, shard),
            "AFTER_SEQUENCE_NUMBER" => Ok(self.sequence(stream, shard)? + 1),
            other => Err(validation(
                "shardIteratorType",
                other,
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            )),
        }
    }

    fn sequence(&self, stream: &Stream, shard: &Shard) -> Result<u64, AwsError> {
        let text = self.starting_sequence_number.as_deref().unwrap_or_default();
        Sequence::parse(text).and_then(|sequence| shard.counter(sequence)).ok_or_else(|| {
            invalid_argument(format!(
                "StartingSequenceNumber {text} used in GetShardIterator on shard {} in stream {} is invalid because it did not come from this stream.",
                shard.id,
                stream.title()
            ))
        })
    }
}

/// Records of `shard` from `from` on: up to so many records and bytes.
pub(super) fn run<'a>(
    stream: &'a Stream,
    shard: &'a Shard,
    from: u64,
    (records_max, bytes_max): (usize, usize),
    now_ms: u64,
) -> Run<'a> {
    let start = shard.position(from);
    let encryption_type = stream.encryption_key.as_ref().map(|_| "KMS");
    let (mut bytes, mut next, mut arrived_ms) = (0, from, now_ms);
    let mut records = Vec::new();
    for record in shard.records.range(start..).take(records_max) {
        // A record larger than the limit still goes, alone.
        if bytes > 0 && bytes + record.bytes > bytes_max {
            break;
        }
        bytes += record.bytes;
        (next, arrived_ms) = (record.counter + 1, record.arrived_ms);
        records.push(Outgoing {
            sequence_number: shard.sequence(record.counter, record.arrived_ms),
            approximate_arrival_timestamp: seconds(record.arrived_ms),
            data: &record.data,
            partition_key: &record.partition_key,
            encryption_type,
        });
    }
    let at_end = start + records.len() == shard.records.len();
    let millis_behind_latest = if at_end { 0 } else { now_ms.saturating_sub(arrived_ms) };
    let ended = at_end && !shard.is_open();
    let child_shards = ended.then(|| stream.children(shard.id).map(Child::of).collect());
    Run { records, millis_behind_latest, child_shards, next, bytes }
}

impl<'a> Child<'a> {
    fn of(shard: &'a Shard) -> Self {
        Self { shard_id: shard.id, parent_shards: &shard.parents, hash_key_range: shard.range }
    }
}
