//! How fast the kit drains a river, and at what price: `cargo bench -p river --bench consume -- 100000`.
//!
//! The river is one of `local-aws` in this process, so the CPU time is that of both, and nothing waits for a network.
//! Beside it runs the loop that is written without a kit: receive ten, handle, delete one by one. In the kit's figures
//! are batched deletes, bounds, turns, the parsing of events and metrics.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry as Entry;
use chassis::{Kit, Problems, Validate, embed};
use event::Event;
use jiff::Timestamp;
use local_aws::{LocalAws, Service};
use river::{Context, Failure, Handler, Outcome, Packet, Report};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Messages unless the command line says otherwise.
const MESSAGES: usize = 100_000;
/// Ticks a second in `/proc`, on every architecture that Rust runs on.
const TICKS: f64 = 100.0;

struct Counting(Arc<AtomicUsize>);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Config {
    #[serde(skip)]
    handled: Arc<AtomicUsize>,
}

impl Validate for Config {
    fn validate(&self, _: &mut Problems) {}
}

impl Handler for Counting {
    const RIVER: &'static str = "counting";
    const EMITS: &'static [&'static str] = &[];
    const DOMAIN: &'static str = "bench";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("Tick")]
    }

    async fn build(config: Config, _: &Context) -> anyhow::Result<Self> {
        Ok(Self(config.handled))
    }

    async fn handle(&self, _: &Event) -> std::result::Result<Outcome, Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::done())
    }
}

/// What draining cost.
struct Cost {
    took: Duration,
    cpu_s: f64,
    calls: u64,
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn print(&self, name: &str, messages: usize) -> f64 {
        let rate = messages as f64 / self.took.as_secs_f64();
        let cpu = self.cpu_s * 1e6 / messages as f64;
        let calls = self.calls as f64 / messages as f64;
        println!(
            "{name:<12} {rate:>9.0} messages/s {cpu:>7.1} CPU s/million {calls:>6.3} calls/message"
        );
        rate
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo adds --bench.
    let number = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let messages = number.unwrap_or(MESSAGES);
    println!("{messages} messages, handlers that do nothing");
    let kit = drain_with_the_kit(messages).await?.print("kit", messages);
    let one_by_one = drain_one_by_one(messages).await?.print("one by one", messages);
    println!("the kit drains {:.2} times as fast", kit / one_by_one);
    Ok(())
}

/// A queue with so many small events.
async fn filled(messages: usize) -> Result<(LocalAws, aws_sdk_sqs::Client, String)> {
    let aws = LocalAws::new();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let queue = sqs.create_queue().queue_name("counting-dev").send().await?;
    let url = queue.queue_url.ok_or("no URL")?;
    let event = Event::root("Tick", "bench", json!({"n": 1}), Timestamp::UNIX_EPOCH).to_json();
    let numbers: Vec<_> = (0..messages).collect();
    for chunk in numbers.chunks(10) {
        let entry = |n: &usize| Entry::builder().id(n.to_string()).message_body(&event).build();
        let entries = chunk.iter().map(entry).collect::<std::result::Result<Vec<_>, _>>()?;
        sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await?;
    }
    Ok((aws, sqs, url))
}

async fn drain_with_the_kit(messages: usize) -> Result<Cost> {
    let (aws, _, _) = filled(messages).await?;
    let stop = CancellationToken::new();
    let config = river::Config::<Config> {
        subscribe: false,
        report: Report::OFF,
        concurrency: 100,
        ..river::Config::default()
    };
    let handled = Arc::clone(&config.handler.handled);
    let (started, cpu_s) = (Instant::now(), cpu_s()?);
    let kit = Kit::new("counting", aws.sdk_config());
    let service = embed::<river::Service<Counting>>(kit, config, None, stop.clone()).await?;
    while handled.load(Ordering::Relaxed) < messages {
        sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    // What was handled last is deleted in the meantime. The last poll of an idle queue is not the kit's speed.
    let took = started.elapsed();
    service.join().await?;
    cost(&aws, took, cpu_s, "DeleteMessageBatch")
}

async fn drain_one_by_one(messages: usize) -> Result<Cost> {
    let (aws, sqs, url) = filled(messages).await?;
    let (started, cpu_s) = (Instant::now(), cpu_s()?);
    let mut handled = 0;
    while handled < messages {
        let receive = sqs.receive_message().queue_url(&url).max_number_of_messages(10);
        for message in receive.send().await?.messages.unwrap_or_default() {
            Event::parse(message.body().unwrap_or_default().as_bytes())?;
            let receipt = message.receipt_handle.unwrap_or_default();
            sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await?;
            handled += 1;
        }
    }
    cost(&aws, started.elapsed(), cpu_s, "DeleteMessage")
}

fn cost(aws: &LocalAws, took: Duration, before_s: f64, delete: &str) -> Result<Cost> {
    let calls = aws.calls(Service::Sqs, "ReceiveMessage") + aws.calls(Service::Sqs, delete);
    Ok(Cost { took, cpu_s: cpu_s()? - before_s, calls })
}

/// CPU seconds of all threads so far.
fn cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? / TICKS)
}
