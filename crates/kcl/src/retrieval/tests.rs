//! Reading against the embedded AWS, on a paused clock.

mod fan_out;
mod list;
mod polling;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use aws_sdk_kinesis::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_smithy_types::body::SdkBody;
use local_aws::{Fault, KinesisSettings, LocalAws, Service};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::metrics::Api;

const STREAM: &str = "events";
const SHARD: &str = "shardId-000000000000";
/// Far longer, in virtual time, than anything here should take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was called, when it was answered and whether it was; and what was throttled.
#[derive(Default)]
struct Counts {
    called: Mutex<Vec<(Api, Instant, bool)>>,
    throttled: Mutex<Vec<Api>>,
}

impl Metrics for Counts {
    fn called(&self, api: Api, _took: Duration, ok: bool) {
        self.called.lock().unwrap().push((api, Instant::now(), ok));
    }

    fn throttled(&self, api: Api) {
        self.throttled.lock().unwrap().push(api);
    }
}

impl Counts {
    fn calls(&self, api: Api) -> Vec<Instant> {
        let called = self.called.lock().unwrap();
        called.iter().filter(|(called, ..)| *called == api).map(|(_, at, _)| *at).collect()
    }

    fn throttled(&self) -> usize {
        self.throttled.lock().unwrap().len()
    }
}

struct World {
    aws: LocalAws,
    kinesis: Client,
    counts: Arc<Counts>,
    settings: Arc<Settings>,
    budget: Budget,
}

impl World {
    async fn new() -> Self {
        Self::with(KinesisSettings::default(), 64 << 20).await
    }

    async fn with(kinesis: KinesisSettings, budget: usize) -> Self {
        let aws = LocalAws::builder().kinesis(kinesis).build();
        let kinesis = Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
        // Whatever time a stream takes to become active.
        sleep(Duration::from_secs(3_600)).await;
        let counts = Arc::new(Counts::default());
        let budget = Budget::new(budget, counts.clone());
        let settings = Arc::new(Settings::new(STREAM, "leases", "worker"));
        Self { aws, kinesis, counts, settings, budget }
    }

    /// Puts texts of numbers, padded to so many bytes.
    async fn put(&self, numbers: std::ops::Range<u32>, size: usize) {
        for number in numbers {
            let number = number.to_string();
            let padding = "0".repeat(size.saturating_sub(number.len()));
            let entry = PutRecordsRequestEntry::builder()
                .partition_key("key")
                .data(Blob::new(padding + &number))
                .build()
                .unwrap();
            let put = self.kinesis.put_records().stream_name(STREAM).records(entry);
            assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
        }
    }

    fn poll(&self, start: Start) -> Source {
        self.open(&self.kinesis, start, None)
    }

    fn open(&self, kinesis: &Client, start: Start, consumer: Option<Arc<str>>) -> Source {
        let (budget, counts) = (self.budget.clone(), self.counts.clone());
        let settings = self.settings.clone();
        Source::open(kinesis.clone(), settings, budget, counts, SHARD.into(), start, consumer)
    }

    /// A client, some answers of which are others.
    fn disturbed(&self, operation: &'static str, bodies: Vec<Bend>) -> Client {
        let bodies = Mutex::new(bodies.into_iter());
        let config = self.kinesis.config().to_builder().interceptor(Disturb {
            operation,
            meant: AtomicBool::new(false),
            bodies,
        });
        Client::from_conf(config.build())
    }

    async fn split(&self) {
        let half = (u128::MAX / 2).to_string();
        let split = self.kinesis.split_shard().stream_name(STREAM).shard_to_split(SHARD);
        split.new_starting_hash_key(half).send().await.unwrap();
    }

    fn calls(&self, operation: &str) -> u64 {
        self.aws.calls(Service::Kinesis, operation)
    }
}

type Bend = Box<dyn FnOnce(SdkBody) -> SdkBody + Send>;

/// Bends the bodies of an operation's answers, one after the other, before they are decoded.
struct Disturb {
    operation: &'static str,
    /// Whether the request under way is one of that operation; there is one at a time.
    meant: AtomicBool,
    bodies: Mutex<std::vec::IntoIter<Bend>>,
}

impl std::fmt::Debug for Disturb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.operation)
    }
}

impl Intercept for Disturb {
    fn name(&self) -> &'static str {
        "Disturb"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        self.meant.store(target.ends_with(&format!(".{}", self.operation)), Relaxed);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.meant.load(Relaxed) {
            return Ok(());
        }
        if let Some(bend) = self.bodies.lock().unwrap().next() {
            let body = context.response_mut().take_body();
            *context.response_mut().body_mut() = bend(body);
        }
        Ok(())
    }
}

/// Another answer altogether.
fn instead(body: String) -> Bend {
    Box::new(move |_| SdkBody::from(body))
}

fn numbers(page: &Page) -> Vec<u32> {
    let number = |record: &Record| std::str::from_utf8(&record.data).unwrap().parse().unwrap();
    page.records.iter().map(number).collect()
}

async fn next(source: &mut Source) -> Result<Page, Error> {
    timeout(PATIENCE, source.next()).await.expect("in time")
}

/// Reads on, errors or not, until so many records came, or the end.
async fn read(source: &mut Source, count: usize) -> Vec<u32> {
    let mut read = Vec::new();
    let reading = async {
        while read.len() < count {
            if let Ok(page) = source.next().await {
                read.extend(numbers(&page));
                if page.end.is_some() {
                    break;
                }
            }
        }
    };
    assert!(timeout(PATIENCE, reading).await.is_ok(), "{} of {count} in time", read.len());
    read
}

fn all(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}

fn last(page: &Page) -> SequenceNumber {
    page.records.last().unwrap().sequence_number()
}
