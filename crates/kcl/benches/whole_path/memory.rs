//! What a consumer's process holds: at rest, by number of shards, and with a backlog that its processor cannot
//! keep up with. It is alone in its process, and reaches the services through a socket, without TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use aws_types::SdkConfig;
use kcl::{Batch, Consumer, Failure, Metrics, Processor, Settings};
use local_aws::LocalAws;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::pages::{Pages, Wire};
use crate::stub::Stub;
use crate::usage::{cpu_s, rss_mb};
use crate::{Error, child, server};

pub(crate) const STREAM: &str = "stream";
const IDLE_SHARDS: [usize; 3] = [1, 100, 1_000];
/// Byte budgets in MB, and the bytes of a record.
const BACKLOGS: [(usize, usize); 4] = [(16, 300), (64, 300), (256, 300), (64, 25_000)];
const LOADED_SHARDS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(120);
const SETTLE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(15);
/// How long the processor holds a batch of a thousand records: slower than reading is.
const SLOW: Duration = Duration::from_secs(2);

/// At rest, by number of shards, on the embedded AWS.
pub(crate) async fn idle(tell: &mut impl FnMut(Value)) -> Result<(), Error> {
    for shards in IDLE_SHARDS {
        let aws = LocalAws::new();
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        let count = i32::try_from(shards)?;
        kinesis.create_stream().stream_name(STREAM).shard_count(count).send().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = listener.local_addr()?.to_string();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { aws.serve(listener, stop).await }
        });
        let measured = child::run(&["rest", &endpoint, &shards.to_string()]).await;
        stop.cancel();
        serving.await??;
        tell(measured?);
    }
    Ok(())
}

/// With a backlog, by byte budget, on the stub.
pub(crate) async fn loaded(tell: &mut impl FnMut(Value)) -> Result<(), Error> {
    for (budget, bytes) in BACKLOGS {
        let pages = Pages::full(Wire::Json, &vec![7; bytes]);
        let stub = Stub::new(LOADED_SHARDS, pages, Duration::ZERO);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = listener.local_addr()?.to_string();
        let serving = tokio::spawn(server::serve(stub, listener));
        let measured = child::run(&["backlog", &endpoint, &budget.to_string()]).await;
        serving.abort();
        let mut line = measured?;
        line["record_bytes"] = json!(bytes);
        tell(line);
    }
    Ok(())
}

/// Configuration for what is served at this address.
pub(crate) fn config(endpoint: SocketAddr) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = LocalAws::new().sdk_config().to_builder();
    config.endpoint_url(format!("http://{endpoint}")).http_client(http).build()
}

/// A child: rests with these shards.
pub(crate) async fn rest(endpoint: &str, shards: &str) -> Result<Value, Error> {
    let shards: usize = shards.parse()?;
    let config = config(endpoint.parse()?);
    let (kinesis, dynamodb) =
        (aws_sdk_kinesis::Client::new(&config), aws_sdk_dynamodb::Client::new(&config));
    let settings = Settings::new(STREAM, "leases", "worker");
    let consumer = Consumer::build(kinesis, dynamodb, settings, Slow).await?;
    let (before, _) = rss_mb()?;
    let (stop, mut status) = (CancellationToken::new(), consumer.status());
    let began = Instant::now();
    let running = tokio::spawn(consumer.run(stop.clone()));
    timeout(PATIENCE, status.wait_for(|status| status.held == shards)).await??;
    let started_s = began.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let (at, cpu) = (Instant::now(), cpu_s()?);
    sleep(WINDOW).await;
    let cores = (cpu_s()? - cpu) / at.elapsed().as_secs_f64();
    let (resident, peak) = rss_mb()?;
    stop.cancel();
    timeout(PATIENCE, running).await???;
    Ok(json!({
        "section": "idle", "shards": shards, "rss_before_mb": before, "rss_mb": resident,
        "rss_peak_mb": peak, "cores": cores, "all_held_after_s": started_s,
    }))
}

/// A processor that cannot keep up.
struct Slow;

impl Processor for Slow {
    async fn process(&self, _batch: &Batch) -> Result<(), Failure> {
        sleep(SLOW).await;
        Ok(())
    }
}

/// Remembers the most bytes in flight.
#[derive(Default)]
struct Most(AtomicUsize);

impl Metrics for Most {
    fn bytes_in_flight(&self, bytes: usize, _most: usize) {
        self.0.fetch_max(bytes, Relaxed);
    }
}

/// A child: is offered more than it can take, with this budget.
pub(crate) async fn backlog(endpoint: &str, budget_mb: &str) -> Result<Value, Error> {
    let budget_mb: usize = budget_mb.parse()?;
    let config = config(endpoint.parse()?);
    let (kinesis, dynamodb) =
        (aws_sdk_kinesis::Client::new(&config), aws_sdk_dynamodb::Client::new(&config));
    let settings = Settings {
        bytes_in_flight_max: budget_mb << 20,
        ..Settings::new(STREAM, "leases", "worker")
    };
    let most = Arc::new(Most::default());
    let consumer = Consumer::build(kinesis, dynamodb, settings, Slow).await?;
    let consumer = consumer.with_metrics(most.clone());
    let (stop, mut status) = (CancellationToken::new(), consumer.status());
    let running = tokio::spawn(consumer.run(stop.clone()));
    timeout(PATIENCE, status.wait_for(|status| status.held == LOADED_SHARDS)).await??;
    sleep(SETTLE + WINDOW).await;
    let (resident, peak) = rss_mb()?;
    running.abort();
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let in_flight_mb = most.0.load(Relaxed) as f64 / f64::from(1 << 20);
    Ok(json!({
        "section": "backlog", "shards": LOADED_SHARDS, "budget_mb": budget_mb,
        "most_in_flight_mb": in_flight_mb, "rss_mb": resident, "rss_peak_mb": peak,
    }))
}
