//! Batches, with retries, halving and a place for what cannot be processed. `cargo run -p kcl --example batches`

mod embedded;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kcl::{Attempts, Batch, Consumer, Failure, Processor, Settings};
use tokio_util::sync::CancellationToken;

const ORDERS: usize = 100;

struct Ship {
    settled: AtomicUsize,
    stop: CancellationToken,
}

impl Ship {
    fn settle(&self, records: usize) {
        if self.settled.fetch_add(records, Relaxed) + records == ORDERS {
            self.stop.cancel();
        }
    }
}

impl Processor for Ship {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        // Order 42 is poison: halving finds it, all others are shipped.
        if batch.records.iter().any(|record| record.data == "order 42") {
            return Err(Failure::retry("cannot be shipped"));
        }
        println!("{}: shipped {}", batch.shard.id, batch.records.len());
        self.settle(batch.records.len());
        Ok(())
    }

    async fn dead_letter(&self, batch: &Batch, failure: &Failure) -> Result<(), Failure> {
        for record in &batch.records {
            println!("{}: put away {:?}: {failure}", batch.shard.id, record.data);
        }
        self.settle(batch.records.len());
        Ok(()) // only now may the checkpoint pass it
    }
}

#[tokio::main]
async fn main() -> Result<(), embedded::Error> {
    let (kinesis, dynamodb) = embedded::orders(ORDERS).await?;
    let stop = CancellationToken::new();
    let ship = Ship { settled: AtomicUsize::new(0), stop: stop.clone() };
    let settings = Settings {
        attempts: Attempts { most: Some(3), bisect: true, ..Attempts::default() },
        ..Settings::new("orders", "shipping", "worker-1")
    };
    Consumer::build(kinesis, dynamodb, settings, ship).await?.run(stop).await?;
    Ok(())
}
