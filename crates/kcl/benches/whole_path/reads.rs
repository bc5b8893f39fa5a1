//! How many reads a second a consumer makes when each takes as long as over a network.

use std::time::Duration;

use kcl::{Batch, Consumer, Failure, Processor, Settings};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::pages::{Pages, Wire};
use crate::stub::Stub;

/// A call to Kinesis in the same region, roughly.
const DELAY: Duration = Duration::from_millis(15);
const WARM: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CASES: [&str; 3] = ["10", "100", "1000"];

struct Accept;

impl Processor for Accept {
    async fn process(&self, _batch: &Batch) -> Result<(), Failure> {
        Ok(())
    }
}

/// Shards that give a few records with each read, as a stream that is read at its tip does.
pub(crate) async fn run(shards: &str) -> Result<Value, Error> {
    let shards: usize = shards.parse()?;
    let stub = Stub::new(shards, Pages::of(Wire::Json, &[7; 300], 3), DELAY);
    let (kinesis, dynamodb) = stub.clients();
    let settings = Settings::new("stream", "leases", "worker");
    let budget_mb = settings.bytes_in_flight_max >> 20;
    let interval = settings.read_interval.as_secs_f64();
    let consumer = Consumer::build(kinesis, dynamodb, settings, Accept).await?;
    let (stop, mut status) = (CancellationToken::new(), consumer.status());
    let running = tokio::spawn(consumer.run(stop.clone()));
    timeout(PATIENCE, status.wait_for(|status| status.held == shards)).await??;
    sleep(WARM).await;
    let (at, before) = (Instant::now(), stub.reads());
    sleep(WINDOW).await;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let (reads, shards) = ((stub.reads() - before) as f64, shards as f64);
    let reads_per_s = reads / at.elapsed().as_secs_f64();
    stop.cancel();
    timeout(PATIENCE, running).await???;
    Ok(json!({
        "section": "reads", "shards": shards, "budget_mb": budget_mb, "reads_per_s": reads_per_s,
        "reads_per_s_allowed": shards / interval, "interval_s": shards / reads_per_s,
    }))
}
