//! One lane of a shard: takes batches from its queue and sees each through before it takes the next.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::account::{Account, Late, Tally};
use super::lanes::{Piece, Queue};
use super::policy::{self, Verdict};
use super::progress::Progress;
use crate::clock::Now;
use crate::metrics::{Fate, Metrics};
use crate::processor::{Failure, Processor, Scope, ShardContext};
use crate::settings::Settings;

/// How soon work goes on after a process stood still, once its lease turned out to be its own.
const LEASE_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Everything that a lane works with.
pub(crate) struct Lane<P, H> {
    pub(crate) processor: Arc<P>,
    pub(crate) shard: ShardContext,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) now: Now,
    pub(crate) account: Arc<Account>,
    pub(crate) queue: Arc<Queue<H>>,
    /// No batch is begun or tried again once it is cancelled.
    pub(crate) stopping: CancellationToken,
}

/// Tells the account that a lane has ended, however it did. One that panicked leaves records behind that no
/// other lane takes: the consumer is to stop rather than stand still.
struct Ending {
    account: Arc<Account>,
    stopping: CancellationToken,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.account.fail(Failure::fatal("a lane panicked outside the processor"));
            self.stopping.cancel();
        }
        self.account.lane_ended();
    }
}

/// Whether a lane goes on.
type Onward = ControlFlow<()>;

impl<P: Processor, H: Send + Sync + 'static> Lane<P, H> {
    pub(crate) async fn run(self) {
        let _ending = Ending { account: self.account.clone(), stopping: self.stopping.clone() };
        while let Some(piece) = self.next().await {
            if self.see_through(piece).await.is_break() {
                break;
            }
        }
    }

    async fn next(&self) -> Option<Piece<H>> {
        let items = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return None,
            items = self.queue.take(self.settings.batch_records_max.max(1)) => items,
        };
        self.account.taken(items.len(), items.iter().map(|item| item.record.data.len()).sum());
        Some(Piece::new(self.shard.clone(), items))
    }

    /// Hands records over until each is settled, or the lane stops.
    async fn see_through(&self, piece: Piece<H>) -> Onward {
        let mut pieces = VecDeque::from([piece]);
        while let Some(mut piece) = pieces.pop_front() {
            if piece.batch.attempt > 0 && self.stopping.is_cancelled() {
                return Onward::Break(());
            }
            let handed = self.hand_over(&piece).await;
            piece.batch.attempt = piece.batch.attempt.saturating_add(1);
            match handed {
                Ok(()) => self.settle(&piece, Fate::Acknowledged),
                Err(failure) => {
                    let again = self.part(piece, failure).await?;
                    for piece in again.into_iter().rev() {
                        pieces.push_front(piece);
                    }
                }
            }
        }
        Onward::Continue(())
    }

    async fn hand_over(&self, piece: &Piece<H>) -> Result<(), Failure> {
        let shard = &piece.batch.shard;
        while !shard.is_held() {
            // The process stood still. Nothing begins before it is known whose the lease is.
            tokio::select! {
                biased;
                () = shard.lost.cancelled() => return Err(Failure::retry("the lease was lost")),
                () = sleep(LEASE_LOOK_INTERVAL) => {}
            }
        }
        let fate = if piece.batch.attempt == 0 { Fate::Delivered } else { Fate::Retried };
        self.count(fate, piece);
        let tickets = piece.tickets().collect();
        let progress = Progress::new(self.account.clone(), tickets, self.metrics.clone());
        caught(async { self.processor.process_with(&piece.batch, &progress).await }).await
    }

    /// Settles what of a failed batch can be settled, rests, and gives back what is to be handed over again.
    async fn part(&self, piece: Piece<H>, failure: Failure) -> ControlFlow<(), Vec<Piece<H>>> {
        let Some(piece) = self.without_settled(piece) else {
            return ControlFlow::Continue(Vec::new());
        };
        let tries = piece.tries.saturating_add(1);
        let attempts = self.settings.attempts;
        let verdict = policy::after(&failure, &piece.batch.records, tries, attempts, (self.now)());
        self.log(&piece, &failure, &verdict);
        let Verdict::Part(parting) = verdict else {
            self.stop(failure);
            return ControlFlow::Break(());
        };
        let settled = [&parting.accepted, &parting.dead];
        let mut parts = piece.divide(settled.into_iter().chain(&parting.again));
        let mut again = parts.split_off(2);
        if let [accepted, dead] = parts.as_slice() {
            self.settle(accepted, Fate::Acknowledged);
            self.put_away(dead, &failure).await?;
        }
        if parting.counts {
            again.iter_mut().for_each(|piece| piece.tries = tries);
        }
        // Halves come at once: the search for the record that fails is not a retry.
        let rests = !again.is_empty() && (parting.counts || failure.after.is_some());
        if rests {
            self.rest(policy::pause(&failure, tries - 1, fastrand::f64())).await?;
        }
        ControlFlow::Continue(again)
    }

    /// What was acknowledged record by record does not come again.
    fn without_settled(&self, piece: Piece<H>) -> Option<Piece<H>> {
        let is_settled = |&index: &usize| self.account.is_settled(piece.tags[index].ticket);
        let (settled, left): (Vec<_>, Vec<_>) = (0..piece.tags.len()).partition(is_settled);
        if settled.is_empty() {
            return Some(piece);
        }
        let mut parts = piece.divide([&settled, &left].into_iter());
        let left = parts.pop().filter(|left| !left.is_empty());
        parts.iter().for_each(|settled| self.count(Fate::Acknowledged, settled));
        left
    }

    /// Gives records to the dead-letter hook until it has them; only then are they settled.
    async fn put_away(&self, dead: &Piece<H>, failure: &Failure) -> Onward {
        if dead.is_empty() {
            return Onward::Continue(());
        }
        for tries in 0.. {
            let put = caught(async { self.processor.dead_letter(&dead.batch, failure).await });
            let Err(refusal) = put.await else { break };
            let (shard, records) = (&*self.shard.id, dead.batch.records.len());
            let reason = &*refusal.reason;
            error!(shard, records, tries, reason, "the dead-letter queue did not take a batch");
            if refusal.scope == Scope::Consumer {
                self.stop(refusal);
                return Onward::Break(());
            }
            self.rest(policy::pause(&refusal, tries, fastrand::f64())).await?;
        }
        self.settle(dead, Fate::DeadLettered);
        Onward::Continue(())
    }

    async fn rest(&self, pause: Duration) -> Onward {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Onward::Break(()),
            () = sleep(pause) => Onward::Continue(()),
        }
    }

    fn settle(&self, piece: &Piece<H>, fate: Fate) {
        let Late { all, first } = self.account.settle(piece.tickets());
        let records = piece.tags.len() as u64 - all.records;
        let settled = Tally { records, bytes: piece.bytes() - all.bytes };
        for (fate, tally) in [(fate, settled), (Fate::Late, first)] {
            if tally.records > 0 {
                self.metrics.records(fate, tally.records, tally.bytes);
            }
        }
    }

    fn count(&self, fate: Fate, piece: &Piece<H>) {
        self.metrics.records(fate, piece.tags.len() as u64, piece.bytes());
    }

    /// The processor wants no more: no lane of this shard begins anything.
    fn stop(&self, failure: Failure) {
        self.account.fail(failure);
        self.stopping.cancel();
    }

    fn log(&self, piece: &Piece<H>, failure: &Failure, verdict: &Verdict) {
        let (shard, records, attempt) =
            (&*self.shard.id, piece.batch.records.len(), piece.batch.attempt);
        let reason = &*failure.reason;
        match verdict {
            Verdict::Stop => error!(shard, records, attempt, reason, "a batch stops the consumer"),
            Verdict::Part(parting) => {
                let (accepted, dead) = (parting.accepted.len(), parting.dead.len());
                warn!(shard, records, attempt, accepted, dead, reason, "a batch was not accepted");
            }
        }
    }
}

/// A panic becomes a failure like any other.
async fn caught(call: impl Future<Output = Result<(), Failure>> + Send) -> Result<(), Failure> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        Err(Failure::retry(format!("the processor panicked: {}", message(&*panic))))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
