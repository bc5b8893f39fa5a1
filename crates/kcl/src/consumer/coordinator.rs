//! One worker among others: looks, decides, acts. Every look starts from the table alone, so the next one is
//! the retry of whatever failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::balance::{self, Me, Observed, Plan};
use crate::consumer::assigned::Assignments;
use crate::consumer::audit::Audit;
use crate::consumer::reading::{End, Reading};
use crate::consumer::renewals::{self, Renewals};
use crate::consumer::seen::{Seen, look_interval};
use crate::consumer::{Consumer, Status};
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::held::{HeldLease, Keeping};
use crate::lease::table::{LeaseTable, Outcome};
use crate::lease::transition::Transition;
use crate::metrics::{Got, Look};
use crate::participant::coordinator::Regime;
use crate::processor::{Ended, Processor};
use crate::retrieval::Start;
use crate::settings::{Balance, Mode, Settings};
use crate::shard_task::{Resources, ShardTask};

/// How often a lease that was asked for is looked at while its owner finishes.
const AWAITED_INTERVAL: Duration = Duration::from_millis(150);

/// Most leases that are on their way to a worker at once: those that wait for their hand-over stand still.
const MOVES_MAX: usize = 10;

pub(super) struct Coordinator<P> {
    pub(super) consumer: Consumer<P>,
    pub(super) table: LeaseTable,
    pub(super) keeping: Keeping,
    pub(super) resources: Arc<Resources<P>>,
    pub(super) reading: Reading,
    /// Where a leader assigns the leases.
    pub(super) assignments: Option<Assignments>,
    pub(super) seen: Seen,
    /// Leases that we asked for, and when they were last seen not to be ours yet.
    pub(super) awaited: BTreeMap<String, Instant>,
    pub(super) audit: Audit,
    pub(super) next_look: Instant,
    looks: u64,
    /// Leases that nobody may take, as told last.
    spilt: usize,
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
            audit: Audit::default(),
            next_look: Instant::now(),
            looks: 0,
            spilt: 0,
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
        let observed = self.seen.observe(self.table.scan().await?);
        let observed = self.audit(observed).await?;
        self.next_look = Instant::now() + look_interval(observed.len(), failover);
        let held = self.reading.keys();
        for seen in &observed {
            if seen.lease.checkpoint_owner.as_deref() == Some(&*worker) {
                self.pass_on(&seen.lease, &held).await?;
            }
        }
        let Settings { balance, leases_max, .. } = *self.consumer.settings;
        let moves_max = moves_max(self.consumer.settings.mode);
        let me = Me { worker: &worker, held: &held, failover, balance, leases_max, moves_max };
        let plan = balance::plan(&observed, me);
        for &lease in &plan.get {
            self.get(lease, &observed).await?;
        }
        let Plan { expired, workers, spillover, .. } = plan;
        let open = observed.iter().filter(|seen| !seen.lease.is_finished()).count();
        self.tell(Look { open, expired, workers, spillover, ..Look::default() });
        Ok(())
    }

    /// Tells what a look showed, with what this worker holds and for how long a hole has been there.
    pub(super) fn tell(&mut self, look: Look) {
        self.looks += 1;
        let look = Look { held: self.reading.len(), hole: self.audit.hole(), ..look };
        let Look { held, open, .. } = look;
        self.consumer.status.send_replace(Status { looks: self.looks, held, open });
        self.consumer.metrics.looked(&look);
        if look.spillover > 0 && self.spilt != look.spillover {
            let (most, spillover) = (self.consumer.settings.leases_max, look.spillover);
            warn!(
                most,
                spillover, "shards that nobody may read: add workers, or let each hold more leases"
            );
        }
        self.spilt = look.spillover;
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

    /// Has a lease that somebody asked for handed over. One that came to this worker and was asked for before it was
    /// taken up has no task to do so.
    async fn pass_on(&self, lease: &Lease, held: &BTreeSet<String>) -> Result<(), Error> {
        if held.contains(&lease.key) {
            self.reading.hint(&lease.key);
            return Ok(());
        }
        let passed_on = self.table.apply(&Transition::HandOver, lease).await?;
        if let Outcome::Applied(lease) = passed_on {
            info!(shard = lease.key, next = lease.owner, "passed a lease on");
        }
        Ok(())
    }

    /// Looks at the leases that were asked for, and takes those whose owner is done.
    async fn peek(&mut self) -> Result<(), Error> {
        let awaited: Vec<_> = self.awaited.keys().cloned().collect();
        for key in awaited {
            let lease = self.table.get(&key).await?;
            let worker = self.keeping.worker.clone();
            if let Some(lease) = &lease
                && lease.checkpoint_owner.as_deref() == Some(&*worker)
            {
                self.pass_on(lease, &self.reading.keys()).await?;
            }
            let lease = lease.filter(|lease| lease.owner.as_deref() == Some(&*worker));
            match lease {
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
        if lease.is_finished() {
            // Asked for, and its owner came to the end of the shard before handing over.
            self.table.apply(&Transition::Evict, lease).await?;
            return Ok(());
        }
        if self.reading.keys().contains(&lease.key) {
            // Lost, and the task that reads it does not know as yet, or is not done: two must not read at once.
            self.reading.hint(&lease.key);
            return Ok(());
        }
        let taken_at = Instant::now();
        let take = Transition::Take { worker: self.keeping.worker.to_string() };
        let Outcome::Applied(mut lease) = self.table.apply(&take, lease).await? else {
            return Ok(()); // Somebody was faster: the next look sees who.
        };
        self.awaited.remove(&lease.key);
        let initial = self.consumer.settings.initial_position;
        let now = self.resources.now_for(std::slice::from_ref(&lease)).await?;
        if lease.initial_at.is_none()
            && let Some(at) = lease.begins_at(initial, now)
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

/// KCL 2.x: `maxLeasesToStealAtOneTime`, 1, as a lease that is taken there breaks off what is under way.
fn moves_max(mode: Mode) -> usize {
    if mode == Mode::Native { MOVES_MAX } else { 1 }
}
