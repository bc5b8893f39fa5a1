//! How many records a core carries, and what of its time is whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kcl::{Aggregator, Batch, Consumer, Failure, Lanes, Processor, Settings};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::pages::{Pages, Wire, iterator};
use crate::stub::Stub;
use crate::usage::{cpu_s, rss_mb};
use crate::{Error, cbor, json};

/// Enough shards that what Kinesis allows each of them is more than the processor can do.
const SHARDS: usize = 512;
/// Until the caches are warm and the first pages, which all shards ask for at once, are through.
const WARM: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(10);
/// Calls at once where the SDK is measured alone.
const CALLS: usize = 4;
/// Records that wait in the stream of deliveries.
const STREAM_CAPACITY: usize = 1_000;

/// What is carried, and how far.
const LOADS: [&str; 3] = ["300 B", "25 KB", AGGREGATED];
/// Records of 300 bytes in aggregates of 25 KB.
const AGGREGATED: &str = "300 B aggregated";
const AGGREGATE_BYTES: usize = 25_000;
const WAYS: [&str; 12] = [
    "stub alone",
    "decoder alone",
    "decoder alone, CBOR",
    "SDK alone",
    "SDK alone, CBOR",
    "Processor",
    "Processor, CBOR",
    "Processor, ByKey(8)",
    "each",
    "each, ByKey(8)",
    "stream",
    "stream, Unordered(8)",
];

/// What is measured: a load, and a way to carry it.
pub(crate) fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = LOADS.into_iter().flat_map(|load| WAYS.map(|way| (load, way)));
    // What does not take aggregates apart, and how records go on from there, is told by the others.
    all.filter(|(load, way)| *load == "300 B" || way.starts_with("Processor") || !is_kcl(way))
        .filter(|(load, way)| *load != AGGREGATED || is_kcl(way))
}

fn is_kcl(way: &str) -> bool {
    !way.contains("alone")
}

/// Records and bytes that arrived.
#[derive(Default)]
struct Arrived {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Arrived {
    fn add(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// Accepts everything.
struct Sink(Arc<Arrived>);

impl Processor for Sink {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let bytes = batch.records.iter().map(|record| record.data.len()).sum();
        self.0.add(batch.records.len(), bytes);
        Ok(())
    }
}

/// Runs one case in this process.
pub(crate) fn run(load: &str, way: &str) -> Result<Value, Error> {
    let wire = if way.ends_with("CBOR") { Wire::Cbor } else { Wire::Json };
    let data = payload(load)?;
    let stub = Stub::new(SHARDS, Pages::full(wire, &data), Duration::ZERO);
    let arrived = Arc::new(Arrived::default());
    let measured = match way {
        "stub alone" | "decoder alone" | "decoder alone, CBOR" => {
            decode(&Pages::full(wire, &data), way != "stub alone", &arrived)?
        }
        "SDK alone" | "SDK alone, CBOR" => runtime()?.block_on(call(&stub, &arrived))?,
        _ => runtime()?.block_on(consume(&stub, way, &arrived))?,
    };
    let (resident, peak) = rss_mb()?;
    let mut line = json!({
        "section": "throughput", "load": load, "way": way, "rss_mb": resident, "rss_peak_mb": peak,
    });
    measured.tell(&mut line);
    Ok(line)
}

/// The bytes of a record as Kinesis has it, of no pattern.
fn payload(load: &str) -> Result<Vec<u8>, Error> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = |many| (0..many).map(|_| random.u8(..)).collect::<Vec<_>>();
    match load {
        "300 B" => Ok(bytes(300)),
        "25 KB" => Ok(bytes(25_000)),
        AGGREGATED => {
            let mut aggregator = Aggregator::new(AGGREGATE_BYTES);
            for record in 0.. {
                let key = format!("customer-{:07}", record % 1_000);
                if let Some(full) = aggregator.add(&key, None, bytes(300))? {
                    return Ok(full.data.to_vec());
                }
            }
            Err("it never fills".into())
        }
        _ => Err(format!("no load {load}").into()),
    }
}

fn runtime() -> Result<Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Makes the answers, and reads their records without the SDK if that is asked for.
fn decode(pages: &Pages, reads: bool, arrived: &Arrived) -> Result<Measured, Error> {
    let begin = Mark::set(arrived)?;
    for page in 1.. {
        let body = std::hint::black_box(pages.serve(page));
        let records = match (reads, pages.wire) {
            (false, _) => Vec::new(),
            (true, Wire::Json) => json::records(body)?,
            (true, Wire::Cbor) => cbor::records(&body)?,
        };
        if reads && records.len() != pages.records() {
            return Err(format!("{} records were read", records.len()).into());
        }
        arrived.add(pages.records(), pages.records() * pages.record_bytes);
        if begin.at.elapsed() > WINDOW / 2 {
            break;
        }
    }
    begin.measure(arrived)
}

/// Makes the calls and drops what they give.
async fn call(stub: &Stub, arrived: &Arc<Arrived>) -> Result<Measured, Error> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLS {
        let (kinesis, _) = stub.clients();
        let arrived = arrived.clone();
        callers.spawn(async move {
            let mut next = Some(iterator(1));
            while let Some(iterator) = next {
                let reply = kinesis.get_records().shard_iterator(iterator).limit(10_000).send();
                let reply = reply.await?;
                let bytes = reply.records.iter().map(|record| record.data.as_ref().len()).sum();
                arrived.add(reply.records.len(), bytes);
                next = reply.next_shard_iterator;
            }
            Ok::<_, Error>(())
        });
    }
    sleep(WARM / 3).await;
    let begin = Mark::set(arrived)?;
    tokio::select! {
        () = sleep(WINDOW) => {}
        Some(ended) = callers.join_next() => ended??,
    }
    begin.measure(arrived)
}

/// The whole way.
async fn consume(stub: &Stub, way: &str, arrived: &Arc<Arrived>) -> Result<Measured, Error> {
    let lanes = match way.rsplit_once(", ") {
        Some((_, "ByKey(8)")) => Lanes::ByKey(8),
        Some((_, "Unordered(8)")) => Lanes::Unordered(8),
        _ => Lanes::One,
    };
    let settings = Settings { lanes, ..Settings::new("stream", "leases", "worker") };
    let counted = arrived.clone();
    match way.split(',').next() {
        Some("Processor") => watch(stub, settings, Sink(counted), arrived).await,
        Some("each") => {
            let each = kcl::each(move |record, _| {
                counted.add(1, record.data.len());
                std::future::ready(Ok(()))
            });
            watch(stub, settings, each, arrived).await
        }
        Some("stream") => {
            let (processor, mut deliveries) = kcl::stream(STREAM_CAPACITY);
            tokio::spawn(async move {
                while let Some(delivery) = deliveries.next().await {
                    counted.add(1, delivery.record().data.len());
                    delivery.ack();
                }
            });
            watch(stub, settings, processor, arrived).await
        }
        _ => Err(format!("no way {way}").into()),
    }
}

async fn watch(
    stub: &Stub,
    settings: Settings,
    processor: impl Processor,
    arrived: &Arrived,
) -> Result<Measured, Error> {
    let (kinesis, dynamodb) = stub.clients();
    let consumer = Consumer::build(kinesis, dynamodb, settings, processor).await?;
    let (stop, mut status) = (CancellationToken::new(), consumer.status());
    let running = tokio::spawn(consumer.run(stop.clone()));
    timeout(WINDOW, status.wait_for(|status| status.held == SHARDS)).await??;
    sleep(WARM).await;
    let begin = Mark::set(arrived)?;
    sleep(WINDOW).await;
    let measured = begin.measure(arrived)?;
    stop.cancel();
    timeout(WINDOW, running).await???;
    Ok(measured)
}

/// Where a measurement begins.
pub(crate) struct Mark {
    at: Instant,
    cpu_s: f64,
    records: u64,
    bytes: u64,
}

struct Measured {
    wall_s: f64,
    cpu_s: f64,
    records: f64,
    bytes: f64,
}

impl Mark {
    fn set(arrived: &Arrived) -> Result<Self, Error> {
        let (records, bytes) = (arrived.records.load(Relaxed), arrived.bytes.load(Relaxed));
        Ok(Self { at: Instant::now(), cpu_s: cpu_s()?, records, bytes })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    fn measure(&self, arrived: &Arrived) -> Result<Measured, Error> {
        Ok(Measured {
            wall_s: self.at.elapsed().as_secs_f64(),
            cpu_s: cpu_s()? - self.cpu_s,
            records: (arrived.records.load(Relaxed) - self.records) as f64,
            bytes: (arrived.bytes.load(Relaxed) - self.bytes) as f64,
        })
    }
}

impl Measured {
    fn tell(&self, line: &mut Value) {
        line["records_per_s"] = json!(self.records / self.wall_s);
        line["mb_per_s"] = json!(self.bytes / self.wall_s / 1e6);
        line["cores"] = json!(self.cpu_s / self.wall_s);
        line["cpu_s_per_million"] = json!(self.cpu_s / self.records * 1e6);
        line["cpu_s_per_gb"] = json!(self.cpu_s / self.bytes * 1e9);
    }
}
