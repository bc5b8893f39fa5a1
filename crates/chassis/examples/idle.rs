//! The smallest daemon: waits until it is told to stop, then takes its time. `tests/life.rs` runs it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chassis::{Kit, Latch, Problems, Service, Validate};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Serialize, Deserialize)]
struct Config {
    /// Time that work takes to settle after the stop.
    #[serde(with = "chassis::duration")]
    settle: Duration,
    /// Asks SQS something before it is built.
    call: bool,
    /// Refuses to be built.
    broken: bool,
    /// Never gets ready.
    stuck: bool,
    /// Fails as soon as it runs.
    failing: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { settle: Duration::ZERO, call: false, broken: false, stuck: false, failing: false }
    }
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.settle > Duration::from_secs(3_600) {
            problems.report("settle", "must be at most 1h");
        }
    }
}

struct Idle {
    config: Config,
    latch: Option<Latch>,
}

impl Service for Idle {
    type Config = Config;

    async fn build(config: Config, kit: &Kit) -> anyhow::Result<Self> {
        if config.call {
            kit.sqs().list_queues().send().await.context("could not list the queues")?;
        }
        ensure!(!config.broken, "told to be broken");
        let latch = config.stuck.then(|| kit.readiness().latch("what never comes"));
        Ok(Self { config, latch })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        ensure!(!self.config.failing, "told to fail");
        stop.cancelled().await;
        tokio::time::sleep(self.config.settle).await;
        drop(self.latch);
        Ok(())
    }
}

fn main() -> ExitCode {
    chassis::run::<Idle>("idle")
}
