//! One shard, from its checkpoint to its end: read, hand over, save the place.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::checkpoint::{Checkpoint, Position, SequenceNumber};
use crate::consumer::{Consumer, End};
use crate::lease::Lease;
use crate::lease::held::{HeldLease, NotWritten};
use crate::lease::table::LeaseTable;
use crate::lease::transition::Transition;
use crate::metrics::Metrics;
use crate::processor::{Batch, Ended, Failure, Processor, ShardContext};
use crate::retrieval::{NoRead, Read, ShardReader, Start, backoff};
use crate::settings::Settings;
use crate::shards::Shard;

/// The most that one read returns, in bytes: the room to have before asking.
const READ_BYTES_MAX: usize = 10 << 20;
/// Permits of the byte budget stand for this many bytes each, so that their number fits.
pub(crate) const BUDGET_UNIT: usize = 1 << 10;
/// Room for one read at the least: 10 MB and a little.
const BYTES_IN_FLIGHT_LEAST: usize = 11 << 20;
const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// What the tasks of all shards share.
pub(crate) struct Resources<P> {
    kinesis: aws_sdk_kinesis::Client,
    table: LeaseTable,
    processor: Arc<P>,
    budget: Arc<Semaphore>,
    settings: Arc<Settings>,
    metrics: Arc<dyn Metrics>,
}

impl<P> Resources<P> {
    pub(crate) fn new(consumer: &Consumer<P>, table: LeaseTable) -> Self {
        let units = consumer.settings.bytes_in_flight_max.max(BYTES_IN_FLIGHT_LEAST) / BUDGET_UNIT;
        Self {
            kinesis: consumer.kinesis.clone(),
            table,
            processor: consumer.processor.clone(),
            budget: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            settings: consumer.settings.clone(),
            metrics: consumer.metrics.clone(),
        }
    }
}

/// Everything that reading one shard takes.
pub(crate) struct ShardTask<P> {
    shard: ShardContext,
    reader: ShardReader,
    held: HeldLease,
    resources: Arc<Resources<P>>,
    stop: CancellationToken,
    handed_since: Option<Instant>,
}

/// What was accepted and not yet saved.
struct Progress {
    accepted: Option<SequenceNumber>,
    saved_at: Instant,
}

impl<P: Processor> ShardTask<P> {
    pub(crate) fn new(
        resources: &Arc<Resources<P>>,
        lease: &Lease,
        held: HeldLease,
        handed_since: Option<Instant>,
        stop: CancellationToken,
    ) -> Self {
        let lost = held.lost().clone();
        let shard = ShardContext { id: lease.key.as_str().into(), fence: lease.counter, lost };
        let start = Start::from(lease);
        let (kinesis, settings) = (resources.kinesis.clone(), &resources.settings);
        let reader = ShardReader::new(kinesis, settings, shard.id.clone(), start);
        Self { shard, reader, held, resources: resources.clone(), stop, handed_since }
    }

    pub(crate) async fn run(self) -> End {
        let lost = self.held.lost().clone();
        let shard = self.shard.id.clone();
        // Dropping the work is what losing a lease means: nothing it holds may reach the table any more,
        // and the next owner starts at the checkpoint.
        let ended = tokio::select! {
            biased;
            () = lost.cancelled() => Ended::Lost,
            ended = self.read_to_end() => ended,
        };
        info!(shard = &*shard, ended = ?ended, "stopped reading a shard");
        (ended, None)
    }

    async fn read_to_end(mut self) -> Ended {
        let mut progress = Progress { accepted: None, saved_at: Instant::now() };
        let mut failures = 0;
        let mut next_read = Instant::now();
        while let Some(room) = self.turn(next_read).await {
            next_read = Instant::now() + self.resources.settings.read_interval;
            match self.reader.read().await {
                Ok(mut read) => {
                    failures = 0;
                    if let Some(since) = self.handed_since.take() {
                        self.resources.metrics.handed_over(since.elapsed());
                    }
                    let end = read.end.take();
                    if !self.hand_over(read, room, &mut progress).await {
                        break;
                    }
                    if let Some(children) = end {
                        return self.finish(children).await;
                    }
                }
                Err(NoRead::Reopen) => next_read = Instant::now(),
                Err(NoRead::Pause(error)) => {
                    next_read = Instant::now() + backoff(failures, RETRY_LEAST, RETRY_MOST);
                    failures += 1;
                    let error = &error as &dyn std::error::Error;
                    warn!(shard = &*self.shard.id, error, failures, "could not read a shard");
                }
            }
            self.save(&mut progress, self.resources.settings.checkpoint_interval).await;
        }
        self.save(&mut progress, Duration::ZERO).await;
        let asked = self.held.asked().is_cancelled();
        self.held.release().await;
        if asked { Ended::HandedOver } else { Ended::Stopped }
    }

    /// Waits for the next read's time, then for room for what it may return. `None` when told to stop.
    async fn turn(&self, next_read: Instant) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(READ_BYTES_MAX / BUDGET_UNIT).unwrap_or(u32::MAX);
        let room = async {
            sleep_until(next_read).await;
            self.resources.budget.clone().acquire_many_owned(units).await.ok()
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = self.held.asked().cancelled() => None,
            room = room => room,
        }
    }

    /// Hands the records over until they are accepted. False when told to stop before that.
    async fn hand_over(
        &self,
        read: Read,
        mut room: OwnedSemaphorePermit,
        progress: &mut Progress,
    ) -> bool {
        let Read { records, millis_behind_latest, .. } = read;
        let Some(last) = records.last().map(|record| record.sequence_number()) else {
            return true;
        };
        let bytes: usize = records.iter().map(|record| record.data.len()).sum();
        drop(room.split(room.num_permits().saturating_sub(bytes.div_ceil(BUDGET_UNIT))));
        let batch = Batch { shard: self.shard.clone(), records, millis_behind_latest, attempt: 0 };
        let accepted = self.offer(&batch).await;
        if accepted {
            progress.accepted = Some(last);
        }
        accepted
    }

    async fn offer(&self, batch: &Batch) -> bool {
        for attempt in 0.. {
            let offered =
                AssertUnwindSafe(self.resources.processor.process(batch)).catch_unwind().await;
            let retry = match offered {
                Ok(Ok(())) => return true,
                Ok(Err(retry)) => retry,
                Err(_) => Failure::retry("the processor panicked"),
            };
            let pause = retry.after.unwrap_or_else(|| backoff(attempt, RETRY_LEAST, RETRY_MOST));
            let (shard, records) = (&*self.shard.id, batch.records.len());
            warn!(shard, records, attempt, reason = retry.reason, "a batch was not accepted");
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = self.held.asked().cancelled() => return false,
                () = sleep(pause) => {}
            }
        }
        false
    }

    /// Saves the place, at most every `interval`. What fails for now is tried again with the next read.
    async fn save(&self, progress: &mut Progress, interval: Duration) {
        let Some(sequence) = progress.accepted else { return };
        if progress.saved_at.elapsed() < interval {
            return;
        }
        let position = Position { sequence, sub_sequence: 0 };
        if self.held.checkpoint(Checkpoint::At(position)).await.is_ok() {
            *progress = Progress { accepted: None, saved_at: Instant::now() };
        }
    }

    /// Children first, then the end: a crash in between leaves a shard that ends once more.
    async fn finish(self, children: Vec<Shard>) -> Ended {
        for attempt in 0.. {
            match self.try_finish(&children).await {
                Ok(()) => break,
                Err(NotWritten::Lost) => return Ended::Lost,
                Err(NotWritten::ForNow) => sleep(backoff(attempt, RETRY_LEAST, RETRY_MOST)).await,
            }
        }
        self.held.release().await;
        Ended::Finished
    }

    async fn try_finish(&self, children: &[Shard]) -> Result<(), NotWritten> {
        for child in children {
            let lease = child.lease(Checkpoint::TrimHorizon);
            if let Err(error) = self.resources.table.apply(&Transition::Create, &lease).await {
                let error = &error as &dyn std::error::Error;
                error!(
                    shard = &*self.shard.id,
                    child = child.id,
                    error,
                    "could not create a lease"
                );
                return Err(NotWritten::ForNow);
            }
        }
        let ids = children.iter().map(|child| child.id.clone()).collect();
        self.held.note_children(ids).await?;
        self.held.checkpoint(Checkpoint::ShardEnd).await
    }
}
