//! What a consumer hands over, and to whom.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::checkpoint::Position;
use crate::delivery::Progress;
use crate::lease::validity::Validity;
use crate::record::Record;

/// Records of one shard, in the order of the shard.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they come from.
    pub shard: ShardContext,
    /// The records, in order, at least one.
    pub records: Vec<Record>,
    /// Distance of the last record from the tip of the shard when it was read, in milliseconds.
    pub millis_behind_latest: u64,
    /// How often these records were handed over before, 0 at first.
    pub attempt: u32,
}

/// A shard while this worker holds its lease.
#[derive(Clone, Debug)]
pub struct ShardContext {
    /// The shard's id.
    pub id: Arc<str>,
    /// The lease's counter when this worker got it: greater than that of every earlier owner. A sink that
    /// refuses a lower number than it has seen is safe from a worker that was paused for too long.
    pub fence: u64,
    /// Cancelled before another worker may take the lease. [`Processor::process`] is dropped then anyway; work
    /// that it moved elsewhere must stop by this.
    pub lost: CancellationToken,
    pub(crate) validity: Option<Validity>,
}

impl ShardContext {
    /// A shard with a lease that nobody takes away. For a processor's own tests.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, fence: u64) -> Self {
        Self { id: id.into(), fence, lost: CancellationToken::new(), validity: None }
    }

    /// Whether the lease is this worker's by its own clock. After a process stood still, this is false before
    /// [`ShardContext::lost`] is cancelled: worth a look before an effect that nothing else guards.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && !self.validity.as_ref().is_some_and(Validity::is_over)
    }
}

impl Batch {
    /// Records handed over for the first time, read at the tip of the shard.
    #[must_use]
    pub fn new(shard: ShardContext, records: Vec<Record>) -> Self {
        Self { shard, records, millis_behind_latest: 0, attempt: 0 }
    }
}

/// Records that were not accepted, by what is to happen with them. None is ever skipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// Why, for the log and for the dead-letter queue.
    pub reason: String,
    /// Which records.
    pub scope: Scope,
    /// How long to wait before they come again, instead of the consumer's own backoff.
    pub after: Option<Duration>,
}

/// What a [`Failure`] covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every record of the batch: it comes again.
    Batch,
    /// These records of the batch: they come again in their order, the others are acknowledged. A position
    /// that is not of the batch makes it [`Scope::Batch`].
    Records(Vec<Position>),
    /// The consumer: it stops, its places saved up to this batch. For what no retry can mend.
    Consumer,
}

impl Failure {
    /// The whole batch is to come again, at the consumer's own pace.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), scope: Scope::Batch, after: None }
    }

    /// Only these records are to come again; the others are safe.
    #[must_use]
    pub fn partial(positions: Vec<Position>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), scope: Scope::Records(positions), after: None }
    }

    /// The consumer is to stop: no retry can mend this.
    #[must_use]
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), scope: Scope::Consumer, after: None }
    }

    /// The same failure, tried again after `pause`.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }
}

/// Takes the records of a stream.
pub trait Processor: Send + Sync + 'static {
    /// Takes a batch. `Ok` says that every record in it is safe elsewhere: the shard's checkpoint may pass it.
    /// Batches of one lane come one after the other, those of different lanes and shards at the same time.
    ///
    /// The future is dropped when the lease is lost; what it had done is done again by the next owner.
    /// A panic counts as [`Failure::retry`].
    ///
    /// # Errors
    /// [`Failure`], and the records it covers come again.
    fn process(&self, batch: &Batch) -> impl Future<Output = Result<(), Failure>> + Send;

    /// As [`Processor::process`], for who knows of single records that they are safe before all of the batch
    /// is: `progress` takes them, and the checkpoint moves within the batch. This is what a consumer calls;
    /// unless implemented it calls [`Processor::process`].
    ///
    /// # Errors
    /// [`Failure`], and the records it covers come again, but for those that `progress` took.
    fn process_with(
        &self,
        batch: &Batch,
        _progress: &Progress,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        self.process(batch)
    }

    /// Puts away records that failed too often or grew too old, by [`crate::Attempts`]. Only `Ok` lets the
    /// checkpoint pass them. Without an implementation they are tried for ever.
    ///
    /// # Errors
    /// [`Failure`], and the same records come here again.
    fn dead_letter(
        &self,
        batch: &Batch,
        failure: &Failure,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let reason = format!("no dead-letter queue: {}", failure.reason);
        let records = batch.records.len();
        async move { Err(Failure::retry(format!("{records} records: {reason}"))) }
    }

    /// A shard's lease was got and reading begins.
    fn started(&self, _shard: &ShardContext) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// No more batches come of this shard, for `why`. Not called when the process dies.
    fn ended(&self, _shard: &ShardContext, _why: Ended) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Why a worker stopped reading a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The shard is processed to its end; its children can be read.
    Finished,
    /// The consumer was told to stop; the place is saved and the lease released.
    Stopped,
    /// The lease was given to another worker, the place saved.
    HandedOver,
    /// The lease was lost: another worker may be reading already.
    Lost,
}
