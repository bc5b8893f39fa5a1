//! The service: connects, checks, reads.

use std::sync::Mutex;

use anyhow::Context as _;
use chassis::{Kit, Latch, Service};
use event::names::Stage;
use kcl::Consumer;
use quarantine::Quarantine;
use river::Experiments;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::carrier::Carrier;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::owed::Ledger;
use crate::publish::Publisher;
use crate::put_away::PutAway;
use crate::routes::Routes;
use crate::send::Sender;

/// One of the processes that share the shards of the rapids.
pub struct RapidsReader {
    consumer: Consumer<Carrier>,
    /// Ends what looks for experiments and routes.
    watching: DropGuard,
    first_look: Latch,
}

impl Service for RapidsReader {
    type Config = Config;

    async fn build(config: Config, kit: &Kit) -> anyhow::Result<Self> {
        let stage = Stage::parse(&config.stage)?;
        let settings = config.kcl(&stage, kit.instance());
        let metrics = Metrics::register(kit.registry())?;
        let watching = CancellationToken::new();
        let every = config.experiments_every;
        let experiments = Experiments::watch(kit.dynamodb(), &stage, every, watching.clone()).await;
        let (every, stop) = (config.routes_every, watching.clone());
        let routes = Routes::watch(kit.dynamodb(), &stage, every, metrics.clone(), stop).await;
        let quarantine = Quarantine::open(kit.sqs(), &stage.rapids_quarantine(), None).await?;
        let carrier = Carrier {
            publisher: publisher(&config, &stage, kit, &metrics).await?,
            sender: Sender::new(kit.sqs(), config.fair, metrics.clone()),
            routes,
            put_away: PutAway { quarantine, metrics: metrics.clone() },
            experiments,
            undeliverable_after: config.undeliverable_after,
            clock: *kit.clock(),
            metrics: metrics.clone(),
            owed: Ledger::default(),
            begun: Mutex::default(),
        };
        let first_look = kit.readiness().latch("first look at the leases");
        let stream = settings.stream.clone();
        let consumer = Consumer::build(kit.kinesis(), kit.dynamodb(), settings, carrier).await;
        let consumer = consumer
            .with_context(|| format!("cannot read {stream} (`rapids bootstrap` makes it)"))?;
        let consumer = consumer.with_metrics(chassis::consumer_metrics(kit.registry())?);
        Ok(Self { consumer, watching: watching.drop_guard(), first_look })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { consumer, watching: _watching, first_look } = self;
        let mut status = consumer.status();
        let ready = async move {
            status.wait_for(|status| status.looks > 0).await.ok(); // Fails once the consumer is gone.
            drop(first_look);
        };
        let (consumed, ()) = tokio::join!(consumer.run(stop), ready);
        Ok(consumed?)
    }
}

/// What publishes to SNS, where that is to be published to.
async fn publisher(
    config: &Config,
    stage: &Stage,
    kit: &Kit,
    metrics: &Metrics,
) -> anyhow::Result<Option<Publisher>> {
    if !config.sns {
        return Ok(None);
    }
    let topic_arn = topic_arn(config, stage, &kit.sns()).await?;
    let metrics = metrics.clone();
    Ok(Some(Publisher { topic_arn, sns: kit.sns(), fair: config.fair, metrics }))
}

/// The topic's ARN: as configured, or of the topic with the stage's name, which is made if it is missing.
async fn topic_arn(
    config: &Config,
    stage: &Stage,
    sns: &aws_sdk_sns::Client,
) -> anyhow::Result<String> {
    if let Some(arn) = &config.topic_arn {
        return Ok(arn.clone());
    }
    let name = stage.rapids();
    let topic = sns.create_topic().name(&name).send().await;
    let topic = topic.with_context(|| format!("looking up SNS topic {name}"))?;
    topic.topic_arn.with_context(|| format!("SNS gave no ARN for topic {name}"))
}
