//! Kinesis Data Streams, as exact as a reader of it can tell.
//!
//! The source of the rules is the API reference (<https://docs.aws.amazon.com/kinesis/latest/APIReference/>)
//! and the page of limits. Reshards keep their genealogy, iterators and tokens expire, shards throttle when
//! that is switched on, and subscriptions push.

mod consumer;
mod hash;
mod list_shards;
mod manage;
mod read;
mod reshard;
mod sequence;
mod stream;
mod subscribe;
mod throttle;
mod token;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Clock;
use crate::wire::{AwsError, Response, json_response};
use stream::Stream;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// How the emulated Kinesis behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KinesisSettings {
    /// Whether shards throttle: 1 MiB and 1,000 records a second in, 5 reads and 2 MB a second out.
    pub throttling: bool,
    /// How long a stream stays CREATING or UPDATING.
    pub updating: Duration,
    /// How long a shard iterator and a page token can be used. AWS: 5 minutes.
    pub iterator_lifetime: Duration,
    /// How long a subscription pushes. AWS: 5 minutes.
    pub subscription_lifetime: Duration,
}

impl Default for KinesisSettings {
    fn default() -> Self {
        Self {
            throttling: false,
            updating: Duration::ZERO,
            iterator_lifetime: Duration::from_secs(300),
            subscription_lifetime: Duration::from_secs(300),
        }
    }
}

/// The emulated Kinesis. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kinesis(Arc<Inner>);

struct Inner {
    settings: KinesisSettings,
    clock: Clock,
    region: String,
    account: String,
    streams: Mutex<BTreeMap<String, Stream>>,
}

/// What an operation answers.
type Reply = Result<String, AwsError>;

/// How most requests name a stream.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRef {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

impl Kinesis {
    pub(crate) fn new(
        settings: KinesisSettings,
        clock: Clock,
        region: &str,
        account: &str,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock,
            region: region.to_owned(),
            account: account.to_owned(),
            streams: Mutex::default(),
        }))
    }

    /// Serves `operation`, the part of `X-Amz-Target` after the dot.
    #[expect(clippy::unused_async, reason = "all services are served alike")]
    pub(crate) async fn handle(&self, operation: &str, body: Bytes) -> Response {
        if operation == "SubscribeToShard" {
            return self
                .subscribe_to_shard(&body)
                .unwrap_or_else(|error| error.into_json_response(CONTENT_TYPE));
        }
        match self.serve(operation, &body) {
            Ok(answer) => json_response(StatusCode::OK, CONTENT_TYPE, answer),
            Err(error) => error.into_json_response(CONTENT_TYPE),
        }
    }

    fn serve(&self, operation: &str, body: &[u8]) -> Reply {
        match operation {
            "PutRecord" => self.put_record(body),
            "PutRecords" => self.put_records(body),
            "GetShardIterator" => self.get_shard_iterator(body),
            "GetRecords" => self.get_records(body),
            "ListShards" => self.list_shards(body),
            "CreateStream" => self.create_stream(body),
            "DeleteStream" => self.delete_stream(body),
            "DescribeStream" => self.describe_stream(body),
            "DescribeStreamSummary" => self.describe_stream_summary(body),
            "DescribeLimits" => self.describe_limits(),
            "ListStreams" => self.list_streams(body),
            "SplitShard" => self.split_shard(body),
            "MergeShards" => self.merge_shards(body),
            "UpdateShardCount" => self.update_shard_count(body),
            "UpdateMaxRecordSize" => self.update_max_record_size(body),
            "UpdateStreamMode" => self.update_stream_mode(body),
            "IncreaseStreamRetentionPeriod" => self.change_retention(body, true),
            "DecreaseStreamRetentionPeriod" => self.change_retention(body, false),
            "StartStreamEncryption" => self.start_stream_encryption(body),
            "StopStreamEncryption" => self.stop_stream_encryption(body),
            "AddTagsToStream" => self.add_tags(body),
            "RemoveTagsFromStream" => self.remove_tags(body),
            "ListTagsForStream" => self.list_tags(body),
            "RegisterStreamConsumer" => self.register_consumer(body),
            "DeregisterStreamConsumer" => self.deregister_consumer(body),
            "DescribeStreamConsumer" => self.describe_consumer(body),
            "ListStreamConsumers" => self.list_consumers(body),
            _ => Err(AwsError::bad_request(
                "UnknownOperationException",
                format!("local-aws does not serve the Kinesis operation {operation}."),
            )),
        }
    }

    fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `act` with the stream that is named by name or by ARN.
    fn with_stream<T>(
        &self,
        named: &StreamRef,
        act: impl FnOnce(&mut Stream, u64) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let by_arn = named.stream_arn.as_deref().and_then(|arn| arn.rsplit('/').next());
        let name = named.stream_name.as_deref().or(by_arn);
        let name = name.ok_or_else(|| invalid_argument("Provide StreamName or StreamARN."))?;
        let now_ms = self.now_ms();
        let mut streams = self.streams();
        let stream = streams.get_mut(name).ok_or_else(|| self.no_stream(name))?;
        stream.trim(now_ms);
        act(stream, now_ms)
    }

    fn no_stream(&self, name: &str) -> AwsError {
        let message = format!("Stream {name} under account {} not found.", self.0.account);
        AwsError::bad_request("ResourceNotFoundException", message)
    }
}

/// Reads a request's JSON.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body)
        .map_err(|error| AwsError::bad_request("SerializationException", error.to_string()))
}

fn invalid_argument(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidArgumentException", message)
}

fn resource_in_use(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ResourceInUseException", message)
}

/// A violated constraint on one member of a request.
fn validation(member: &str, value: &str, constraint: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    );
    AwsError::bad_request("ValidationException", message)
}

/// A time as the JSON protocol carries it: seconds, milliseconds behind the point.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit exactly")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// A time of a request, in milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn from_seconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}
