//! Processors that are not done, fail or panic while their shard has to be given away.

use std::sync::Arc;

use kcl::{Batch, Checkpoint, Ended, Failure, Processor, ShardContext};
use tokio::time::{Instant, timeout};

use crate::lost::busy;
use crate::world::{FAILOVER, Log, PATIENCE, Recorder, World, all, distinct, recorder};

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_not_done_in_time_is_given_up_at_a_stop_and_its_lease_is_released() {
    let world = World::with_shards(1).await;
    let (busy, worker) = busy(&world).await;
    let drain = World::settings("a").drain;
    let counter = world.leases().await[0].counter;
    let told = Instant::now();
    timeout(PATIENCE, worker.stop()).await.unwrap();
    let took = told.elapsed();
    assert!(took >= drain && took < drain + FAILOVER, "{took:?}");
    let lease = world.leases().await.remove(0);
    assert_eq!((lease.owner, lease.checkpoint), (None, Checkpoint::TrimHorizon));
    assert!(lease.counter > counter);
    let tale = busy.0.lock().unwrap();
    assert_eq!((tale.broken_off, tale.ended[0].0), (1, Ended::Stopped));
}

/// Gives its shards away as `verdict` has it, and panics when it is told so.
struct Hostile(Recorder);

impl Processor for Hostile {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.0.process(batch).await
    }

    async fn ended(&self, _: &ShardContext, why: Ended) {
        panic!("{why:?}");
    }
}

async fn gives_its_shard_away(verdict: fn(&Batch) -> Result<(), Failure>) {
    let world = World::with_shards(2).await;
    world.put(0..100).await;
    let (log_a, log_b) = (Log::default(), Log::default());
    let verdict = Arc::new(verdict);
    let hostile = Hostile(Recorder { worker: "a".into(), log: log_a.clone(), verdict });
    let mut a = world.start_as(World::settings("a"), hostile).await;
    a.reads(2).await;
    let mut b = world.start_as(World::settings("b"), recorder("b", &log_b)).await;
    let asked = Instant::now();
    b.reads(1).await;
    assert!(asked.elapsed() < FAILOVER, "handed over, not expired: {:?}", asked.elapsed());
    a.stop().await;
    let stopped = Instant::now();
    b.reads(2).await;
    assert!(stopped.elapsed() < FAILOVER, "released, not expired: {:?}", stopped.elapsed());
    crate::world::until("all arrive at b", async || distinct(&log_b) == all(0..100)).await;
    assert!(log_a.lock().unwrap().is_empty());
    b.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_fails_gives_its_shard_away_all_the_same() {
    gives_its_shard_away(|_| Err(Failure::retry("not here"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_panics_gives_its_shard_away_all_the_same() {
    gives_its_shard_away(|_| panic!("not here")).await;
}
