//! Leases that move: by hand-over, at a stop, after a crash. How long nobody reads, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl::{Batch, Checkpoint, Failure, Lease, Processor, Settings};
use tokio::time::{Instant, sleep};

use crate::world::{FAILOVER, Log, Recorder, World, all, distinct, numbers, shards_of, until};

/// When which worker was handed something, at first and at last.
type Times = Arc<Mutex<Vec<(String, Instant)>>>;

/// A recorder that takes its time.
struct Slow {
    recorder: Recorder,
    pause: Duration,
    times: Times,
}

impl Processor for Slow {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let name = self.recorder.worker.clone();
        self.times.lock().unwrap().push((name, Instant::now()));
        sleep(self.pause).await;
        self.recorder.process(batch).await
    }
}

fn slow(worker: &str, log: &Log, pause: Duration, times: &Times) -> Slow {
    let recorder =
        Recorder { worker: worker.to_owned(), log: log.clone(), verdict: Arc::new(|_| Ok(())) };
    Slow { recorder, pause, times: times.clone() }
}

/// Puts a record into every shard every 20 ms, until dropped.
struct Load(tokio::task::JoinHandle<()>);

impl Load {
    fn start(world: &Arc<World>) -> Self {
        let world = world.clone();
        Self(tokio::spawn(async move {
            for number in 0.. {
                world.put(number..number + 1).await;
                sleep(Duration::from_millis(5)).await;
            }
        }))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The longest time between the last batch of one worker and the first of the next, over all shards.
async fn gap(log: &Log, from: &str, to: &str) -> Duration {
    let first = |worker: &str| {
        log.lock().unwrap().iter().find(|delivery| delivery.worker == worker).map(|d| d.at)
    };
    until("the next worker reads", async || first(to).is_some()).await;
    let log = log.lock().unwrap();
    let read = |shard: &str, worker: &str| -> Vec<Instant> {
        let read = log.iter().filter(|d| d.shard == shard && d.worker == worker);
        read.map(|delivery| delivery.at).collect()
    };
    let gaps = shards_of(&log).into_iter().filter_map(|shard| {
        let begins = *read(shard, to).first()?;
        let ends = read(shard, from).into_iter().filter(|at| *at <= begins).max()?;
        Some(begins - ends)
    });
    gaps.max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn on_a_rebalance_the_old_owner_finishes_and_hands_over_within_a_second() {
    let world = Arc::new(World::with_shards(4).await);
    let log = Log::default();
    let load = Load::start(&world);
    let mut a = world.start("a", &log).await;
    a.reads(4).await;
    let mut b = world.start("b", &log).await;
    b.reads(2).await;
    let gap = gap(&log, "a", "b").await;
    assert!(gap < Duration::from_secs(1), "nobody read for {gap:?}");
    a.reads(2).await;
    drop(load);
    sleep(FAILOVER).await;
    let numbers = numbers(&log);
    assert_eq!(numbers, all(0..numbers.last().unwrap() + 1), "each arrives, and none twice");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn at_a_stop_the_next_owner_reads_within_a_second() {
    let world = Arc::new(World::with_shards(4).await);
    let log = Log::default();
    let load = Load::start(&world);
    let a = world.start("a", &log).await;
    let mut b = world.start("b", &log).await;
    b.reads(2).await;
    sleep(FAILOVER).await;
    a.stop().await;
    let stopped = Instant::now();
    b.reads(4).await;
    assert!(stopped.elapsed() < Duration::from_secs(1), "taken after {:?}", stopped.elapsed());
    drop(load);
    sleep(FAILOVER).await;
    let numbers = numbers(&log);
    assert_eq!(numbers, all(0..numbers.last().unwrap() + 1), "each arrives, and none twice");
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_next_owner_reads_within_five_seconds() {
    let world = Arc::new(World::with_shards(4).await);
    let log = Log::default();
    let load = Load::start(&world);
    let a = world.start("a", &log).await;
    let mut b = world.start("b", &log).await;
    b.reads(2).await;
    sleep(FAILOVER).await;
    a.kill();
    let crashed = Instant::now();
    b.reads(4).await;
    assert!(crashed.elapsed() < Duration::from_secs(5), "taken after {:?}", crashed.elapsed());
    assert!(crashed.elapsed() > Duration::from_secs(2), "taken while its owner might have lived");
    drop(load);
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_batch_is_finished_before_its_shard_is_handed_over() {
    let world = Arc::new(World::with_shards(2).await);
    let (log, times) = (Log::default(), Times::default());
    world.put(0..100).await;
    let pause = Duration::from_secs(8);
    let a = world.start_as(World::settings("a"), slow("a", &log, pause, &times)).await;
    until("a is busy with both shards", async || times.lock().unwrap().len() == 2).await;
    let mut b = world.start("b", &log).await;
    b.reads(1).await;
    let shards: Vec<_> =
        log.lock().unwrap().iter().map(|delivery| delivery.shard.clone()).collect();
    assert!(!shards.is_empty(), "handed over before its batch was finished");
    until("all arrive", async || numbers(&log).len() >= 100).await;
    sleep(FAILOVER).await;
    assert_eq!(numbers(&log), all(0..100));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_slower_than_the_drain_time_is_given_up_and_comes_to_the_next_owner() {
    let world = Arc::new(World::with_shards(2).await);
    let (log, times) = (Log::default(), Times::default());
    world.put(0..100).await;
    let settings = Settings { drain: Duration::from_secs(5), ..World::settings("a") };
    let never = Duration::from_secs(100_000);
    let a = world.start_as(settings, slow("a", &log, never, &times)).await;
    until("a is busy with both shards", async || times.lock().unwrap().len() == 2).await;
    let asked = Instant::now();
    let mut b = world.start("b", &log).await;
    b.reads(1).await;
    let took = asked.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(8), "after {took:?}");
    until("what a gave up arrives at b", async || !numbers(&log).is_empty()).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_dies_while_it_is_asked_costs_no_more_than_a_crash() {
    let world = Arc::new(World::with_shards(2).await);
    let (log, times) = (Log::default(), Times::default());
    world.put(0..100).await;
    let never = Duration::from_secs(100_000);
    let a = world.start_as(World::settings("a"), slow("a", &log, never, &times)).await;
    until("a is busy with both shards", async || times.lock().unwrap().len() == 2).await;
    let mut b = world.start("b", &log).await;
    until("b asks for a lease", async || {
        world.leases().await.iter().any(|lease| lease.checkpoint_owner.as_deref() == Some("a"))
    })
    .await;
    a.kill();
    let crashed = Instant::now();
    b.reads(2).await;
    assert!(crashed.elapsed() < Duration::from_secs(6), "taken after {:?}", crashed.elapsed());
    until("all arrive at b", async || numbers(&log) == all(0..100)).await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_ends_while_it_is_asked_for_is_not_read_again() {
    let world = Arc::new(World::with_shards(2).await);
    let (log, times) = (Log::default(), Times::default());
    world.put(0..100).await;
    for (shard, quarter) in world.shard_ids().await.iter().zip([1, 3]) {
        let split = world.kinesis.split_shard().stream_name("events").shard_to_split(shard);
        let middle = (u128::MAX / 4 * quarter).to_string();
        split.new_starting_hash_key(middle).send().await.unwrap();
    }
    let pause = Duration::from_secs(8);
    let a = world.start_as(World::settings("a"), slow("a", &log, pause, &times)).await;
    until("a is busy with both shards", async || times.lock().unwrap().len() == 2).await;
    let b = world.start("b", &log).await;
    until("b asks for a lease", async || {
        world.leases().await.iter().any(|lease| lease.checkpoint_owner.as_deref() == Some("a"))
    })
    .await;
    until("both shards are finished", async || {
        world.leases().await.iter().filter(|lease| lease.is_finished()).count() == 2
    })
    .await;
    world.put(100..200).await;
    until("all arrive", async || distinct(&log) == all(0..200)).await;
    sleep(FAILOVER).await;
    assert_eq!(numbers(&log), all(0..200), "each arrives, and none twice");
    a.stop().await;
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_takes_back_its_wish_and_the_shard_is_read_on_at_once() {
    let world = Arc::new(World::with_shards(2).await);
    let (log, times) = (Log::default(), Times::default());
    world.put(0..100).await;
    let pause = Duration::from_secs(8);
    let a = world.start_as(World::settings("a"), slow("a", &log, pause, &times)).await;
    until("a is busy with both shards", async || times.lock().unwrap().len() == 2).await;
    let b = world.start_as(World::settings("b"), slow("b", &log, pause, &times)).await;
    let wished = async || world.leases().await.iter().any(|it| it.checkpoint_owner.is_some());
    until("b asks for a lease", wished).await;
    b.stop().await;
    let leases = world.leases().await;
    assert!(
        leases.iter().all(|it| it.owner.as_deref() == Some("a") && it.checkpoint_owner.is_none())
    );
    until("a is done with its batches", async || numbers(&log) == all(0..100)).await;
    let done = Instant::now();
    world.put(100..200).await;
    until("what follows arrives", async || numbers(&log).len() >= 200).await;
    assert!(done.elapsed() < pause + Duration::from_secs(2), "after {:?}", done.elapsed());
    assert_eq!(numbers(&log), all(0..200));
    a.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_asked_for_before_it_was_taken_up_is_passed_on() {
    let world = Arc::new(World::with_shards(1).await);
    world.make_lease_table().await;
    let log = Log::default();
    // It came to a, and c has asked for it, before a took it up.
    let shard = world.shard_ids().await.remove(0);
    let lease = Lease {
        owner: Some("c".into()),
        checkpoint_owner: Some("a".into()),
        counter: 30,
        ..Lease::new(shard, Checkpoint::TrimHorizon)
    };
    world.put_lease(&lease).await;
    let began = Instant::now();
    let a = world.start("a", &log).await;
    let handed_over = async || world.leases().await[0].checkpoint_owner.is_none();
    until("it is passed on", handed_over).await;
    assert_eq!(world.leases().await[0].owner.as_deref(), Some("c"));
    assert!(began.elapsed() < Duration::from_secs(1), "after {:?}", began.elapsed());
    a.stop().await;
}
