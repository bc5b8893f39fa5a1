//! Reading a shard by iterators.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sequence::Sequence;
use super::stream::{Record, Shard, Stream, millis};
use super::token::{self, Iterator};
use super::{
    Kinesis, Reply, StreamRef, from_seconds, invalid_argument, parse, seconds, validation,
};
use crate::wire::AwsError;

/// Records and bytes of an answer
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>).
pub(super) const RECORDS_MAX: usize = 10_000;
pub(super) const BYTES_MAX: usize = 10 << 20;

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

/// A record as it goes out.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outgoing<'a> {
    sequence_number: String,
    approximate_arrival_timestamp: f64,
    data: &'a str,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

/// A run of records of a shard, and what lies behind it.
pub(super) struct Run {
    pub(super) records: Value,
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Counter to go on from.
    pub(super) next: u64,
    pub(super) millis_behind: u64,
    /// The children, when the shard is closed and the run reaches its end.
    pub(super) children: Option<Value>,
}

impl Kinesis {
    pub(super) fn get_shard_iterator(&self, body: &[u8]) -> Reply {
        let request: GetShardIterator = parse(body)?;
        self.with_stream(&request.stream, |stream, now_ms| {
            let shard = stream.shard(&request.shard_id)?;
            let from = request.position.counter(stream, shard, now_ms)?;
            let iterator = iterator(stream, &shard.id, from, now_ms);
            Ok(json!({ "ShardIterator": iterator }).to_string())
        })
    }

    pub(super) fn get_records(&self, body: &[u8]) -> Reply {
        let request: GetRecords = parse(body)?;
        let limit = request.limit.map_or(Some(RECORDS_MAX), |limit| usize::try_from(limit).ok());
        let Some(limit) = limit.filter(|limit| (1..=RECORDS_MAX).contains(limit)) else {
            let constraint = "Member must have value between 1 and 10000";
            return Err(validation("limit", &json!(request.limit).to_string(), constraint));
        };
        let iterator: Iterator = token::decode(&request.shard_iterator)
            .ok_or_else(|| invalid_argument("Invalid ShardIterator."))?;
        let named = StreamRef { stream_name: Some(iterator.stream.clone()), stream_arn: None };
        self.with_stream(&named, |stream, now_ms| {
            if stream.created_ms != iterator.stream_created_ms {
                return Err(invalid_argument("Invalid ShardIterator: the stream was made anew."));
            }
            self.check_age(iterator.issued_ms, now_ms)?;
            if self.0.settings.throttling {
                self.throttle_read(stream, &iterator.shard, now_ms)?;
            }
            let shard = stream.shard(&iterator.shard)?;
            let run = run(stream, shard, iterator.from, limit, now_ms);
            let mut answer = json!({
                "Records": run.records,
                "MillisBehindLatest": run.millis_behind,
            });
            match run.children {
                Some(children) => answer["ChildShards"] = children,
                None => {
                    let next = self::iterator(stream, &iterator.shard, run.next, now_ms);
                    answer["NextShardIterator"] = json!(next);
                }
            }
            if let Some(shard) = stream.shards.get_mut(&iterator.shard) {
                shard.throttle.read(run.bytes, now_ms);
            }
            Ok(answer.to_string())
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

    fn throttle_read(&self, stream: &mut Stream, id: &str, now_ms: u64) -> Result<(), AwsError> {
        let allowed = stream.shards.get_mut(id).is_none_or(|shard| shard.throttle.may_read(now_ms));
        if allowed {
            return Ok(());
        }
        let (name, account) = (&stream.name, &self.0.account);
        let message =
            format!("Rate exceeded for shard {id} in stream {name} under account {account}.");
        Err(AwsError::bad_request("ProvisionedThroughputExceededException", message))
    }
}

fn iterator(stream: &Stream, shard: &str, from: u64, issued_ms: u64) -> String {
    token::encode(&Iterator {
        stream: stream.name.clone(),
        stream_created_ms: stream.created_ms,
        shard: shard.to_owned(),
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
            "TRIM_HORIZON" => Ok(shard.first.counter),
            "LATEST" => Ok(stream.tip()),
            "AT_TIMESTAMP" => {
                let at = self.timestamp.map(from_seconds);
                let at = at.ok_or_else(|| invalid_argument("AT_TIMESTAMP needs a Timestamp."))?;
                if at > now_ms {
                    let message = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis.";
                    return Err(invalid_argument(message));
                }
                let first = shard.records.iter().find(|record| record.sequence.ms >= at);
                Ok(first.map_or(stream.tip(), |record| record.sequence.counter))
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
        let last = shard.last.map_or(stream.tip(), |last| last.counter);
        let sequence = Sequence::parse(text).map(|sequence| sequence.counter);
        sequence.filter(|at| (shard.first.counter..=last).contains(at)).ok_or_else(|| {
            let message = format!("StartingSequenceNumber {text} used in GetShardIterator on shard {} in stream {} is invalid.", shard.id, stream.name);
            invalid_argument(message)
        })
    }
}

/// Records of `shard` from `from` on, within the limits of one answer.
pub(super) fn run(stream: &Stream, shard: &Shard, from: u64, limit: usize, now_ms: u64) -> Run {
    let start = shard.position(from);
    let encryption_type = stream.encryption_key.as_ref().map(|_| "KMS");
    let (mut bytes, mut outgoing) = (0, Vec::new());
    for record in shard.records.range(start..).take(limit) {
        // A record larger than the limit still goes, alone.
        if bytes > 0 && bytes + record.bytes > BYTES_MAX {
            break;
        }
        bytes += record.bytes;
        outgoing.push(record.outgoing(encryption_type));
    }
    let (count, end) = (outgoing.len(), start + outgoing.len());
    let last = (count > 0).then(|| &shard.records[end - 1]);
    let at_end = end == shard.records.len();
    let next = match last {
        Some(last) => last.sequence.counter + 1,
        None => from,
    };
    let millis_behind = match last {
        Some(last) if !at_end => now_ms.saturating_sub(last.sequence.ms),
        _ => 0,
    };
    let ended = at_end && !shard.is_open();
    Run {
        records: json!(outgoing),
        count,
        bytes,
        next,
        millis_behind,
        children: ended.then(|| children(stream, &shard.id)),
    }
}

fn children(stream: &Stream, id: &str) -> Value {
    let children = stream.shards.values().filter(|shard| shard.is_child_of(id));
    let children = children.map(|shard| {
        let parents: Vec<_> =
            [&shard.parent, &shard.adjacent_parent].into_iter().flatten().collect();
        json!({
            "ShardId": shard.id,
            "ParentShards": parents,
            "HashKeyRange": shard.range.to_json(),
        })
    });
    children.collect()
}

impl Record {
    fn outgoing(&self, encryption_type: Option<&'static str>) -> Outgoing<'_> {
        Outgoing {
            sequence_number: self.sequence.to_string(),
            approximate_arrival_timestamp: seconds(self.sequence.ms),
            data: &self.data,
            partition_key: &self.partition_key,
            encryption_type,
        }
    }
}
