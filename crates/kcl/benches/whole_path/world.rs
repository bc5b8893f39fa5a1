//! A stream on the embedded AWS with records always coming, and workers that write down when they read what.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_types::SdkConfig;
use kcl::{Batch, Consumer, Failure, Metrics, Processor, Settings, Status};
use local_aws::LocalAws;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::memory::STREAM;

pub(crate) const SHARDS: usize = 4;
/// Time between two records of a shard.
const PUT_INTERVAL: Duration = Duration::from_millis(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) config: SdkConfig,
    pub(crate) endpoint: SocketAddr,
    pub(crate) began: Instant,
    pub(crate) log: Log,
    _tasks: JoinSet<Result<(), Error>>,
}

/// A batch that was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) worker: String,
    pub(crate) shard: Arc<str>,
    pub(crate) at: Instant,
    /// When each of its records was put.
    pub(crate) put: Vec<Instant>,
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Reading>>>);

impl Log {
    /// What is found in it so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Reading]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is found in it.
    pub(crate) async fn find<T>(&self, look: impl Fn(&[Reading]) -> Option<T>) -> Result<T, Error> {
        let find = async {
            loop {
                if let Some(found) = self.look(&look) {
                    return found;
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        Ok(timeout(PATIENCE, find).await?)
    }

    /// When a worker read a shard first, from then on.
    pub(crate) async fn first(
        &self,
        worker: &str,
        shard: &str,
        from: Instant,
    ) -> Result<Instant, Error> {
        let is_it = |r: &&Reading| r.worker == worker && &*r.shard == shard && r.at >= from;
        self.find(|log| log.iter().find(is_it).map(|reading| reading.at)).await
    }

    /// When a worker read a shard last, before then.
    pub(crate) fn last(&self, worker: &str, shard: &str, before: Instant) -> Option<Instant> {
        let is_it = |r: &&Reading| r.worker == worker && &*r.shard == shard && r.at < before;
        self.look(|log| log.iter().rev().find(is_it).map(|reading| reading.at))
    }

    /// Shards that a worker read since then.
    pub(crate) fn shards(&self, worker: &str, since: Instant) -> BTreeSet<Arc<str>> {
        self.look(|log| {
            let of_it = log.iter().filter(|r| r.worker == worker && r.at >= since);
            of_it.map(|reading| reading.shard.clone()).collect()
        })
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct Recorder {
    worker: String,
    began: Instant,
    log: Log,
}

impl Processor for Recorder {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let put = |data: &[u8]| {
            let micros = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok());
            self.began + Duration::from_micros(micros.unwrap_or_default())
        };
        let reading = Reading {
            worker: self.worker.clone(),
            shard: batch.shard.id.clone(),
            at: Instant::now(),
            put: batch.records.iter().map(|record| put(&record.data)).collect(),
        };
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).push(reading);
        Ok(())
    }
}

/// How long it took from a release to the first read, as the consumer tells it.
#[derive(Clone, Default)]
pub(crate) struct HandOvers(Arc<Mutex<Vec<Duration>>>);

impl HandOvers {
    pub(crate) fn all(&self) -> Vec<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Metrics for HandOvers {
    fn handed_over(&self, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) hand_overs: HandOvers,
    pub(crate) stop: CancellationToken,
    status: watch::Receiver<Status>,
    running: JoinHandle<Result<(), kcl::Error>>,
}

impl Worker {
    /// Waits until it holds so many shards.
    pub(crate) async fn holds(&mut self, shards: usize) -> Result<(), Error> {
        timeout(PATIENCE, self.status.wait_for(|status| status.held == shards)).await??;
        Ok(())
    }

    pub(crate) async fn stopped(self) -> Result<(), Error> {
        self.stop.cancel();
        Ok(self.running.await??)
    }
}

impl World {
    pub(crate) async fn new() -> Result<Self, Error> {
        let (aws, began, mut tasks) = (LocalAws::new(), Instant::now(), JoinSet::new());
        let config = aws.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let shards = i32::try_from(SHARDS)?;
        kinesis.create_stream().stream_name(STREAM).shard_count(shards).send().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = listener.local_addr()?;
        let never = CancellationToken::new();
        tasks.spawn(async move { Ok(aws.serve(listener, never).await?) });
        tasks.spawn(put_always(kinesis, began));
        Ok(Self { config, endpoint, began, log: Log::default(), _tasks: tasks })
    }

    pub(crate) async fn start(&self, name: &str, failover: Duration) -> Result<Worker, Error> {
        let kinesis = aws_sdk_kinesis::Client::new(&self.config);
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.config);
        let settings = Settings { failover, ..Settings::new(STREAM, "leases", name) };
        let (name, hand_overs) = (name.to_owned(), HandOvers::default());
        let recorder = Recorder { worker: name.clone(), began: self.began, log: self.log.clone() };
        let consumer = Consumer::build(kinesis, dynamodb, settings, recorder).await?;
        let consumer = consumer.with_metrics(Arc::new(hand_overs.clone()));
        let (stop, status) = (CancellationToken::new(), consumer.status());
        let running = tokio::spawn(consumer.run(stop.clone()));
        Ok(Worker { name, hand_overs, stop, status, running })
    }
}

/// A record for each shard, again and again, that says when it was put.
async fn put_always(kinesis: aws_sdk_kinesis::Client, began: Instant) -> Result<(), Error> {
    let part = u128::MAX / SHARDS as u128;
    loop {
        let now = began.elapsed().as_micros().to_string();
        let mut put = kinesis.put_records().stream_name(STREAM);
        for shard in 0..SHARDS as u128 {
            let entry = PutRecordsRequestEntry::builder().partition_key("key");
            let entry = entry.explicit_hash_key((part * shard + part / 2).to_string());
            put = put.records(entry.data(Blob::new(now.as_bytes())).build()?);
        }
        put.send().await?;
        sleep(PUT_INTERVAL).await;
    }
}
