//! A worker: looks at the leases on a timer, takes what is due to it, and reads what it holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::balance::{self, Me, Observed};
use crate::budget::Budget;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::held::HeldLease;
use crate::lease::table::{LeaseTable, Outcome};
use crate::lease::transition::Transition;
use crate::metrics::{Metrics, NoMetrics};
use crate::processor::Ended;
use crate::processor::Processor;
use crate::retrieval::{self, Source, Start};
use crate::settings::Settings;
use crate::shard_task::ShardTask;
use crate::shards;

/// How often the list of shards is compared with the leases. KCL: 60 s.
const SHARD_SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// Room for one read at the least: 10 MB and a little.
const BYTES_IN_FLIGHT_LEAST: usize = 11 << 20;

/// What a consumer is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How often it has looked at the leases.
    pub looks: u64,
    /// Shards that it reads.
    pub held: usize,
    /// Shards that all workers have to read between them.
    pub open: usize,
}

/// One worker of an application.
pub struct Consumer<P> {
    kinesis: aws_sdk_kinesis::Client,
    table: LeaseTable,
    settings: Arc<Settings>,
    processor: Arc<P>,
    budget: Budget,
    metrics: Arc<dyn Metrics>,
    consumer_arn: Option<Arc<str>>,
    status: watch::Sender<Status>,
}

/// What a run remembers from look to look.
#[derive(Default)]
struct Seen {
    /// Counter of each lease, and since when it stands there, by this worker's clock.
    counters: HashMap<String, (u64, Instant)>,
    synced_at: Option<Instant>,
}

struct Reading {
    tasks: JoinSet<Ended>,
    shards: BTreeMap<Id, String>,
    stop: CancellationToken,
}

impl<P: Processor> Consumer<P> {
    /// Checks that the stream is there and makes the lease table if it is not. Spawns nothing.
    ///
    /// # Errors
    /// [`Error::StreamNotFound`], and what kept Kinesis or DynamoDB from answering.
    pub async fn build(
        kinesis: aws_sdk_kinesis::Client,
        dynamodb: aws_sdk_dynamodb::Client,
        settings: Settings,
        processor: P,
    ) -> Result<Self, Error> {
        let metrics: Arc<dyn Metrics> = Arc::new(NoMetrics);
        retrieval::list(&kinesis, &settings.stream, &*metrics).await?;
        let consumer_arn = retrieval::consumer_arn(&kinesis, &settings, &*metrics).await?;
        let table = LeaseTable::new(dynamodb, settings.lease_table.clone());
        table.ensure().await?;
        let bytes = settings.bytes_in_flight_max.max(BYTES_IN_FLIGHT_LEAST);
        Ok(Self {
            kinesis,
            table,
            settings: Arc::new(settings),
            processor: Arc::new(processor),
            budget: Budget::new(bytes, metrics.clone()),
            metrics,
            consumer_arn,
            status: watch::Sender::default(),
        })
    }

    /// What this consumer is doing, now and as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Reads until `stop` is cancelled; then lets each shard finish its batch, saves every place and releases
    /// every lease. What goes wrong meanwhile is told in the log and tried again.
    pub async fn run(self, stop: CancellationToken) {
        let mut seen = Seen::default();
        let mut reading =
            Reading { tasks: JoinSet::new(), shards: BTreeMap::new(), stop: stop.child_token() };
        let mut tick = interval(self.settings.failover / 3);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = reading.tasks.join_next_with_id() => {
                    // A finished shard has children that can be taken: do not wait for the next tick.
                    if reading.forget(ended) == Some(Ended::Finished) {
                        tick.reset_immediately();
                    }
                }
                _ = tick.tick() => {
                    if let Err(error) = self.look(&mut seen, &mut reading).await {
                        let error = &error as &dyn std::error::Error;
                        warn!(stream = self.settings.stream, error, "could not look at the leases");
                    }
                }
            }
        }
        while let Some(ended) = reading.tasks.join_next_with_id().await {
            reading.forget(ended);
        }
    }

    /// One look: read the table once, decide, act. Takes no input, so that the next look is the retry.
    async fn look(&self, seen: &mut Seen, reading: &mut Reading) -> Result<(), Error> {
        let mut leases = self.table.scan().await?;
        if seen.synced_at.is_none_or(|at| at.elapsed() >= SHARD_SYNC_INTERVAL) {
            leases = self.sync(leases).await?;
            seen.synced_at = Some(Instant::now());
        }
        let observed = seen.observe(leases);
        let held = reading.shards.values().cloned().collect();
        let (worker, failover) = (self.settings.worker.as_str(), self.settings.failover);
        for lease in balance::plan(&observed, Me { worker, held: &held, failover }) {
            self.take(lease, reading).await?;
        }
        let open = observed.iter().filter(|seen| !seen.lease.is_finished()).count();
        self.status.send_modify(|status| {
            *status = Status { looks: status.looks + 1, held: reading.shards.len(), open };
        });
        Ok(())
    }

    /// Creates the leases that are missing.
    async fn sync(&self, mut leases: Vec<Lease>) -> Result<Vec<Lease>, Error> {
        let shards = retrieval::list(&self.kinesis, &self.settings.stream, &*self.metrics).await?;
        for lease in shards::missing(&shards, &leases, self.settings.initial_position) {
            if let Outcome::Applied(lease) = self.table.apply(&Transition::Create, &lease).await? {
                leases.push(lease);
            }
        }
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    async fn take(&self, lease: &Lease, reading: &mut Reading) -> Result<(), Error> {
        let taken_at = Instant::now();
        let take = Transition::Take { worker: self.settings.worker.clone() };
        let Outcome::Applied(lease) = self.table.apply(&take, lease).await? else {
            return Ok(()); // Somebody was faster: the next look sees who.
        };
        let initial = self.settings.initial_position;
        let Some(start) = Start::from(&lease.checkpoint, initial) else { return Ok(()) };
        let shard: Arc<str> = lease.key.as_str().into();
        info!(shard = &*shard, checkpoint = %lease.checkpoint, "reading a shard");
        let fence = lease.counter;
        let held =
            HeldLease::keep(self.table.clone(), lease.clone(), self.settings.failover, taken_at);
        let task = ShardTask {
            done: match lease.checkpoint {
                Checkpoint::At(position) => Some(position.sequence),
                _ => None,
            },
            source: Source::open(
                self.kinesis.clone(),
                self.settings.clone(),
                self.budget.clone(),
                self.metrics.clone(),
                shard.clone(),
                start,
                self.consumer_arn.clone(),
            ),
            held,
            table: self.table.clone(),
            processor: self.processor.clone(),
            settings: self.settings.clone(),
            stop: reading.stop.clone(),
            shard: shard.clone(),
            fence,
        };
        let id = reading.tasks.spawn(task.run()).id();
        reading.shards.insert(id, shard.to_string());
        Ok(())
    }
}

impl Reading {
    fn forget(&mut self, ended: Result<(Id, Ended), JoinError>) -> Option<Ended> {
        match ended {
            Ok((id, ended)) => {
                self.shards.remove(&id);
                Some(ended)
            }
            Err(error) => {
                let shard = self.shards.remove(&error.id());
                error!(shard, error = %error, "reading a shard failed, it will be taken again");
                None
            }
        }
    }
}

impl Seen {
    fn observe(&mut self, leases: Vec<Lease>) -> Vec<Observed> {
        let now = Instant::now();
        let keys: BTreeSet<_> = leases.iter().map(|lease| lease.key.clone()).collect();
        self.counters.retain(|key, _| keys.contains(key));
        let observe = |lease: Lease| {
            let seen = self.counters.entry(lease.key.clone()).or_insert((lease.counter, now));
            if seen.0 != lease.counter {
                *seen = (lease.counter, now);
            }
            Observed { idle: now - seen.1, lease }
        };
        leases.into_iter().map(observe).collect()
    }
}
