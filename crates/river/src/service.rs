//! A handler as a process.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use chassis::{Kit, Latch};
use event::catalogue::Entry;
use event::names::{River, Stage, Topic};
use event::{Advert, Packet, Producer};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::consumer::Consumer;
use crate::hook::{self, Hook};
use crate::metrics::Metrics;
use crate::rapids::{self, Author};
use crate::report::{Moment, Ping, Reporter};
use crate::{Alarm, Context, Experiments, Handler, Rapids};

/// A service that drinks from a river: `chassis::run::<river::Service<Location>>("location")`.
pub struct Service<H: Handler> {
    handler: Arc<H>,
    listens_to: Arc<[Packet]>,
    context: Context,
    config: Config<H::Config>,
    metrics: Metrics,
    hook: Hook,
    queue: Latch,
}

impl<H: Handler> chassis::Service for Service<H> {
    type Config = Config<H::Config>;

    async fn build(mut config: Self::Config, kit: &Kit) -> anyhow::Result<Self> {
        let stage = Stage::parse(&config.stage)?;
        let river = config.river.clone().unwrap_or_else(|| config.named(H::RIVER));
        let river = River::parse(&river, &stage)?;
        let producer = Producer {
            service: config.named(kit.service()),
            version: kit.version().to_owned(),
            instance: kit.instance().to_owned(),
        };
        let listens_to: Arc<[Packet]> = H::listens_to().into();
        check(&listens_to, H::EMITS)?;
        let metrics = Metrics::register(kit.registry(), river.as_str(), &listens_to, H::EMITS)?;
        let stream = config.rapids.clone().unwrap_or_else(|| stage.rapids());
        let control = config.control.clone().unwrap_or_else(|| stage.control());
        // The kit's own, unless the service hears everything anyway.
        let ping = Ping::packet();
        let covered = listens_to.iter().any(|packet| Topic::covers(packet.topic(), ping.topic()));
        let own = (config.report.lifecycle && !covered).then_some(ping);
        let hears: Vec<_> = listens_to.iter().cloned().chain(own).collect();
        let adverts = adverts::<H>(config.shadow)?;
        let hook = Hook {
            kit: kit.clone(),
            river: river.clone(),
            control,
            commands: hook::commands(
                &river,
                if config.subscribe { &hears } else { &[] },
                if config.advertise { adverts } else { Vec::new() },
            ),
        };
        let context = Context {
            rapids: Rapids::new(
                kit,
                stream,
                Author { producer: producer.clone(), domain: H::DOMAIN, shadow: config.shadow },
                metrics.clone(),
            ),
            alarm: Alarm::new(kit.sqs()),
            kit: kit.clone(),
            producer,
            stage,
            river,
        };
        let queue = kit.readiness().latch("river queue");
        let handler = H::build(std::mem::take(&mut config.handler), &context).await;
        let handler = Arc::new(handler.with_context(|| format!("building {}", kit.service()))?);
        Ok(Self { handler, listens_to, context, config, metrics, hook, queue })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { handler, listens_to, context, config, metrics, hook, queue } = self;
        let report = config.report;
        let (reporter, publishing) =
            Reporter::start(&context, &report, Arc::clone(&handler), metrics.clone());
        reporter.moment(Moment::Up);
        let ended = match hook.hook_in(&stop).await {
            Some(hooked) => {
                context.alarm.hooked_in(&hooked.queue_url);
                queue.release();
                let (reporter, every) = (reporter.clone(), config.experiments_every);
                let (dynamodb, watching) = (context.kit.dynamodb(), stop.child_token());
                let experiments =
                    Experiments::watch(dynamodb, &context.stage, every, watching).await;
                let consumer = Consumer {
                    context,
                    handler,
                    listens_to,
                    config,
                    metrics,
                    reporter,
                    experiments,
                };
                consumer.run(hooked, stop).await
            }
            None => Ok(()),
        };
        reporter.moment(Moment::Down);
        drop(reporter);
        publishing.end().await;
        ended
    }
}

/// What is advertised: every event type that the service emits, with what it says of it.
fn adverts<H: Handler>(shadow: bool) -> anyhow::Result<Vec<Advert>> {
    let told = H::adverts();
    if let Some(other) = told.iter().find(|advert| !H::EMITS.contains(&advert.topic.as_str())) {
        bail!("the service describes {}, which is not among what it emits", other.topic);
    }
    let advert = |topic: &&str| {
        let told = told.iter().find(|advert| advert.topic == *topic);
        let advert = told.cloned().unwrap_or_else(|| Advert::of(*topic));
        let known = Entry::default().with(&advert);
        known.with_context(|| format!("what the service says of {topic}"))?;
        Ok(Advert { topic: rapids::said(topic, shadow).into_owned(), ..advert })
    };
    H::EMITS.iter().map(advert).collect()
}

/// Names that SNS takes, and one declaration for each event type: a river has one subscription to it.
fn check(listens_to: &[Packet], emits: &[&str]) -> anyhow::Result<()> {
    let mut topics = BTreeSet::new();
    for packet in listens_to {
        packet.validate()?;
        let topic = packet.topic();
        ensure!(
            topics.insert(topic),
            "the service declares {topic} twice: join the two with Packet's rules"
        );
    }
    for topic in emits {
        Topic::parse(topic)?;
    }
    Ok(())
}
