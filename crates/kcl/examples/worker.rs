//! A worker as a process of its own, for fleets that are mixed of several libraries: it writes down what it reads,
//! one line of JSON a record, and stops in good order at SIGTERM.
//!
//! `cargo run -p kcl --example worker -- http://127.0.0.1:4566 STREAM TABLE WORKER MODE`, where `MODE` is
//! `native`, `compat2x` or `participant3x`. For the embedded AWS only: its credentials are not real.

use std::io::Write as _;

use kcl::{Batch, Consumer, Ended, Failure, Mode, Processor, Settings, ShardContext};
use local_aws::LocalAws;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

type Error = Box<dyn std::error::Error>;

/// Writes down what it is handed.
struct Scribe {
    worker: String,
}

impl Scribe {
    fn say(&self, lines: &[Value]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for line in lines {
            let mut line = line.clone();
            line["worker"] = json!(self.worker);
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

impl Processor for Scribe {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let line = |record: &kcl::Record| {
            json!({
                "event": "record",
                "shard": *batch.shard.id,
                "seq": record.position.sequence.to_string(),
                "sub": record.position.sub_sequence,
                "data": String::from_utf8_lossy(&record.data),
            })
        };
        let lines: Vec<_> = batch.records.iter().map(line).collect();
        self.say(&lines).map_err(|error| Failure::retry(error.to_string()))
    }

    async fn started(&self, shard: &ShardContext) {
        self.say(&[json!({"event": "started", "shard": *shard.id})]).ok(); // Only the tale suffers.
    }

    async fn ended(&self, shard: &ShardContext, why: Ended) {
        let why = format!("{why:?}").to_lowercase();
        self.say(&[json!({"event": why, "shard": *shard.id})]).ok(); // Only the tale suffers.
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [endpoint, stream, table, worker, mode] = arguments.as_slice() else {
        return Err(
            "usage: worker ENDPOINT STREAM TABLE WORKER native|compat2x|participant3x".into()
        );
    };
    let mode = match mode.as_str() {
        "native" => Mode::Native,
        "compat2x" => Mode::Compat2x,
        "participant3x" => Mode::Participant3x,
        other => return Err(format!("no mode {other}").into()),
    };
    let config = LocalAws::new().sdk_config().to_builder().endpoint_url(endpoint);
    let config = config.http_client(aws_smithy_http_client::Builder::new().build_http()).build();
    let settings = Settings { mode, ..Settings::new(stream, table, worker) };
    let scribe = Scribe { worker: worker.clone() };
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let consumer = Consumer::build(kinesis, dynamodb, settings, scribe).await?;

    let stop = CancellationToken::new();
    let ends = stop.clone();
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        terminated.recv().await;
        ends.cancel();
    });
    Ok(consumer.run(stop).await?)
}
