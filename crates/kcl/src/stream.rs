//! Level 1: records as a stream, each acknowledged by itself, in any order.
//!
//! [`stream`] makes a [`Processor`] to hand to a consumer, and the [`Deliveries`] that come out of it. A record
//! that is acknowledged is settled at that moment, and the checkpoint may pass it as soon as all before it are
//! settled, too: nothing waits for the end of a batch. A record that is refused, or whose delivery is dropped,
//! comes again when the rest of its batch is answered.
//!
//! So many are in flight at once: `capacity` in the stream, and beyond it what was taken from it. That is
//! one batch for each lane of each shard, as a lane sends its next batch when the last is answered:
//! [`crate::Lanes`] and `batch_records_max` of the settings say how deep, `bytes_in_flight_max` bounds the
//! bytes of all. With [`crate::Lanes::One`] the records of a shard come in its order; for the deepest
//! pipeline take [`crate::Lanes::Unordered`], where one slow answer holds up one batch of many.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;

use crate::delivery::Progress;
use crate::processor::{Batch, Failure, Processor, ShardContext};
use crate::record::Record;

/// A processor, and the stream of the records it is handed. At most `capacity` records wait in the stream.
/// Dropping the stream stops the consumer.
#[must_use]
pub fn stream(capacity: usize) -> (ToStream, Deliveries) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (ToStream(sender), Deliveries(receiver))
}

/// Puts records on a stream: the processor for the consumer.
pub struct ToStream(mpsc::Sender<RecordDelivery>);

/// The records of all shards of a consumer.
pub struct Deliveries(mpsc::Receiver<RecordDelivery>);

/// A record that waits for an answer. Dropped without one, it is refused.
pub struct RecordDelivery {
    record: Record,
    shard: ShardContext,
    attempt: u32,
    index: usize,
    progress: Progress,
    /// Where refusals go. None once it is answered.
    refusals: Option<mpsc::Sender<Refusal>>,
}

struct Refusal {
    index: usize,
    reason: String,
}

impl RecordDelivery {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where it comes from.
    #[must_use]
    pub fn shard(&self) -> &ShardContext {
        &self.shard
    }

    /// How often it was delivered before, 0 at first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The record is safe elsewhere. False when that came too late: the lease was lost, and another worker
    /// delivers it again.
    #[expect(clippy::must_use_candidate, reason = "most have nothing to do about a lost lease")]
    pub fn ack(mut self) -> bool {
        self.refusals = None;
        self.progress.accept(self.index)
    }

    /// The record is to come again, by the attempts of the settings.
    pub fn nack(mut self, reason: impl Into<String>) {
        self.refuse(reason.into());
    }

    fn refuse(&mut self, reason: String) {
        let Some(refusals) = self.refusals.take() else { return };
        // There is room for every record of the batch; without receiver the lease is lost.
        drop(refusals.try_send(Refusal { index: self.index, reason }));
    }

    fn is_lost(&self) -> bool {
        self.refusals.as_ref().is_some_and(mpsc::Sender::is_closed)
    }
}

impl Drop for RecordDelivery {
    fn drop(&mut self) {
        self.refuse("the delivery was dropped".to_owned());
    }
}

impl Deliveries {
    /// The next record; `None` when the consumer is gone.
    pub async fn next(&mut self) -> Option<RecordDelivery> {
        std::future::poll_fn(|context| self.poll_delivery(context)).await
    }

    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<RecordDelivery>> {
        loop {
            match self.0.poll_recv(context) {
                // It waited here while its lease was lost: another worker delivers it.
                Poll::Ready(Some(delivery)) if delivery.is_lost() => {}
                next => return next,
            }
        }
    }
}

impl Stream for Deliveries {
    type Item = RecordDelivery;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<RecordDelivery>> {
        self.get_mut().poll_delivery(context)
    }
}

impl Processor for ToStream {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.process_with(batch, &Progress::untracked()).await
    }

    async fn process_with(&self, batch: &Batch, progress: &Progress) -> Result<(), Failure> {
        // All its senders are in the deliveries: the last answer closes it.
        let (refusals, mut answers) = mpsc::channel(batch.records.len().max(1));
        for (index, record) in batch.records.iter().enumerate() {
            let delivery = RecordDelivery {
                record: record.clone(),
                shard: batch.shard.clone(),
                attempt: batch.attempt,
                index,
                progress: progress.clone(),
                refusals: Some(refusals.clone()),
            };
            if self.0.send(delivery).await.is_err() {
                return Err(Failure::fatal("the stream of deliveries was dropped"));
            }
        }
        drop(refusals);
        let mut refused = Vec::new();
        while let Some(refusal) = answers.recv().await {
            refused.push(refusal);
        }
        let Some(first) = refused.iter().min_by_key(|refusal| refusal.index) else {
            return Ok(());
        };
        let positions = refused.iter().map(|refusal| batch.records[refusal.index].position);
        Err(Failure::partial(positions.collect(), first.reason.clone()))
    }
}

#[cfg(test)]
mod tests;
