//! A stream and a lease table of a test's own, and workers that live as processes do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use kcl::{Consumer, Error, Lease, Mode, Retrieval, Settings, Status};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::tale::{KEYS, Tale};

/// Far longer than anything here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Where nobody crashes: long, so that a machine that is busy with other things costs no lease.
pub(crate) const CALM: Duration = Duration::from_secs(6);
/// Where somebody does.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

static WORLDS: AtomicU32 = AtomicU32::new(0);

pub(crate) struct World {
    backend: Backend,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) stream: String,
    pub(crate) table: String,
    mode: Mode,
    failover: Duration,
    retrieval: Retrieval,
}

/// A worker on a runtime of its own, with connections of its own.
pub(crate) struct Worker {
    stop: CancellationToken,
    pub(crate) status: watch::Receiver<Status>,
    running: Option<JoinHandle<Result<(), Error>>>,
    runtime: Option<Runtime>,
}

impl Worker {
    /// As `kill -9` does it: no last word to anyone.
    pub(crate) fn crash(self) {
        drop(self);
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let running = self.running.take().unwrap();
        tokio::time::timeout(PATIENCE, running).await.expect("it stops").unwrap().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World {
    /// Without a stream.
    pub(crate) fn empty(mode: Mode) -> Self {
        let backend = Backend::of_the_environment();
        let (kinesis, dynamodb) = backend.clients();
        let name = format!("{}-{}", std::process::id(), WORLDS.fetch_add(1, Relaxed));
        let (stream, table) = (format!("events-{name}"), format!("leases-{name}"));
        let (failover, retrieval) = (CALM, Retrieval::Polling);
        Self { backend, kinesis, dynamodb, stream, table, mode, failover, retrieval }
    }

    pub(crate) async fn with_shards(shards: i32, mode: Mode) -> Self {
        let world = Self::empty(mode);
        let create = world.kinesis.create_stream().stream_name(&world.stream);
        create.shard_count(shards).send().await.unwrap();
        world.stream_is_active().await;
        world
    }

    pub(crate) fn failing_over(self, failover: Duration) -> Self {
        Self { failover, ..self }
    }

    pub(crate) fn by_fan_out(self) -> Self {
        let retrieval = Retrieval::FanOut { consumer: "tests".into(), fall_back: false };
        Self { retrieval, ..self }
    }

    /// Removes what it made.
    pub(crate) async fn end(self) {
        self.remove_stream().await;
        self.dynamodb.delete_table().table_name(&self.table).send().await.unwrap();
    }

    pub(crate) async fn remove_stream(&self) {
        let delete = self.kinesis.delete_stream().stream_name(&self.stream);
        delete.enforce_consumer_deletion(true).send().await.unwrap();
    }

    pub(crate) async fn stream_is_active(&self) {
        until("the stream is active", async || {
            let describe = self.kinesis.describe_stream_summary().stream_name(&self.stream);
            let summary = describe.send().await.unwrap().stream_description_summary.unwrap();
            summary.stream_status == StreamStatus::Active
        })
        .await;
    }

    pub(crate) fn settings(&self, worker: &str) -> Settings {
        Settings {
            mode: self.mode,
            failover: self.failover,
            retrieval: self.retrieval.clone(),
            ..Settings::new(&self.stream, &self.table, worker)
        }
    }

    pub(crate) async fn start(&self, worker: &str, tale: &Tale) -> Worker {
        self.start_as(self.settings(worker), tale).await
    }

    pub(crate) async fn start_as(&self, settings: Settings, tale: &Tale) -> Worker {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (kinesis, dynamodb) = self.backend.clients();
        let scribe = tale.scribe(&settings.worker);
        let building = Consumer::build(kinesis, dynamodb, settings, scribe);
        let consumer = runtime.spawn(building).await.unwrap().unwrap();
        let (stop, status) = (CancellationToken::new(), consumer.status());
        let running = Some(runtime.spawn(consumer.run(stop.clone())));
        Worker { stop, status, running, runtime: Some(runtime) }
    }

    /// Puts records one after another as far as their keys go: those of one key are in order.
    pub(crate) async fn put(&self, numbers: Range<u32>) {
        let numbers: Vec<_> = numbers.collect();
        for numbers in numbers.chunks(KEYS as usize) {
            let entries = numbers.iter().map(|number| {
                let key = format!("key-{}", number % KEYS);
                let entry = PutRecordsRequestEntry::builder().partition_key(key);
                entry.data(Blob::new(number.to_string())).build().unwrap()
            });
            let mut entries: Vec<_> = entries.collect();
            while !entries.is_empty() {
                let put = self.kinesis.put_records().stream_name(&self.stream);
                let reply = put.set_records(Some(entries.clone())).send().await.unwrap();
                let mut results = reply.records.iter();
                entries.retain(|_| results.next().unwrap().error_code.is_some());
            }
        }
    }

    pub(crate) async fn shards(&self) -> Vec<Shard> {
        let list = self.kinesis.list_shards().stream_name(&self.stream);
        list.send().await.unwrap().shards.unwrap_or_default()
    }

    pub(crate) async fn leases(&self) -> Vec<Lease> {
        let scan = self.dynamodb.scan().table_name(&self.table).consistent_read(true);
        let items = scan.send().await.unwrap().items.unwrap_or_default();
        items.iter().filter_map(|item| Lease::decode(item).unwrap()).collect()
    }

    async fn holders(&self) -> BTreeMap<String, usize> {
        let mut holders = BTreeMap::new();
        for lease in self.leases().await.into_iter().filter(|lease| !lease.is_finished()) {
            let holder = lease.holder().unwrap_or_default().to_owned();
            *holders.entry(holder).or_default() += 1;
        }
        holders
    }

    /// The leases of shards that are not finished are held like this.
    pub(crate) async fn is_held_by(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|&(worker, count)| (worker.to_owned(), count)).collect();
        until("the leases have the expected holders", async || self.holders().await == expected)
            .await;
    }
}

pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, arrives).await.is_ok(), "in vain: {what}");
}
