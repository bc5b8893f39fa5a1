//! What becomes of the records of a batch.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::Clock;
use event::route::{ROUTES_CHANGED, RoutesChanged};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kcl::{Batch, Ended, Failure, Processor, ShardContext};
use river::Experiments;
use serde::Deserialize;
use tracing::{info, warn};

use crate::cargo::Cargo;
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::outlet::{ATTEMPTS_MAX, Attempt, Effort, deliver};
use crate::owed::{Ledger, Owed, Page};
use crate::plan::Plan;
use crate::publish::Publisher;
use crate::put_away::PutAway;
use crate::routes::{Index, Routes};
use crate::send::Sender;
use crate::target::Target;

/// Requests to SNS under way for one shard: enough to hide its latency, few enough to leave others room.
const PUBLISHING: Effort = Effort { requests: 8, attempts: ATTEMPTS_MAX };
/// Requests to one river under way for one shard.
const SENDING: Effort = Effort { requests: 5, attempts: ATTEMPTS_MAX };
/// A river that failed: its first request decides about the rest.
const TRYING: Effort = Effort { requests: 1, attempts: ATTEMPTS_MAX };
/// A river that has failed for long: it is not waited for.
const PROBING: Effort = Effort { requests: 1, attempts: 1 };
/// Rivers sent to at the same time for one shard.
const RIVERS_MAX: usize = 16;

/// Delivers what can be delivered and quarantines the rest.
#[derive(Debug)]
pub(crate) struct Carrier {
    /// None where every river is fed directly.
    pub(crate) publisher: Option<Publisher>,
    pub(crate) sender: Sender,
    pub(crate) routes: Routes,
    pub(crate) put_away: PutAway,
    pub(crate) experiments: Experiments,
    /// How long a river may take nothing before its events are quarantined.
    pub(crate) undeliverable_after: Duration,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) owed: Ledger,
    /// Shards for which routes were looked up since their reading began.
    pub(crate) begun: Mutex<HashSet<Arc<str>>>,
}

/// The event that says that routes have changed.
#[derive(Deserialize)]
struct Nudge {
    payload: RoutesChanged,
}

impl Processor for Carrier {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let cargo = Cargo::read(&batch.records, &self.experiments);
        let index = self.index(&batch.shard.id, &cargo).await.map_err(|reason| {
            Failure::retry(format!("it is not known what is to be sent directly: {reason}"))
        })?;
        let owed = self.owed.take(&batch.shard.id);
        let plan = Plan::of(&cargo, &index, self.now(), self.publisher.is_some(), &owed);
        let mut outcome = self.deliver(&cargo, plan).await;
        let put = self.put_away.put(&batch.shard.id, &cargo, &mut outcome).await;
        self.settle(batch, &cargo, outcome, &owed, &put)
    }

    async fn started(&self, shard: &ShardContext) {
        self.forget(&shard.id);
        self.metrics.shard_started(&shard.id);
    }

    async fn ended(&self, shard: &ShardContext, _why: Ended) {
        self.forget(&shard.id);
        self.metrics.shard_ended(&shard.id);
    }
}

impl Carrier {
    /// The routes to carry a batch by: those known, unless the batch says that there are newer ones. At the beginning
    /// of a shard as well, for who read it before may have met what says so.
    async fn index(&self, shard: &Arc<str>, cargo: &Cargo<'_>) -> Result<Arc<Index>, String> {
        let nudged = nudged(cargo).unwrap_or_default();
        let has_begun = self.begun().contains(shard);
        if let Some(known) = self.routes.known()
            && has_begun
            && nudged <= known.version()
        {
            return Ok(known);
        }
        let index = self.routes.look().await?;
        if index.version() < nudged {
            // The version is raised before it is told: this table has never been so far.
            let version = index.version();
            warn!(version, nudged, "an event tells of routes that there are not");
        }
        self.begun().insert(Arc::clone(shard));
        Ok(index)
    }

    async fn deliver(&self, cargo: &Cargo<'_>, plan: Plan) -> Outcome {
        let Plan { sns, rivers, unfit } = plan;
        let mut outcome = Outcome { unfit, ..Outcome::default() };
        let sends = rivers.into_iter().map(async |(target, indexes)| {
            let (attempt, failing_for) = self.send(cargo, &target, &indexes).await;
            (target, attempt, failing_for)
        });
        let mut sends = stream::iter(sends).buffer_unordered(RIVERS_MAX);
        let sending = async {
            let mut sent = Vec::new();
            while let Some(one) = sends.next().await {
                sent.push(one);
            }
            sent
        };
        let (published, sent) = tokio::join!(self.publish(cargo, &sns), sending);
        outcome.add(published, &Owed::sns(), "SNS");
        for (target, mut attempt, failing_for) in sent {
            if let Some(so_long) = failing_for.filter(|it| *it >= self.undeliverable_after) {
                outcome.give_up(&target, &mut attempt, so_long);
            }
            let name = format!("river {}", target.name);
            outcome.add(attempt, &Owed::river(target), &name);
        }
        outcome
    }

    async fn publish(&self, cargo: &Cargo<'_>, indexes: &[usize]) -> Attempt {
        match &self.publisher {
            Some(publisher) => deliver(publisher, cargo, indexes, PUBLISHING).await,
            None => Attempt { left: indexes.to_vec(), ..Attempt::default() }, // Never planned.
        }
    }

    /// Sends to one river. Also for how long it has taken nothing, if it has not now.
    async fn send(
        &self,
        cargo: &Cargo<'_>,
        target: &Target,
        indexes: &[usize],
    ) -> (Attempt, Option<Duration>) {
        let effort = match target.failing_for() {
            None => SENDING,
            Some(so_long) if so_long < self.undeliverable_after => TRYING,
            Some(_) => PROBING,
        };
        let attempt = deliver(&self.sender.queue(target), cargo, indexes, effort).await;
        if attempt.left.len() < indexes.len() {
            target.worked();
            return (attempt, None);
        }
        let failing_for = target.failed();
        (attempt, Some(failing_for))
    }

    /// Writes down what is owed, and tells what is done.
    fn settle(
        &self,
        batch: &Batch,
        cargo: &Cargo<'_>,
        outcome: Outcome,
        owed: &Page,
        put: &BTreeSet<usize>,
    ) -> Result<(), Failure> {
        let Outcome { mut left, reason, .. } = outcome;
        let position = |index: usize| cargo.record(index).position;
        let was_put = |index: usize| {
            put.contains(&index) || owed.get(&position(index)).is_some_and(|it| it.quarantined)
        };
        left.iter_mut().for_each(|(&index, owed)| owed.quarantined = was_put(index));
        let done = (0..batch.records.len()).filter(|index| !left.contains_key(index));
        let (quarantined, carried): (Vec<_>, Vec<_>) = done.partition(|&index| was_put(index));
        let (shard, behind_ms) = (&*batch.shard.id, batch.millis_behind_latest);
        self.metrics.done(shard, carried.len(), quarantined.len());
        if left.is_empty() {
            info!(shard, records = batch.records.len(), behind_ms, "carried a batch");
            return Ok(());
        }
        let positions = left.keys().map(|&index| position(index)).collect();
        let page = left.into_iter().map(|(index, owed)| (position(index), owed)).collect();
        self.owed.put(&batch.shard.id, page);
        Err(Failure::partial(positions, reason))
    }

    fn forget(&self, shard: &str) {
        self.begun().remove(shard);
        self.owed.take(shard);
    }

    fn begun(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::MAX)
    }
}

/// The newest version that an event of the batch tells of.
fn nudged(cargo: &Cargo<'_>) -> Option<u64> {
    let headers = cargo.headers().filter_map(|(_, header)| header.as_ref().ok());
    let nudges = headers.filter(|header| header.event_type == ROUTES_CHANGED);
    let version = |json| serde_json::from_str::<Nudge>(json).ok().map(|it| it.payload.version);
    nudges.filter_map(|header| version(header.json)).max()
}
