//! The service: connects, checks, reads.

use std::sync::Arc;

use anyhow::Context as _;
use chassis::{Kit, Latch, Service};
use event::names::Stage;
use kcl::Consumer;
use quarantine::Quarantine;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::act::Hands;
use crate::arn::Arns;
use crate::blueprint::Blueprint;
use crate::config::Config;
use crate::handler::Handler;
use crate::held::Held;
use crate::metrics::Metrics;
use crate::nudge::Nudges;
use crate::patrol::Patrol;
use crate::queue::Queues;
use crate::reconcile::Reconciler;
use crate::subscription::Subscriptions;
use crate::tables::{Published, Tables};

/// One of the processes that share the shards of the control stream.
pub struct ControlPlane {
    consumer: Consumer<Handler>,
    patrol: Patrol,
    first_look: Latch,
}

impl Service for ControlPlane {
    type Config = Config;

    async fn build(config: Config, kit: &Kit) -> anyhow::Result<Self> {
        let stage = Stage::parse(&config.stage)?;
        let settings = config.kcl(&stage, kit.instance());
        let handler = handler(&config, &stage, kit).await?;
        let patrol = Patrol {
            reconciler: handler.reconciler.clone(),
            held: handler.held.clone(),
            kinesis: kit.kinesis(),
            control: settings.stream.clone(),
            every: config.reconcile_every,
        };
        let first_look = kit.readiness().latch("first look at the leases");
        let stream = settings.stream.clone();
        let consumer = Consumer::build(kit.kinesis(), kit.dynamodb(), settings, handler).await;
        let consumer = consumer
            .with_context(|| format!("cannot read {stream} (`rapids bootstrap` makes it)"))?;
        let consumer = consumer.with_metrics(chassis::consumer_metrics(kit.registry())?);
        Ok(Self { consumer, patrol, first_look })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { consumer, patrol, first_look } = self;
        let mut status = consumer.status();
        let ready = async move {
            status.wait_for(|status| status.looks > 0).await.ok(); // Fails once the consumer is gone.
            drop(first_look);
        };
        // It ends with the consumer, however that ends.
        let watch = CancellationToken::new();
        let consumed = async {
            let _ended = watch.clone().drop_guard();
            consumer.run(stop).await
        };
        let (consumed, (), ()) = tokio::join!(consumed, patrol.run(watch.clone()), ready);
        Ok(consumed?)
    }
}

/// Makes the tables of a stage where they are missing, and waits until they can be used. Their names.
///
/// # Errors
/// What DynamoDB refuses, or a table that does not become active.
pub async fn ensure_tables(
    dynamodb: aws_sdk_dynamodb::Client,
    stage: &Stage,
) -> anyhow::Result<[String; 4]> {
    Tables::new(dynamodb, stage).ensure(None).await?;
    Ok([
        stage.subscriptions_table(),
        stage.topics_table(),
        stage.experiments_table(),
        stage.rivers_table(),
    ])
}

/// All that the commands of a stage are carried out with; its tables and its quarantine are there afterwards.
pub(crate) async fn handler(config: &Config, stage: &Stage, kit: &Kit) -> anyhow::Result<Handler> {
    let arns = Arns::of_topic(&topic_arn(config, stage, &kit.sns()).await?)?;
    let tables = Tables::new(kit.dynamodb(), stage);
    tables.ensure(config.kms_key.as_deref()).await?;
    let settings = serde_json::to_string(config).context("settings that JSON cannot hold")?;
    tables.publish(&Published { settings, topic_arn: arns.topic().to_owned() }).await?;
    let quarantine = stage.control_quarantine();
    let quarantine = Quarantine::open(kit.sqs(), &quarantine, config.kms_key.as_deref()).await?;
    let hands = Hands {
        queues: Queues(kit.sqs()),
        subscriptions: Subscriptions { sns: kit.sns(), topic_arn: arns.topic().to_owned() },
        tables,
        nudges: Nudges {
            kinesis: kit.kinesis(),
            rapids: config.rapids.clone().unwrap_or_else(|| stage.rapids()),
        },
    };
    let metrics = Metrics::register(kit.registry())?;
    Ok(Handler {
        stage: stage.clone(),
        reconciler: Reconciler {
            blueprint: Blueprint::new(config, arns),
            hands,
            clock: *kit.clock(),
            stage: stage.clone(),
            agenda: Arc::default(),
            metrics: metrics.clone(),
            turn: Arc::new(Semaphore::new(1)),
        },
        quarantine,
        metrics,
        held: Held::default(),
    })
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
