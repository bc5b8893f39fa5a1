//! One worker among others: looks, decides, acts. Every look starts from the table alone, so the next one is
//! the retry of whatever failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::balance::{self, Me, Observed};
use crate::checkpoint::Checkpoint;
use crate::clock::millis;
use crate::consumer::assigned::Assignments;
use crate::consumer::reading::{End, Reading};
use crate::consumer::renewals::{self, Renewals};
use crate::consumer::seen::{Seen, is_auditor, look_interval};
use crate::consumer::{Consumer, Status};
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::held::{HeldLease, Keeping};
use crate::lease::table::{LeaseTable, Outcome};
use crate::lease::transition::Transition;
use crate::metrics::{Got, Look};
use crate::participant::coordinator::Regime;
use crate::processor::{Ended, Processor};
use crate::retrieval::{self, Start};
use crate::settings::{Balance, InitialPosition, Mode};
use crate::shard_task::{Resources, ShardTask};
use crate::shards;

/// How often the list of shards is compared with the leases. KCL: 60 s.
const SHARD_SYNC_INTERVAL: Duration = Duration::from_secs(60);
/// How often a lease that was asked for is looked at while its owner finishes.
const AWAITED_INTERVAL: Duration = Duration::from_millis(150);

pub(super) struct Coordinator<P> {
    pub(super) consumer: Consumer<P>,
    pub(super) table: LeaseTable,
    pub(super) keeping: Keeping,
    pub(super) resources: Arc<Resources<P>>,
    pub(super) reading: Reading,
    /// Where a leader assigns the leases.
    pub(super) assignments: Option<Assignments>,
    seen: Seen,
    /// Leases that we asked for, and when they were last seen not to be ours yet.
    pub(super) awaited: BTreeMap<String, Instant>,
    synced_at: Option<Instant>,
    pub(super) next_look: Instant,
    looks: u64,
}

impl<P: Processor> Coordinator<P> {
    pub(super) fn new(
        consumer: Consumer<P>,
        renewals: &Renewals,
        stop: &CancellationToken,
    ) -> Self {
        let settings = &consumer.settings;
        let metrics = consumer.metrics.clone();
        let table = LeaseTable::new(consumer.dynamodb.clone(), &settings.lease_table, metrics);
        let keeping = Keeping {
            table: table.through(renewals::client(table.client(), settings.failover)),
            worker: settings.worker.as_str().into(),
            failover: settings.failover,
            throughput: settings.balance == Balance::Throughput
                || settings.mode == Mode::Participant3x,
            metrics: consumer.metrics.clone(),
            runtime: renewals.handle(),
        };
        let resources = Arc::new(Resources::new(&consumer, table.clone()));
        Self {
            reading: Reading::new(stop),
            assignments: Assignments::of(&consumer),
            consumer,
            table,
            keeping,
            resources,
            seen: Seen::default(),
            awaited: BTreeMap::new(),
            synced_at: None,
            next_look: Instant::now(),
            looks: 0,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut result = Ok(());
        while result.is_ok() {
            let next_peek = Instant::now() + AWAITED_INTERVAL;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.reading.tasks.join_next_with_id() => {
                    let ended = self.reading.forget(ended);
                    result = self.ended(ended);
                }
                () = sleep_until(self.next_look) => {
                    self.next_look = Instant::now() + self.consumer.settings.failover / 3;
                    if let Err(error) = self.look().await {
                        let error = &error as &dyn std::error::Error;
                        let stream = self.consumer.settings.stream.as_str();
                        warn!(stream, error, "could not look at the leases");
                    }
                }
                () = sleep_until(next_peek), if !self.awaited.is_empty() => {
                    if let Err(error) = self.peek().await {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "could not look at a lease that was asked for");
                    }
                }
            }
        }
        self.reading.stop.cancel();
        if let Some(assignments) = &self.assignments {
            assignments.withdraw().await;
        }
        self.give_back().await;
        while let Some(ended) = self.reading.tasks.join_next_with_id().await {
            let ended = self.reading.forget(ended);
            result = result.and(self.ended(ended));
        }
        result
    }

    fn ended(&mut self, (shard, (how, failure)): (Arc<str>, End)) -> Result<(), Error> {
        self.consumer.metrics.shard_ended(&shard, how);
        self.consumer.status.send_modify(|status| status.held = self.reading.len());
        if how == Ended::Finished {
            self.next_look = Instant::now(); // Its children can be taken.
        }
        let Some(failure) = failure else { return Ok(()) };
        Err(Error::Processor { shard: shard.to_string(), reason: failure.reason })
    }

    async fn look(&mut self) -> Result<(), Error> {
        match self.regime().await? {
            Regime::Taker => self.look_and_take().await,
            Regime::Assigned => self.look_for_assigned().await,
        }
    }

    /// One look: read the table once, decide, act.
    async fn look_and_take(&mut self) -> Result<(), Error> {
        let (worker, failover) = (self.keeping.worker.clone(), self.keeping.failover);
        let mut observed = self.seen.observe(self.table.scan().await?);
        if self.is_sync_due() && is_auditor(&observed, &worker, failover) {
            let leases = observed.into_iter().map(|seen| seen.lease).collect();
            observed = self.seen.observe(self.sync(leases).await?);
            self.synced_at = Some(Instant::now());
        }
        self.next_look = Instant::now() + look_interval(observed.len(), failover);
        for seen in &observed {
            if seen.lease.checkpoint_owner.as_deref() == Some(&*worker) {
                self.reading.hint(&seen.lease.key);
            }
        }
        let held = self.reading.keys();
        let plan = balance::plan(&observed, Me { worker: &worker, held: &held, failover });
        for lease in plan {
            self.get(lease, &observed).await?;
        }
        self.tell(&observed);
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        self.synced_at.is_none_or(|at| at.elapsed() >= SHARD_SYNC_INTERVAL)
    }

    pub(super) fn tell(&mut self, observed: &[Observed]) {
        let open = observed.iter().filter(|seen| !seen.lease.is_finished()).count();
        self.looks += 1;
        let (looks, held) = (self.looks, self.reading.len());
        self.consumer.status.send_replace(Status { looks, held, open });
        self.consumer.metrics.looked(&Look { held, open, ..Look::default() });
    }

    /// Creates the leases that are missing.
    async fn sync(&self, mut leases: Vec<Lease>) -> Result<Vec<Lease>, Error> {
        let settings = &self.consumer.settings;
        let shards =
            retrieval::list(&self.consumer.kinesis, &settings.stream, &*self.consumer.metrics)
                .await?;
        for mut lease in shards::missing(&shards, &leases, settings.initial_position) {
            lease.initial_at = self.initial_at(&lease);
            if let Outcome::Applied(lease) = self.table.apply(&Transition::Create, &lease).await? {
                leases.push(lease);
            }
        }
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    /// When a lease begins that says no more than `LATEST` or `AT_TIMESTAMP`.
    fn initial_at(&self, lease: &Lease) -> Option<u64> {
        match (lease.checkpoint, self.consumer.settings.initial_position) {
            (Checkpoint::AtTimestamp, InitialPosition::AtTimestamp(at)) => Some(millis(at)),
            (Checkpoint::AtTimestamp | Checkpoint::Latest, _) => {
                Some(millis((self.consumer.now)()))
            }
            _ => None,
        }
    }

    /// Takes a lease, or asks its owner for it.
    async fn get(&mut self, lease: &Lease, observed: &[Observed]) -> Result<(), Error> {
        let worker = self.keeping.worker.to_string();
        let lives =
            |seen: &&Observed| seen.lease.key == lease.key && seen.idle <= self.keeping.failover;
        let owned_by_other = lease.owner.as_deref().is_some_and(|owner| owner != worker);
        let live = owned_by_other && observed.iter().any(|seen| lives(&seen));
        if live && self.consumer.settings.mode == Mode::Native {
            // Before the answer, for the wish may get through without it.
            self.awaited.insert(lease.key.clone(), Instant::now());
            let asked = self.table.apply(&Transition::Ask { worker }, lease).await?;
            if let Outcome::Applied(lease) = asked {
                info!(shard = lease.key, holder = lease.holder(), "asked for a lease");
            } else {
                self.awaited.remove(&lease.key);
            }
            return Ok(());
        }
        let got = match (&lease.owner, live) {
            (None, _) => Got::Free,
            (Some(_), true) => Got::Stolen,
            (Some(_), false) => Got::Expired,
        };
        self.take(lease, got, None).await
    }

    /// Looks at the leases that were asked for, and takes those whose owner is done.
    async fn peek(&mut self) -> Result<(), Error> {
        let awaited: Vec<_> = self.awaited.keys().cloned().collect();
        for key in awaited {
            let lease = self.table.get(&key).await?;
            let lease = lease.filter(|lease| lease.owner.as_deref() == Some(&*self.keeping.worker));
            match lease {
                // Its holder came to the shard's end meanwhile: to read it again would deliver all of it twice.
                Some(lease) if lease.is_finished() => {
                    self.awaited.remove(&key);
                    self.give_back_one(&key).await?;
                }
                Some(lease) if lease.checkpoint_owner.is_none() => {
                    let since = self.awaited.remove(&key);
                    self.take(&lease, Got::HandedOver, since).await?;
                }
                Some(_) => {
                    self.awaited.insert(key, Instant::now());
                }
                None => {
                    self.awaited.remove(&key);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn take(
        &mut self,
        lease: &Lease,
        got: Got,
        handed_since: Option<Instant>,
    ) -> Result<(), Error> {
        let taken_at = Instant::now();
        let take = Transition::Take { worker: self.keeping.worker.to_string() };
        let Outcome::Applied(mut lease) = self.table.apply(&take, lease).await? else {
            return Ok(()); // Somebody was faster: the next look sees who.
        };
        self.awaited.remove(&lease.key);
        if lease.initial_at.is_none()
            && let Some(at) = self.initial_at(&lease)
        {
            // Made by a worker that does not write it down.
            let pinned = self.table.apply(&Transition::Pin(at), &lease).await?;
            let (Outcome::Applied(row) | Outcome::Conflict(Some(row))) = pinned else {
                return Ok(());
            };
            lease.initial_at = row.initial_at;
        }
        info!(shard = lease.key, checkpoint = %lease.checkpoint, got = ?got, "got a lease");
        self.consumer.metrics.lease_got(got);
        let held = HeldLease::keep(&self.keeping, lease.clone(), taken_at);
        let (shard, hint) = (Arc::from(lease.key.as_str()), held.hint());
        let stop = self.reading.stop.clone();
        let task = ShardTask::new(&self.resources, &lease, held, handed_since, stop);
        self.reading.begin(shard, hint, task.run(Start::from(&lease)));
        Ok(())
    }
}
