//! What a consumer hands over, and to whom.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::checkpoint::SequenceNumber;

/// A record of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard.
    pub sequence_number: SequenceNumber,
    /// The producer's partition key; absent where the service distributes records itself.
    pub partition_key: Option<String>,
    /// The payload, as it was put.
    pub data: Bytes,
    /// When Kinesis received it.
    pub arrived_at: Option<SystemTime>,
}

/// Consecutive records of one shard.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The shard's id.
    pub shard: Arc<str>,
    /// The records, in order, at least one.
    pub records: Vec<Record>,
    /// Distance of the last record from the tip of the shard, in milliseconds.
    pub millis_behind_latest: u64,
}

/// A batch that was not accepted: it will be handed over again, whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Retry {
    /// Why, for the log.
    pub reason: String,
    /// How long to wait, instead of the consumer's own backoff.
    pub after: Option<Duration>,
}

impl Retry {
    /// A retry at the consumer's own pace.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), after: None }
    }
}

/// Takes the records of a stream.
pub trait Processor: Send + Sync + 'static {
    /// Takes a batch. `Ok` says that every record in it is safe elsewhere: the shard's checkpoint may pass
    /// it. Batches of one shard come one after the other, those of different shards at the same time.
    ///
    /// The future is dropped when the lease is lost; what it had done is done again by the next owner.
    /// A panic counts as [`Retry`].
    ///
    /// # Errors
    /// [`Retry`], and the same batch comes again: a record is never skipped.
    fn process(&self, batch: &Batch) -> impl Future<Output = Result<(), Retry>> + Send;
}
