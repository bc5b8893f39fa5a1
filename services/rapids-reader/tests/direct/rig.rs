//! A reader, and what it is told.

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use chassis::{Embedded, Kit, embed};
use local_aws::LocalAws;
use rapids_reader::{Config, RapidsReader};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::common::{PATIENCE, World};

/// No poll within a test: only what the rapids tell of is looked up.
pub(crate) const NEVER: Duration = Duration::from_secs(1_000_000);
pub(crate) const UNDELIVERABLE_AFTER: Duration = Duration::from_secs(60);

pub(crate) struct Reader {
    kit: Kit,
    running: Embedded,
    stop: CancellationToken,
}

impl Reader {
    pub(crate) async fn start(world: &World, config: Config) -> Self {
        Self::try_start(world, config).await.unwrap()
    }

    pub(crate) async fn try_start(world: &World, config: Config) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let kit = Kit::new("rapids-reader", world.aws.sdk_config());
        let config = Config { failover: Duration::from_secs(2), renewal_thread: false, ..config };
        let running = embed::<RapidsReader>(kit.clone(), config, None, stop.clone()).await?;
        Ok(Self { kit, running, stop })
    }

    /// The sample of a metric whose line begins so.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let metrics = prometheus::TextEncoder::new();
        let metrics = metrics.encode_to_string(&self.kit.registry().gather()).unwrap();
        let sample = metrics.lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok());
        sample.unwrap_or_default()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.join().await.unwrap();
    }
}

/// A stream with one shard, the river `all` by SNS, and a table of routes that are at version 1.
pub(crate) async fn world() -> World {
    let world = World::new(LocalAws::new(), 1).await;
    world.table("Rivers-dev", "River").await;
    world.routes_version(1).await;
    world
}

pub(crate) fn config() -> Config {
    Config { routes_every: NEVER, undeliverable_after: UNDELIVERABLE_AFTER, ..Config::default() }
}

pub(crate) fn event(event_type: &str, id: u32) -> String {
    format!(r#"{{"eventType":"{event_type}","eventId":"{id}","timestamp":"2026-11-23T10:00:00Z"}}"#)
}

pub(crate) fn nudge(version: u64) -> String {
    format!(
        r#"{{"eventType":"system.RoutesChanged","eventId":"0","payload":{{"version":{version}}}}}"#
    )
}

pub(crate) fn in_order(messages: &[Message]) -> Vec<u32> {
    let id = |message: &Message| {
        let event: serde_json::Value = serde_json::from_str(message.body().unwrap()).unwrap();
        event["eventId"].as_str().unwrap().parse().unwrap()
    };
    messages.iter().map(id).collect()
}

pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let arrives = async {
        while !condition().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE * 10, arrives).await.is_ok(), "in vain: {what}");
}
