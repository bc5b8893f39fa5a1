//! Kinesis Data Streams, as exact as a reader of it can tell.
//!
//! The source of the rules is the API reference (<https://docs.aws.amazon.com/kinesis/latest/APIReference/>)
//! and the page of limits. Reshards keep their genealogy, iterators and tokens expire, shards throttle when
//! that is switched on, and subscriptions push.

mod configure;
mod consumer;
mod error;
mod genealogy;
mod hash;
mod list_shards;
mod manage;
mod read;
mod reshard;
mod sequence;
mod shard;
mod stream;
mod subscribe;
mod tags;
mod throttle;
mod token;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use crate::Clock;
use crate::wire::{AwsError, Response, json_response};
use error::{invalid_argument, not_found};
use stream::{Origin, Stream};

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Stream>,
    /// How many streams were ever made.
    made: u64,
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
            state: Mutex::default(),
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
            "TagResource" => self.tag_resource(body),
            "UntagResource" => self.untag_resource(body),
            "ListTagsForResource" => self.list_tags_for_resource(body),
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `act` with the stream that is named by name or by ARN, at a time that never goes back.
    fn with_stream<T>(
        &self,
        named: &StreamRef,
        act: impl FnOnce(&mut Stream, u64) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let name = named.name()?;
        let clock_ms = self.now_ms();
        let mut state = self.state();
        let stream = state.streams.get_mut(name).ok_or_else(|| {
            not_found(format!("Stream {name} under account {} not found.", self.0.account))
        })?;
        let now_ms = stream.time(clock_ms);
        stream.trim(now_ms);
        act(stream, now_ms)
    }

    /// Where a new stream comes from.
    fn origin<'a>(&'a self, name: &'a str, generation: u64) -> Origin<'a> {
        Origin { name, region: &self.0.region, account: &self.0.account, generation }
    }
}

impl StreamRef {
    fn called(name: &str) -> Self {
        Self { stream_name: Some(name.to_owned()), stream_arn: None }
    }

    /// The stream of the ARN of a stream or of one of its consumers.
    fn of_arn(arn: &str) -> Self {
        Self { stream_name: None, stream_arn: Some(arn.to_owned()) }
    }

    /// # Errors
    /// When neither a name nor an ARN is given.
    fn name(&self) -> Result<&str, AwsError> {
        if let Some(name) = &self.stream_name {
            return Ok(name);
        }
        let missing = || invalid_argument("Either StreamName or StreamARN should be provided.");
        let arn = self.stream_arn.as_deref().ok_or_else(missing)?;
        // arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, or …:stream/NAME/consumer/CONSUMER:CREATED
        let name = arn.split_once(":stream/").and_then(|(_, rest)| rest.split('/').next());
        name.ok_or_else(|| invalid_argument(format!("{arn} is not the ARN of a stream.")))
    }
}
