//! From a page that was read to records that are settled: order, retries, and how far a checkpoint may go.
//!
//! A [`Delivery`] belongs to one held shard. Its task offers pages; lanes take batches from what waits and see
//! each through: accepted, tried again, halved, or put away by [`policy`]. The [`ledger`] knows up to where
//! everything is settled. Each lane is a task of its own, so that processors run on all cores; all of them
//! are aborted with the delivery, which is how a lost lease ends every call at once.
//!
//! Memory: at most one batch for each lane, what waits (below [`account`]'s bounds plus one page) and the
//! ledger's entries. Bytes go back to the process's budget in parcels as the records in them are settled.
//!
//! Absent: reading, saving, and any knowledge of leases.

mod account;
mod lane;
mod lanes;
mod ledger;
mod policy;
mod progress;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::account::Account;
use self::lane::Lane;
use self::lanes::{Queue, layout, queue_of, wrap};
use crate::checkpoint::Position;
use crate::clock::Now;
use crate::metrics::Metrics;
use crate::processor::{Failure, Processor, ShardContext};
use crate::record::Record;
use crate::settings::Settings;

pub(crate) use self::account::Drained;
pub(crate) use self::lanes::Hold;
pub(crate) use self::ledger::{NotRising, Watermark};
pub use self::progress::Progress;

/// The records of one held shard between reading and settling. Dropping it drops every call of the processor,
/// and what is acknowledged after that is refused.
pub(crate) struct Delivery<H> {
    account: Arc<Account>,
    queues: Vec<Arc<Queue<H>>>,
    /// Takes turns among the queues for records without key.
    turn: usize,
    stopping: CancellationToken,
    /// Aborts the lanes when dropped.
    _lanes: JoinSet<()>,
}

/// A page that was read.
pub(crate) struct Offer<H> {
    /// In the order of the shard.
    pub(crate) records: Vec<Record>,
    pub(crate) millis_behind_latest: u64,
    /// Last position of the page when its tail holds no record to deliver: an empty aggregate, or records
    /// that are left out. What is left out elsewhere is passed with its neighbours.
    pub(crate) skipped_to: Option<Position>,
    /// The page's part of the byte budget.
    pub(crate) hold: H,
}

impl<H: Hold> Delivery<H> {
    /// Starts the lanes, on the current runtime.
    pub(crate) fn start<P: Processor>(
        processor: &Arc<P>,
        shard: &ShardContext,
        settings: &Arc<Settings>,
        metrics: &Arc<dyn Metrics>,
        now: &Now,
    ) -> Self {
        let (queues, tasks) = layout(settings.lanes);
        let account = Arc::new(Account::new(queues * tasks));
        let queues: Vec<_> = (0..queues).map(|_| Arc::new(Queue::new())).collect();
        let stopping = CancellationToken::new();
        let mut lanes = JoinSet::new();
        for queue in queues.iter().flat_map(|queue| std::iter::repeat_n(queue, tasks)) {
            let lane = Lane {
                processor: processor.clone(),
                shard: shard.clone(),
                settings: settings.clone(),
                metrics: metrics.clone(),
                now: now.clone(),
                account: account.clone(),
                queue: queue.clone(),
                stopping: stopping.clone(),
            };
            lanes.spawn(lane.run());
        }
        Self { account, queues, turn: 0, stopping, _lanes: lanes }
    }

    /// Waits until a further page may be offered. False when none is taken any more, as the lanes have
    /// stopped. Dropping the wait loses nothing: it holds no page.
    pub(crate) async fn room(&self) -> bool {
        self.account.room().await
    }

    /// Takes a page, at once: whoever offers waits for [`Self::room`] before.
    pub(crate) fn offer(&mut self, page: Offer<H>) -> Result<(), NotRising> {
        let Offer { records, millis_behind_latest, skipped_to, hold } = page;
        let tickets = self.account.admit(&records, skipped_to)?;
        let items = wrap(records, tickets, hold, millis_behind_latest);
        if let [queue] = &*self.queues {
            queue.push(items);
            return Ok(());
        }
        let mut sorted: Vec<_> = self.queues.iter().map(|_| Vec::new()).collect();
        for item in items {
            let queue = queue_of(item.record.partition_key.as_ref(), self.turn, sorted.len());
            self.turn = self.turn.wrapping_add(1);
            sorted[queue].push(item);
        }
        for (queue, items) in self.queues.iter().zip(sorted) {
            queue.push(items);
        }
        Ok(())
    }

    /// Up to where everything is settled: what may be saved. `None` until the first record is.
    pub(crate) fn watermark(&self) -> Option<Watermark> {
        self.account.watermark()
    }

    /// Waits until the watermark is another than this one, and tells it.
    pub(crate) async fn moved(&self, from: Option<Position>) -> Watermark {
        self.account.moved(from).await
    }

    /// Waits until everything offered is settled or, after [`Self::stop_retrying`] or a fatal failure, until
    /// the batches in work are done.
    pub(crate) async fn drained(&self) -> Drained {
        self.account.drained().await
    }

    /// Batches in work are finished, but none is begun or tried again.
    pub(crate) fn stop_retrying(&self) {
        self.stopping.cancel();
    }

    /// Waits until the processor stops the consumer, and tells why.
    pub(crate) async fn failed(&self) -> Failure {
        self.account.failed().await
    }

    /// The failure that the consumer is to stop with.
    pub(crate) fn stopped_by(&self) -> Option<Failure> {
        self.account.failure()
    }
}

impl<H> Drop for Delivery<H> {
    fn drop(&mut self) {
        // Before the lanes are aborted: one of them may be running on another thread just now.
        self.account.close();
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
