//! How long a shard waits for its next owner, and a record for its processor. In real time.

use std::time::Duration;

use kcl::{Batch, Consumer, Failure, Processor, Settings};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::memory::{STREAM, config};
use crate::world::{SHARDS, World};
use crate::{Error, child};

const ROUNDS: usize = 20;
/// Failovers after a crash, in seconds, and how often each is tried.
const CRASHES: [(u64, usize); 2] = [(3, 10), (10, 3)];
const FAILOVER: Duration = Duration::from_secs(10);
/// Of reading undisturbed, before something happens at any moment of the next second.
const QUIET: Duration = Duration::from_secs(1);
const LATENCY_WINDOW: Duration = Duration::from_secs(15);

/// From a put to the processor: one worker, records in every shard all the time.
pub(crate) async fn latency(tell: &mut impl FnMut(Value)) -> Result<(), Error> {
    let world = World::new().await?;
    let mut worker = world.start("a", FAILOVER).await?;
    worker.holds(SHARDS).await?;
    sleep(QUIET).await;
    world.log.clear();
    sleep(LATENCY_WINDOW).await;
    let took = world.log.look(|log| {
        let of = |reading: &crate::world::Reading| {
            let at = reading.at;
            reading.put.iter().map(move |put| at - *put).collect::<Vec<_>>()
        };
        log.iter().flat_map(of).collect()
    });
    worker.stopped().await?;
    tell(line("a record, from its put to the processor", took));
    Ok(())
}

/// A worker joins another one, and goes again.
pub(crate) async fn rounds(tell: &mut impl FnMut(Value)) -> Result<(), Error> {
    let world = World::new().await?;
    let mut stays = world.start("stays", FAILOVER).await?;
    stays.holds(SHARDS).await?;
    let [mut joined, mut told, mut gaps_joining, mut left, mut gaps_leaving] =
        [const { Vec::new() }; 5];
    for round in 0..ROUNDS {
        quiet().await;
        let began = Instant::now();
        let mut comes = world.start(&format!("comes-{round}"), FAILOVER).await?;
        comes.holds(SHARDS / 2).await?;
        stays.holds(SHARDS / 2).await?;
        quiet().await;
        let shards = world.log.shards(&comes.name, began);
        for shard in &shards {
            let first = world.log.first(&comes.name, shard, began).await?;
            joined.push(first - began);
            gaps_joining.extend(world.log.last("stays", shard, first).map(|last| first - last));
        }
        told.extend(comes.hand_overs.all());
        let (stopped, name) = (Instant::now(), comes.name.clone());
        comes.stopped().await?;
        for shard in &shards {
            let first = world.log.first("stays", shard, stopped).await?;
            left.push(first - stopped);
            gaps_leaving.extend(world.log.last(&name, shard, first).map(|last| first - last));
        }
        stays.holds(SHARDS).await?;
        world.log.clear();
    }
    stays.stopped().await?;
    tell(line("a worker joins: from its start to its first batch of a shard", joined));
    tell(line("— from the old owner's last batch to the new one's first", gaps_joining));
    tell(line("— from the release, as seen, to the first read (`handed_over`)", told));
    tell(line("a worker stops: from the signal to the next owner's first batch", left));
    tell(line("— from the old owner's last batch to the new one's first", gaps_leaving));
    Ok(())
}

/// A worker's process is killed.
pub(crate) async fn crashes(tell: &mut impl FnMut(Value)) -> Result<(), Error> {
    for (failover_s, times) in CRASHES {
        let failover = Duration::from_secs(failover_s);
        let world = World::new().await?;
        let mut stays = world.start("stays", failover).await?;
        stays.holds(SHARDS).await?;
        let mut took = Vec::new();
        for round in 0..times {
            let name = format!("dies-{round}");
            let endpoint = world.endpoint.to_string();
            let mut dies = child::start(&["worker", &endpoint, &name, &failover_s.to_string()])?;
            stays.holds(SHARDS / 2).await?;
            sleep(failover).await;
            quiet().await;
            let kept = world.log.shards("stays", Instant::now() - QUIET);
            dies.kill().await?;
            let died = Instant::now();
            stays.holds(SHARDS).await?;
            let lost: Vec<_> = loop {
                let all = world.log.shards("stays", died);
                if all.len() == SHARDS {
                    break all.difference(&kept).cloned().collect();
                }
                sleep(QUIET / 100).await;
            };
            for shard in lost {
                took.push(world.log.first("stays", &shard, died).await? - died);
            }
        }
        stays.stopped().await?;
        tell(line(&format!("a worker is killed, failover {failover_s} s"), took));
    }
    Ok(())
}

struct Accept;

impl Processor for Accept {
    async fn process(&self, _batch: &Batch) -> Result<(), Failure> {
        Ok(())
    }
}

/// A child: a worker that runs until it is killed.
pub(crate) async fn worker(endpoint: &str, name: &str, failover_s: &str) -> Result<(), Error> {
    let config = config(endpoint.parse()?);
    let failover = Duration::from_secs(failover_s.parse()?);
    let settings = Settings { failover, ..Settings::new(STREAM, "leases", name) };
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let consumer = Consumer::build(kinesis, dynamodb, settings, Accept).await?;
    Ok(consumer.run(CancellationToken::new()).await?)
}

/// A while of no news, of no fixed length: what happens then is not in step with any timer.
async fn quiet() {
    sleep(QUIET + QUIET.mul_f64(fastrand::f64())).await;
}

fn line(what: &str, mut took: Vec<Duration>) -> Value {
    took.sort_unstable();
    let at = |part: usize| took.get((took.len() * part).div_ceil(100).max(1) - 1);
    let ms = |part| at(part).map(|took| took.as_secs_f64() * 1e3);
    json!({
        "section": "times", "what": what, "samples": took.len(),
        "p50_ms": ms(50), "p95_ms": ms(95), "max_ms": ms(100),
    })
}
