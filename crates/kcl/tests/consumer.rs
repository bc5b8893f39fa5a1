//! Workers, shards and leases together, against the embedded AWS on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl::{Batch, Checkpoint, Consumer, Error, Failure, Lease, Processor, Settings, Status};
use local_aws::{Fault, LocalAws, Service};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "events";
const FAILOVER: Duration = Duration::from_secs(3);
/// Far longer, in virtual time, than anything here should take.
const PATIENCE: Duration = Duration::from_secs(120);

struct World {
    aws: LocalAws,
    kinesis: aws_sdk_kinesis::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

/// Who was handed what, in the order of acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Delivery {
    worker: String,
    shard: String,
    text: String,
}

type Log = Arc<Mutex<Vec<Delivery>>>;
type Verdict = dyn Fn(&Batch) -> Result<(), Failure> + Send + Sync;

struct Recorder {
    worker: String,
    log: Log,
    verdict: Arc<Verdict>,
}

impl Processor for Recorder {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        (self.verdict)(batch)?;
        let deliveries = batch.records.iter().map(|record| Delivery {
            worker: self.worker.clone(),
            shard: batch.shard.id.to_string(),
            text: String::from_utf8(record.data.to_vec()).unwrap(),
        });
        self.log.lock().unwrap().extend(deliveries);
        Ok(())
    }
}

struct Worker {
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    running: JoinHandle<()>,
}

impl Worker {
    /// As `kill -9` does it: no last word to anyone.
    fn kill(self) {
        self.running.abort();
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    async fn reads(&mut self, shards: usize) {
        let arrives = self.status.wait_for(|status| status.held == shards);
        tokio::time::timeout(PATIENCE, arrives).await.expect("in time").unwrap();
    }
}

impl World {
    async fn with_shards(shards: i32) -> Self {
        let aws = LocalAws::new();
        let config = aws.sdk_config();
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        kinesis.create_stream().stream_name(STREAM).shard_count(shards).send().await.unwrap();
        Self { aws, kinesis, dynamodb: aws_sdk_dynamodb::Client::new(&config) }
    }

    async fn put(&self, numbers: std::ops::Range<u32>) {
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

    fn settings(worker: &str) -> Settings {
        Settings { failover: FAILOVER, ..Settings::new(STREAM, "leases", worker) }
    }

    async fn start(&self, worker: &str, log: &Log) -> Worker {
        self.start_with(worker, log, Arc::new(|_| Ok(()))).await
    }

    async fn start_with(&self, worker: &str, log: &Log, verdict: Arc<Verdict>) -> Worker {
        let recorder = Recorder { worker: worker.to_owned(), log: log.clone(), verdict };
        let (kinesis, dynamodb) = (self.kinesis.clone(), self.dynamodb.clone());
        let consumer = Consumer::build(kinesis, dynamodb, Self::settings(worker), recorder);
        let consumer = consumer.await.unwrap();
        let stop = CancellationToken::new();
        let status = consumer.status();
        Worker { running: tokio::spawn(consumer.run(stop.clone())), status, stop }
    }

    async fn leases(&self) -> Vec<Lease> {
        let scan = self.dynamodb.scan().table_name("leases").consistent_read(true).send().await;
        let items = scan.unwrap().items.unwrap_or_default();
        items.iter().filter_map(|item| Lease::decode(item).unwrap()).collect()
    }

    async fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for lease in self.leases().await.into_iter().filter(|lease| !lease.is_finished()) {
            *owners.entry(lease.owner.unwrap_or_default()).or_default() += 1;
        }
        owners
    }

    async fn owned_by(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|&(owner, count)| (owner.to_owned(), count)).collect();
        until("the leases have the expected owners", async || self.owners().await == expected)
            .await;
    }

    async fn shard_ids(&self) -> Vec<String> {
        let shards = self.kinesis.list_shards().stream_name(STREAM).send().await.unwrap();
        shards.shards().iter().map(|shard| shard.shard_id.clone()).collect()
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, arrives).await.is_ok(), "in vain: {what}");
}

fn numbers(log: &Log) -> Vec<u32> {
    let mut numbers: Vec<_> =
        log.lock().unwrap().iter().map(|delivery| delivery.text.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn distinct(log: &Log) -> Vec<u32> {
    let mut numbers = numbers(log);
    numbers.dedup();
    numbers
}

fn all(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}

#[tokio::test(start_paused = true)]
async fn every_record_of_every_shard_arrives_once_and_a_new_worker_goes_on_from_there() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    world.put(0..300).await;
    let first = world.start("a", &log).await;
    until("the first 300 arrive", async || numbers(&log).len() == 300).await;
    first.stop().await;
    world.put(300..400).await;
    let second = world.start("b", &log).await;
    until("the next 100 arrive", async || numbers(&log).len() >= 400).await;
    second.stop().await;
    assert_eq!(numbers(&log), all(0..400));
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_four_shards() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let mut a = world.start("a", &log).await;
    a.reads(4).await;
    let mut b = world.start("b", &log).await;
    world.owned_by(&[("a", 2), ("b", 2)]).await;
    a.reads(2).await;
    b.reads(2).await;
    world.put(0..200).await;
    until("all 200 arrive", async || distinct(&log) == all(0..200)).await;
    let workers: std::collections::BTreeSet<_> =
        log.lock().unwrap().iter().map(|delivery| delivery.worker.clone()).collect();
    assert_eq!(workers.len(), 2);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_workers_shards_are_taken_over_and_nothing_is_lost() {
    let world = World::with_shards(4).await;
    let log = Log::default();
    let a = world.start("a", &log).await;
    let b = world.start("b", &log).await;
    world.owned_by(&[("a", 2), ("b", 2)]).await;
    world.put(0..200).await;
    until("some arrive at a", async || {
        log.lock().unwrap().iter().any(|delivery| delivery.worker == "a")
    })
    .await;
    a.kill();
    world.put(200..400).await;
    world.owned_by(&[("b", 4)]).await;
    until("all 400 arrive", async || distinct(&log) == all(0..400)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_saves_its_places_and_releases_its_leases() {
    let world = World::with_shards(2).await;
    let log = Log::default();
    let a = world.start("a", &log).await;
    world.put(0..100).await;
    until("all arrive", async || numbers(&log).len() == 100).await;
    a.stop().await;
    for lease in world.leases().await {
        assert_eq!(lease.owner, None);
        assert!(matches!(lease.checkpoint, Checkpoint::At(_)), "{lease:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_comes_again_and_the_checkpoint_waits_for_it() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let offers = Arc::new(AtomicU32::new(0));
    let verdict = {
        let offers = offers.clone();
        move |_: &Batch| match offers.fetch_add(1, Relaxed) {
            0..4 => Err(Failure::retry("not now")),
            4 => panic!("a processor's own mistake"),
            _ => Ok(()),
        }
    };
    let worker = world.start_with("a", &log, Arc::new(verdict)).await;
    world.put(0..10).await;
    until("the batch was refused", async || offers.load(Relaxed) >= 3).await;
    assert_eq!(world.leases().await[0].checkpoint, Checkpoint::TrimHorizon);
    until("all arrive", async || numbers(&log) == all(0..10)).await;
    worker.stop().await;
    assert!(matches!(world.leases().await[0].checkpoint, Checkpoint::At(_)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_batch_is_never_accepted_still_stops() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start_with("a", &log, Arc::new(|_| Err(Failure::retry("never")))).await;
    world.put(0..10).await;
    world.owned_by(&[("a", 1)]).await;
    worker.stop().await;
    assert_eq!(world.leases().await[0].checkpoint, Checkpoint::TrimHorizon);
    assert_eq!(world.leases().await[0].owner, None);
}

#[tokio::test(start_paused = true)]
async fn children_are_read_after_both_parents_across_split_and_merge() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..100).await;
    let parent = world.shard_ids().await.remove(0);
    let half = (u128::MAX / 2).to_string();
    let split = world.kinesis.split_shard().stream_name(STREAM).shard_to_split(&parent);
    split.new_starting_hash_key(half).send().await.unwrap();
    world.put(100..200).await;
    let shards = world.shard_ids().await;
    let merge = world.kinesis.merge_shards().stream_name(STREAM);
    merge.shard_to_merge(&shards[1]).adjacent_shard_to_merge(&shards[2]).send().await.unwrap();
    world.put(200..300).await;
    until("all arrive", async || distinct(&log) == all(0..300)).await;
    let log = log.lock().unwrap().clone();
    for key in 0..50 {
        let of_key = log.iter().map(|delivery| delivery.text.parse::<u32>().unwrap());
        let of_key: Vec<_> = of_key.filter(|number| number % 50 == key).collect();
        assert!(of_key.is_sorted(), "key-{key}: {of_key:?}");
    }
    let finished = world.leases().await.into_iter().filter(Lease::is_finished);
    assert_eq!(finished.count(), 3);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_lease_write_costs_nothing() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.owned_by(&[("a", 1)]).await;
    let fault = Fault::on(Service::DynamoDb, "UpdateItem").times(1).lose_reply();
    for round in 0..5 {
        world.aws.faults().add(fault.clone());
        world.put(round * 10..round * 10 + 10).await;
        tokio::time::sleep(FAILOVER).await;
    }
    until("all arrive", async || numbers(&log).len() >= 50).await;
    assert_eq!(numbers(&log), all(0..50), "the lease was never lost, so nothing came twice");
    assert_eq!(world.leases().await[0].owner_switches, 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_dynamodb_longer_than_the_failover_stops_reading_and_then_resumes() {
    let world = World::with_shards(1).await;
    let log = Log::default();
    let worker = world.start("a", &log).await;
    world.put(0..10).await;
    until("the first arrive", async || numbers(&log).len() == 10).await;
    world.aws.faults().add(Fault::on(Service::DynamoDb, "UpdateItem").always().throttle());
    tokio::time::sleep(FAILOVER * 2).await;
    world.put(10..20).await;
    tokio::time::sleep(FAILOVER).await;
    assert_eq!(numbers(&log).len(), 10, "nothing is read without a lease that can be renewed");
    world.aws.faults().clear();
    until("the rest arrive", async || distinct(&log) == all(0..20)).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_missing_stream_is_told_by_name() {
    let aws = LocalAws::new();
    let config = aws.sdk_config();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let recorder =
        Recorder { worker: "a".into(), log: Log::default(), verdict: Arc::new(|_| Ok(())) };
    let built = Consumer::build(kinesis, dynamodb, World::settings("a"), recorder).await;
    let Err(Error::StreamNotFound { stream }) = built.map(|_| ()) else {
        panic!("a consumer of a missing stream was built");
    };
    assert_eq!(stream, STREAM);
}
