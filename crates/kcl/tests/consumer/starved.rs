//! A processor that blocks its thread, in real time: renewals must not depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use kcl::{Batch, Failure, Processor, Settings};

use crate::world::{Log, World, recorder, until};

/// Long enough for a lease to be lost twice over, were it not renewed.
const BLOCKS: Duration = Duration::from_secs(5);
const FAILOVER: Duration = Duration::from_secs(2);

struct Blocking(Arc<AtomicBool>);

impl Processor for Blocking {
    async fn process(&self, _batch: &Batch) -> Result<(), Failure> {
        thread::sleep(BLOCKS);
        self.0.store(true, Relaxed);
        Ok(())
    }
}

/// On one thread, so that the processor blocks everything but the thread that renews.
#[tokio::test]
async fn a_processor_that_blocks_its_thread_does_not_lose_its_lease() {
    let world = World::with_shards(1).await;
    let settings =
        |worker| Settings { failover: FAILOVER, renewal_thread: true, ..World::settings(worker) };
    let done = Arc::new(AtomicBool::new(false));
    let mut a = world.start_as(settings("a"), Blocking(done.clone())).await;
    a.reads(1).await;
    let looks = Arc::new(AtomicBool::new(false));
    // Another worker, on a thread of its own, would take the lease as soon as it may.
    let other = thread::spawn({
        let (world, settings, looks) = (world.clone(), settings("b"), looks.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let log = Log::default();
                let mut b = world.start_as(settings, recorder("b", &log)).await;
                b.status.wait_for(|status| status.looks > 0).await.unwrap();
                looks.store(true, Relaxed);
                tokio::time::sleep(BLOCKS + FAILOVER).await;
                b.stop().await;
                log.lock().unwrap().len()
            })
        }
    });
    until("the other worker looks", async || looks.load(Relaxed)).await;
    world.put(0..1).await;
    until("the processor is done", async || done.load(Relaxed)).await;
    a.stop().await;
    let leases = world.leases().await;
    assert_eq!(leases[0].owner_switches, 0, "{leases:?}");
    assert_eq!(other.join().unwrap(), 0, "the other worker read what was not its");
}
