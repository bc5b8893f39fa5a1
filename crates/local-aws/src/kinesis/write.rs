//! Writing records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hash::hash_key;
use super::stream::{Record, Stream};
use super::{Kinesis, Reply, StreamRef, invalid_argument, parse, validation};
use crate::wire::AwsError;

/// Records and bytes in a request
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
const RECORDS_MAX: usize = 500;
const REQUEST_BYTES_MAX: usize = 10 << 20;
const PARTITION_KEY_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: String,
    partition_key: String,
    explicit_hash_key: Option<String>,
}

#[derive(Deserialize)]
struct PutRecord {
    #[serde(flatten)]
    stream: StreamRef,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords {
    #[serde(flatten)]
    stream: StreamRef,
    records: Vec<Entry>,
}

/// What became of an entry.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase", untagged)]
enum Written {
    #[serde(rename_all = "PascalCase")]
    Accepted { sequence_number: String, shard_id: String },
    #[serde(rename_all = "PascalCase")]
    Throttled { error_code: &'static str, error_message: String },
}

/// An entry that was checked.
struct Checked {
    hash_key: u128,
    bytes: usize,
    entry: Entry,
}

impl Kinesis {
    pub(super) fn put_record(&self, body: &[u8]) -> Reply {
        let request: PutRecord = parse(body)?;
        self.with_stream(&request.stream, |stream, now_ms| {
            let checked = check(request.entry, stream.record_bytes_max)?;
            match self.write(stream, checked, now_ms) {
                Written::Throttled { error_code, error_message } => {
                    Err(AwsError::bad_request(error_code, error_message))
                }
                accepted @ Written::Accepted { .. } => {
                    stream.changed.send_replace(());
                    let mut answer = json!(accepted);
                    answer["EncryptionType"] = json!(encryption(stream));
                    Ok(answer.to_string())
                }
            }
        })
    }

    pub(super) fn put_records(&self, body: &[u8]) -> Reply {
        let request: PutRecords = parse(body)?;
        let count = request.records.len();
        if !(1..=RECORDS_MAX).contains(&count) {
            let constraint =
                "Member must have length greater than or equal to 1 and less than or equal to 500";
            return Err(validation("records", &format!("{count} records"), constraint));
        }
        self.with_stream(&request.stream, |stream, now_ms| {
            let check = |entry| check(entry, stream.record_bytes_max);
            let checked: Vec<_> =
                request.records.into_iter().map(check).collect::<Result<_, _>>()?;
            if checked.iter().map(|checked| checked.bytes).sum::<usize>() > REQUEST_BYTES_MAX {
                return Err(invalid_argument("Records size exceeds 10 MB limit"));
            }
            let written = checked.into_iter().map(|checked| self.write(stream, checked, now_ms));
            let written: Vec<_> = written.collect();
            stream.changed.send_replace(());
            let failed = written.iter().filter(|w| matches!(w, Written::Throttled { .. })).count();
            let answer = json!({
                "FailedRecordCount": failed,
                "Records": written,
                "EncryptionType": encryption(stream),
            });
            Ok(answer.to_string())
        })
    }

    fn write(&self, stream: &mut Stream, checked: Checked, now_ms: u64) -> Written {
        let sequence = stream.next_sequence(now_ms);
        let name = &stream.name;
        let open = stream.shards.values_mut().filter(|shard| shard.is_open());
        // Open shards cover the key space: there always is one.
        let shard = open.into_iter().find(|shard| shard.range.contains(checked.hash_key));
        let Some(shard) = shard else {
            let error_message = format!("No open shard of stream {name} takes the key.");
            return Written::Throttled { error_code: "InternalFailure", error_message };
        };
        if self.0.settings.throttling && !shard.throttle.may_write(checked.bytes, now_ms) {
            let account = &self.0.account;
            let error_message = format!(
                "Rate exceeded for shard {} in stream {name} under account {account}.",
                shard.id
            );
            let error_code = "ProvisionedThroughputExceededException";
            return Written::Throttled { error_code, error_message };
        }
        shard.records.push_back(Record {
            sequence,
            partition_key: checked.entry.partition_key,
            data: checked.entry.data,
            bytes: checked.bytes,
        });
        Written::Accepted { sequence_number: sequence.to_string(), shard_id: shard.id.clone() }
    }
}

pub(super) fn encryption(stream: &Stream) -> &'static str {
    if stream.encryption_key.is_some() { "KMS" } else { "NONE" }
}

fn check(entry: Entry, record_bytes_max: usize) -> Result<Checked, AwsError> {
    let key = &entry.partition_key;
    if !(1..=PARTITION_KEY_MAX).contains(&key.chars().count()) {
        let constraint = "Member must have length between 1 and 256";
        return Err(validation("partitionKey", key, constraint));
    }
    let hash_key = match &entry.explicit_hash_key {
        None => hash_key(key),
        Some(explicit) => explicit.parse().map_err(|_| {
            let message = format!("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {explicit}");
            invalid_argument(message)
        })?,
    };
    let data = STANDARD.decode(&entry.data).map_err(|error| {
        AwsError::bad_request("SerializationException", format!("Data is not base64: {error}"))
    })?;
    if data.len() > record_bytes_max {
        let constraint =
            format!("Member must have length less than or equal to {record_bytes_max}");
        return Err(validation("data", &format!("{} bytes", data.len()), &constraint));
    }
    Ok(Checked { hash_key, bytes: data.len() + key.len(), entry })
}
