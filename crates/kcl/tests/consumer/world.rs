//! A stream, a lease table and workers on a paused clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl::{Batch, Consumer, Error, Failure, Lease, Processor, Settings, Status};
use local_aws::LocalAws;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) const STREAM: &str = "events";
pub(crate) const FAILOVER: Duration = Duration::from_secs(3);
/// Far longer, in virtual time, than anything here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) aws: LocalAws,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
}

/// Who was handed what, in the order of acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) at: Instant,
    pub(crate) worker: String,
    pub(crate) shard: String,
    pub(crate) text: String,
}

pub(crate) type Log = Arc<Mutex<Vec<Delivery>>>;
pub(crate) type Verdict = dyn Fn(&Batch) -> Result<(), Failure> + Send + Sync;

pub(crate) struct Recorder {
    pub(crate) worker: String,
    pub(crate) log: Log,
    pub(crate) verdict: Arc<Verdict>,
}

pub(crate) fn recorder(worker: &str, log: &Log) -> Recorder {
    Recorder { worker: worker.to_owned(), log: log.clone(), verdict: Arc::new(|_| Ok(())) }
}

impl Processor for Recorder {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        (self.verdict)(batch)?;
        let deliveries = batch.records.iter().map(|record| Delivery {
            at: Instant::now(),
            worker: self.worker.clone(),
            shard: batch.shard.id.to_string(),
            text: String::from_utf8(record.data.to_vec()).unwrap(),
        });
        self.log.lock().unwrap().extend(deliveries);
        Ok(())
    }
}

pub(crate) struct Worker {
    pub(crate) stop: CancellationToken,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) running: JoinHandle<Result<(), Error>>,
}

impl Worker {
    /// As `kill -9` does it: no last word to anyone.
    pub(crate) fn kill(self) {
        self.running.abort();
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    pub(crate) async fn reads(&mut self, shards: usize) {
        let arrives = self.status.wait_for(|status| status.held == shards);
        tokio::time::timeout(PATIENCE, arrives).await.expect("in time").unwrap();
    }
}

impl World {
    pub(crate) async fn with_shards(shards: i32) -> Self {
        let aws = LocalAws::new();
        let config = aws.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        kinesis.create_stream().stream_name(STREAM).shard_count(shards).send().await.unwrap();
        Self { aws, kinesis, dynamodb: aws_sdk_dynamodb::Client::new(&config) }
    }

    pub(crate) async fn put(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(format!("key-{}", number % 50))
                .data(Blob::new(number.to_string()))
                .build()
                .unwrap();
            let put = self.kinesis.put_records().stream_name(STREAM).records(entry);
            assert_eq!(put.send().await.unwrap().failed_record_count, Some(0));
        }
    }

    pub(crate) fn settings(worker: &str) -> Settings {
        Settings {
            failover: FAILOVER,
            renewal_thread: false,
            ..Settings::new(STREAM, "leases", worker)
        }
    }

    pub(crate) async fn start(&self, worker: &str, log: &Log) -> Worker {
        self.start_with(worker, log, Arc::new(|_| Ok(()))).await
    }

    pub(crate) async fn start_with(
        &self,
        worker: &str,
        log: &Log,
        verdict: Arc<Verdict>,
    ) -> Worker {
        let recorder = Recorder { worker: worker.to_owned(), log: log.clone(), verdict };
        self.start_as(Self::settings(worker), recorder).await
    }

    pub(crate) async fn start_as(&self, settings: Settings, processor: impl Processor) -> Worker {
        let clock = self.aws.clock().clone();
        let now = move || SystemTime::UNIX_EPOCH + Duration::from_millis(clock.now_ms());
        self.start_at(settings, processor, now).await
    }

    /// With a wall clock of its own.
    pub(crate) async fn start_at(
        &self,
        settings: Settings,
        processor: impl Processor,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Worker {
        let (kinesis, dynamodb) = (self.kinesis.clone(), self.dynamodb.clone());
        let consumer = Consumer::build(kinesis, dynamodb, settings, processor).await.unwrap();
        let consumer = consumer.with_clock(now);
        let stop = CancellationToken::new();
        let status = consumer.status();
        Worker { running: tokio::spawn(consumer.run(stop.clone())), status, stop }
    }

    /// As another library would have made it.
    pub(crate) async fn make_lease_table(&self) {
        let key = |name: &str| {
            KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build()
        };
        let attribute = AttributeDefinition::builder()
            .attribute_name("leaseKey")
            .attribute_type(ScalarAttributeType::S)
            .build();
        let table = self.dynamodb.create_table().table_name("leases");
        let table = table.billing_mode(BillingMode::PayPerRequest);
        let table = table.key_schema(key("leaseKey").unwrap());
        table.attribute_definitions(attribute.unwrap()).send().await.unwrap();
    }

    pub(crate) async fn put_lease(&self, lease: &Lease) {
        let put = self.dynamodb.put_item().table_name("leases");
        put.set_item(Some(lease.encode())).send().await.unwrap();
    }

    pub(crate) async fn leases(&self) -> Vec<Lease> {
        let scan = self.dynamodb.scan().table_name("leases").consistent_read(true).send().await;
        let items = scan.unwrap().items.unwrap_or_default();
        items.iter().filter_map(|item| Lease::decode(item).unwrap()).collect()
    }

    pub(crate) async fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for lease in self.leases().await.into_iter().filter(|lease| !lease.is_finished()) {
            *owners.entry(lease.owner.unwrap_or_default()).or_default() += 1;
        }
        owners
    }

    pub(crate) async fn owned_by(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|&(owner, count)| (owner.to_owned(), count)).collect();
        until("the leases have the expected owners", async || self.owners().await == expected)
            .await;
    }

    pub(crate) async fn shard_ids(&self) -> Vec<String> {
        let shards = self.kinesis.list_shards().stream_name(STREAM).send().await.unwrap();
        shards.shards().iter().map(|shard| shard.shard_id.clone()).collect()
    }
}

/// The shards that something was delivered of.
pub(crate) fn shards_of(log: &[Delivery]) -> BTreeSet<&str> {
    log.iter().map(|delivery| delivery.shard.as_str()).collect()
}

pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, arrives).await.is_ok(), "in vain: {what}");
}

pub(crate) fn numbers(log: &Log) -> Vec<u32> {
    let mut numbers: Vec<_> =
        log.lock().unwrap().iter().map(|delivery| delivery.text.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

pub(crate) fn distinct(log: &Log) -> Vec<u32> {
    let mut numbers = numbers(log);
    numbers.dedup();
    numbers
}

pub(crate) fn all(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}
