//! One stream on an AWS of its own, or on the endpoint of the environment.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{Shard, ShardIteratorType, StreamStatus};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_types::SdkConfig;
use aws_types::region::Region;
use local_aws::{Builder, Clock, LocalAws};

const ENDPOINT: &str = "AWS_ENDPOINT_URL_KINESIS";
/// A stream is made in seconds, on AWS as well.
const ACTIVE_MAX: Duration = Duration::from_secs(60);
/// 2026-11-23T00:00:00Z.
pub(crate) const NOW_MS: u64 = 1_795_392_000_000;

pub(crate) struct World {
    pub(crate) kinesis: Client,
    pub(crate) stream: String,
}

/// The endpoint to ask instead of the embedded AWS.
#[expect(clippy::disallowed_methods, reason = "a test has no chassis")]
fn endpoint() -> Option<String> {
    env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty())
}

impl World {
    /// A stream on the endpoint of the environment, or embedded.
    pub(crate) async fn new(shards: i32) -> Self {
        let config = match endpoint() {
            Some(endpoint) => outside(endpoint),
            None => LocalAws::new().sdk_config(),
        };
        Self::with(Client::new(&config), shards).await
    }

    /// A stream on an embedded AWS made to measure. `None` when an outside endpoint is to be asked.
    pub(crate) async fn embedded(
        shards: i32,
        builder: impl FnOnce(Builder) -> Builder,
    ) -> Option<Self> {
        if endpoint().is_some() {
            println!("skipped: an outside Kinesis has no clock or settings to take in hand");
            return None;
        }
        let aws = builder(LocalAws::builder()).build();
        Some(Self::with(Client::new(&aws.sdk_config()), shards).await)
    }

    /// The same, with a clock that stands still at [`NOW_MS`].
    pub(crate) async fn held(shards: i32) -> Option<(Self, Clock)> {
        let clock = Clock::held(NOW_MS);
        let world = Self::embedded(shards, |builder| builder.clock(clock.clone())).await?;
        Some((world, clock))
    }

    async fn with(kinesis: Client, shards: i32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stream = format!("contract-{}-{number}", std::process::id());
        let create = kinesis.create_stream().stream_name(&stream).shard_count(shards);
        create.send().await.unwrap();
        let world = Self { kinesis, stream };
        world.active().await;
        world
    }

    /// Waits until the stream is active.
    pub(crate) async fn active(&self) {
        let active = async {
            while self.status().await != StreamStatus::Active {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(ACTIVE_MAX, active).await.expect("the stream becomes active");
    }

    pub(crate) async fn status(&self) -> StreamStatus {
        let summary = self.kinesis.describe_stream_summary().stream_name(&self.stream).send().await;
        summary.unwrap().stream_description_summary.unwrap().stream_status
    }

    pub(crate) async fn put(&self, key: &str, data: &str) -> (String, String) {
        let put = self.kinesis.put_record().stream_name(&self.stream).partition_key(key);
        let put = put.data(Blob::new(data)).send().await.unwrap();
        (put.shard_id, put.sequence_number)
    }

    pub(crate) async fn put_at(&self, hash_key: u128, data: &str) -> String {
        let put = self.kinesis.put_record().stream_name(&self.stream).partition_key("k");
        let put = put.explicit_hash_key(hash_key.to_string()).data(Blob::new(data));
        put.send().await.unwrap().shard_id
    }

    pub(crate) async fn shards(&self) -> Vec<Shard> {
        let shards = self.kinesis.list_shards().stream_name(&self.stream).send().await.unwrap();
        shards.shards.unwrap()
    }

    /// An iterator at the oldest record of a shard.
    pub(crate) async fn oldest(&self, shard: &str) -> String {
        self.iterator(shard, ShardIteratorType::TrimHorizon, None).await
    }

    pub(crate) async fn iterator(
        &self,
        shard: &str,
        kind: ShardIteratorType,
        sequence: Option<&str>,
    ) -> String {
        let iterator = self.kinesis.get_shard_iterator().stream_name(&self.stream).shard_id(shard);
        let iterator = iterator.shard_iterator_type(kind);
        let iterator = iterator.set_starting_sequence_number(sequence.map(str::to_owned));
        iterator.send().await.unwrap().shard_iterator.unwrap()
    }

    pub(crate) async fn read(&self, iterator: &str) -> GetRecordsOutput {
        self.kinesis.get_records().shard_iterator(iterator).send().await.unwrap()
    }

    pub(crate) async fn split(&self, shard: &str, at: u128) {
        let split = self.kinesis.split_shard().stream_name(&self.stream).shard_to_split(shard);
        split.new_starting_hash_key(at.to_string()).send().await.unwrap();
        self.active().await;
    }

    pub(crate) async fn merge(&self, shard: &str, adjacent: &str) {
        let merge = self.kinesis.merge_shards().stream_name(&self.stream).shard_to_merge(shard);
        merge.adjacent_shard_to_merge(adjacent).send().await.unwrap();
        self.active().await;
    }
}

/// What the records hold.
pub(crate) fn texts(read: &GetRecordsOutput) -> Vec<String> {
    let text = |record: &aws_sdk_kinesis::types::Record| {
        String::from_utf8(record.data().as_ref().to_vec()).unwrap()
    };
    read.records().iter().map(text).collect()
}

fn outside(endpoint: String) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "contract tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .build()
}
