//! The monitor on its river.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use event::names::Stage;
use event::{Event, Producer};
use jiff::Timestamp;
use river::{Context, Experiments, Failure, Handler, Outcome, Packet, Rapids};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::audit::Wish;
use crate::config::Config;
use crate::depths::Depths;
use crate::desk::Desk;
use crate::metrics::{Metrics, Ways};
use crate::wanted;

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Time between two looks at the table of experiments, as in the kit.
const EXPERIMENTS_EVERY: Duration = Duration::from_secs(5);

/// Longest time for putting its own events onto the rapids: nothing is judged meanwhile.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// A timer that does not hurry after what it missed.
fn skipping(mut timer: Interval) -> Interval {
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Topics by river and status.
type Statuses = BTreeMap<(String, String), i64>;

/// Watches a stage.
pub struct Monitor {
    desk: Mutex<Desk>,
    experiments: OnceLock<Experiments>,
    /// Why the last events of its own are not on the rapids.
    unsaid: Mutex<Option<String>>,
    config: Config,
    rapids: Rapids,
    metrics: Ways,
    sqs: aws_sdk_sqs::Client,
    dynamodb: Client,
    stage: Stage,
    time: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Handler for Monitor {
    const RIVER: &'static str = "monitor";
    const EMITS: &'static [&'static str] =
        &["ViewPage", "system.Ping", "system.ServiceSilent", "system.EventMissing"];
    const DOMAIN: &'static str = "system";
    type Config = Config;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("*")]
    }

    async fn build(config: Config, context: &Context) -> anyhow::Result<Self> {
        let kit = context.kit();
        let metrics = Metrics::register(kit.registry()).context("metrics of the monitor")?;
        let producer = Producer {
            service: context.service().to_owned(),
            version: kit.version().to_owned(),
            instance: kit.instance().to_owned(),
        };
        let ways = metrics.ways.clone();
        let time = context.time();
        Ok(Self {
            metrics: ways,
            sqs: kit.sqs(),
            desk: Mutex::new(Desk::new(
                &config,
                producer,
                context.river().as_str(),
                metrics,
                time(),
            )),
            experiments: OnceLock::new(),
            unsaid: Mutex::default(),
            config,
            rapids: context.rapids(),
            dynamodb: kit.dynamodb(),
            stage: context.stage().clone(),
            time: Box::new(time),
        })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        let is_new = self.desk().heard(event, self.experiments.get(), (self.time)());
        Ok(if is_new { Outcome::done() } else { Outcome::Duplicate })
    }

    async fn self_check(&self) -> Result<(), String> {
        let unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(why) = unsaid {
            return Err(format!("its events are not on the rapids: {why}"));
        }
        match self.desk().rival() {
            Some(rival) => Err(format!(
                "{rival} drinks from the same river: each hears half of the events, and neither is right; run one"
            )),
            None => Ok(()),
        }
    }

    async fn background(&self, stop: CancellationToken) {
        let (dynamodb, child) = (self.dynamodb.clone(), stop.child_token());
        let watching = Experiments::watch(dynamodb, &self.stage, EXPERIMENTS_EVERY, child);
        let Some(experiments) = stop.run_until_cancelled(watching).await else { return };
        self.experiments.set(experiments).ok(); // Nobody else sets it.
        let both = async { tokio::join!(self.look_around(), self.watch()) };
        stop.run_until_cancelled(both).await;
    }
}

impl Monitor {
    /// What is asked of AWS, apart from what time brings: it may take long.
    async fn look_around(&self) {
        let mut looks = skipping(interval(self.config.wanted_every));
        let mut known = Statuses::new();
        let mut depths = Depths::new(self.sqs.clone(), self.stage.clone(), self.metrics.clone());
        loop {
            looks.tick().await;
            known = self.look(known, &mut depths).await;
        }
    }

    async fn watch(&self) {
        let Config { ping_every, probe, .. } = &self.config;
        let later = |every: Duration| skipping(interval_at(Instant::now() + every, every));
        let (mut ticks, mut pings, mut probes) =
            (later(TICK), later(*ping_every), later(probe.every));
        loop {
            tokio::select! {
                biased;
                _ = pings.tick() => {
                    let ping = self.desk().ping((self.time)());
                    self.say(&ping).await;
                }
                _ = probes.tick(), if probe.enabled => {
                    let views = self.desk().probe((self.time)());
                    self.say(&views).await;
                }
                _ = ticks.tick() => {
                    let told = self.desk().tick((self.time)());
                    self.say(&told).await;
                }
            }
        }
    }

    /// Looks who wants what, and how much waits there; what was known is known on if that cannot be told.
    async fn look(&self, before: Statuses, depths: &mut Depths) -> Statuses {
        let table = self.stage.subscriptions_table();
        let statuses = match wanted::read(&self.dynamodb, &table).await {
            Ok(wanted) => {
                let mut arms = self.experiments.get().map(Experiments::rivers).unwrap_or_default();
                let wish = |(river, packets): (String, _)| {
                    let arms = arms.remove(&river).unwrap_or_default();
                    (river, Wish { packets, arms })
                };
                let wishes = wanted.active.into_iter().map(wish).collect();
                self.desk().wanted(wishes, (self.time)());
                wanted.statuses
            }
            Err(error) => {
                warn!(table, error, "could not look who wants what");
                before.clone()
            }
        };
        for ((river, status), count) in &statuses {
            self.metrics.subscriptions.with_label_values(&[river, status]).set(*count);
        }
        for (river, status) in before.keys().filter(|key| !statuses.contains_key(key)) {
            self.metrics.subscriptions.remove_label_values(&[river, status]).ok(); // It was there.
        }
        let rivers = |statuses: &Statuses| -> BTreeSet<String> {
            statuses.keys().map(|(river, _)| river.clone()).collect()
        };
        let now = rivers(&statuses);
        rivers(&before).difference(&now).for_each(|gone| depths.forget(gone));
        let at = (self.time)();
        let empty = depths.look(&now.into_iter().collect::<Vec<_>>()).await;
        let mut desk = self.desk();
        empty.iter().for_each(|river| desk.emptied(river, at));
        drop(desk);
        statuses
    }

    /// Puts its own events onto the rapids. What they do not take is not said again: pings and probes fail by that,
    /// as they should, and all else is counted.
    async fn say(&self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        let published = timeout(SAID_WITHIN, self.rapids.publish(events)).await;
        let result = match published {
            Ok(result) => result.map_err(|error| chassis::explain(&error)),
            Err(_) => Err(format!("it took longer than {} s", SAID_WITHIN.as_secs())),
        };
        let before = std::mem::replace(
            &mut *self.unsaid.lock().unwrap_or_else(PoisonError::into_inner),
            result.as_ref().err().cloned(),
        );
        match (result, before) {
            (Err(error), _) => warn!(error, events = events.len(), "could not say something"),
            (Ok(()), Some(_)) => info!("its events are on the rapids again"),
            (Ok(()), None) => {}
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
