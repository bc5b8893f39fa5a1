//! Writing records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::{invalid_argument, not_served, parse, reply, validation};
use super::hash::{self, hash_key};
use super::sequence::Sequence;
use super::shard::ShardId;
use super::stream::Stream;
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

/// Records and bytes in a request
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
const RECORDS_MAX: usize = 500;
const REQUEST_BYTES_MAX: usize = 10 << 20;
const PARTITION_KEY_MAX: usize = 256;

/// The fields of the stream stand in the structures below, not in a flattened one: that would buffer every record.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    records: Vec<Entry>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    data: Box<str>,
    partition_key: Box<str>,
    explicit_hash_key: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: Box<str>,
    partition_key: Box<str>,
    explicit_hash_key: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordAnswer {
    shard_id: ShardId,
    sequence_number: Sequence,
    encryption_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsAnswer {
    failed_record_count: usize,
    records: Vec<Outcome>,
    encryption_type: &'static str,
}

/// What became of an entry.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "PascalCase")]
    Accepted { sequence_number: Sequence, shard_id: ShardId },
    #[serde(rename_all = "PascalCase")]
    Refused { error_code: String, error_message: String },
}

/// An entry that was checked.
struct Checked {
    hash_key: u128,
    /// Of data and partition key.
    bytes: usize,
    entry: Entry,
}

/// Checks entries, with one buffer for the data of all.
struct Checker {
    record_bytes_max: usize,
    decoded: Vec<u8>,
}

impl Kinesis {
    pub(super) fn put_record(&self, body: &[u8]) -> Reply {
        let request: PutRecord = parse(body)?;
        if request.dry_run {
            return Err(not_served("DryRun"));
        }
        let PutRecord { stream_name, stream_arn, data, partition_key, explicit_hash_key, .. } =
            request;
        let entry = Entry { data, partition_key, explicit_hash_key };
        self.with_stream(&StreamRef { stream_name, stream_arn }, |stream, now_ms| {
            stream.check_created(now_ms)?;
            let checked = Checker::new(stream).check(None, entry)?;
            let (shard_id, sequence_number) = self.write(stream, checked, now_ms)?;
            stream.changed.send_replace(());
            reply(&PutRecordAnswer {
                shard_id,
                sequence_number,
                encryption_type: encryption(stream),
            })
        })
    }

    pub(super) fn put_records(&self, body: &[u8]) -> Reply {
        let PutRecords { stream_name, stream_arn, records, dry_run } = parse(body)?;
        if dry_run {
            return Err(not_served("DryRun"));
        }
        let constraint = match records.len() {
            0 => Some("greater than or equal to 1"),
            count if count > RECORDS_MAX => Some("less than or equal to 500"),
            _ => None,
        };
        if let Some(constraint) = constraint {
            let value = format!("{} records", records.len());
            let constraint = format!("Member must have length {constraint}");
            return Err(validation("records", &value, &constraint));
        }
        self.with_stream(&StreamRef { stream_name, stream_arn }, |stream, now_ms| {
            stream.check_created(now_ms)?;
            let mut checker = Checker::new(stream);
            let check = |(index, entry)| checker.check(Some(index), entry);
            let checked: Vec<_> =
                records.into_iter().enumerate().map(check).collect::<Result<_, _>>()?;
            if checked.iter().map(|checked| checked.bytes).sum::<usize>() > REQUEST_BYTES_MAX {
                return Err(invalid_argument("Records size exceeds 10 MB limit"));
            }
            let write = |checked| match self.write(stream, checked, now_ms) {
                Ok((shard_id, sequence_number)) => Outcome::Accepted { sequence_number, shard_id },
                Err(AwsError { code, message, .. }) => {
                    Outcome::Refused { error_code: code, error_message: message }
                }
            };
            let records: Vec<_> = checked.into_iter().map(write).collect();
            stream.changed.send_replace(());
            let refused = |outcome: &&Outcome| matches!(outcome, Outcome::Refused { .. });
            reply(&PutRecordsAnswer {
                failed_record_count: records.iter().filter(refused).count(),
                records,
                encryption_type: encryption(stream),
            })
        })
    }

    fn write(
        &self,
        stream: &mut Stream,
        checked: Checked,
        now_ms: u64,
    ) -> Result<(ShardId, Sequence), AwsError> {
        let Checked { hash_key, bytes, entry } = checked;
        let shard = stream.open_at(hash_key).and_then(|id| stream.shards.get_mut(&id));
        let Some(shard) = shard else {
            let message = format!("No open shard of stream {} serves {hash_key}.", stream.title());
            return Err(AwsError::bad_request("InternalFailure", message));
        };
        if self.0.settings.throttling && !shard.throttle.may_write(bytes, now_ms) {
            let id = shard.id;
            let message = format!("Rate exceeded for shard {id} in stream {}.", stream.title());
            return Err(AwsError::bad_request("ProvisionedThroughputExceededException", message));
        }
        let sequence = shard.append(entry.partition_key, entry.data, bytes, now_ms);
        Ok((shard.id, sequence))
    }
}

pub(super) fn encryption(stream: &Stream) -> &'static str {
    if stream.encryption_key.is_some() { "KMS" } else { "NONE" }
}

impl Checker {
    fn new(stream: &Stream) -> Self {
        Self { record_bytes_max: stream.record_bytes_max, decoded: Vec::new() }
    }

    /// Checks an entry: the only one, or that of an index.
    fn check(&mut self, index: Option<usize>, entry: Entry) -> Result<Checked, AwsError> {
        let member = |name: &str| match index {
            Some(index) => format!("records.{}.member.{name}", index + 1),
            None => name.to_owned(),
        };
        let key = &entry.partition_key;
        let constraint = match key.chars().count() {
            0 => Some("greater than or equal to 1"),
            length if length > PARTITION_KEY_MAX => Some("less than or equal to 256"),
            _ => None,
        };
        if let Some(constraint) = constraint {
            let constraint = format!("Member must have length {constraint}");
            return Err(validation(&member("partitionKey"), key, &constraint));
        }
        let hash_key = match &entry.explicit_hash_key {
            None => hash_key(key),
            Some(explicit) => hash::parse(&member("explicitHashKey"), explicit)?,
        };
        self.decoded.clear();
        STANDARD.decode_vec(entry.data.as_bytes(), &mut self.decoded).map_err(|error| {
            let message = format!("{} is not base64: {error}", member("data"));
            AwsError::bad_request("SerializationException", message)
        })?;
        // "When the data blob is added to the partition key size, the total size must not exceed the maximum record
        // size" (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
        let bytes = self.decoded.len() + key.len();
        if bytes > self.record_bytes_max {
            let value = format!("{bytes} bytes with the partition key");
            let constraint =
                format!("Member must have length less than or equal to {}", self.record_bytes_max);
            return Err(validation(&member("data"), &value, &constraint));
        }
        Ok(Checked { hash_key, bytes, entry })
    }
}
