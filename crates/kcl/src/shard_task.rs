//! One shard, from its checkpoint to its end: read, hand over, save the place.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::checkpoint::{Checkpoint, Position, SequenceNumber};
use crate::error::Error;
use crate::lease::held::{HeldLease, NotWritten};
use crate::lease::table::LeaseTable;
use crate::lease::transition::Transition;
use crate::processor::{Batch, Ended, Failure, Processor, ShardContext};
use crate::retrieval::{Page, Source, backoff};
use crate::settings::Settings;
use crate::shards::Shard;

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// Everything that reading one shard takes.
pub(crate) struct ShardTask<P> {
    pub(crate) shard: Arc<str>,
    pub(crate) fence: u64,
    pub(crate) source: Source,
    /// Records up to this one are done.
    pub(crate) done: Option<SequenceNumber>,
    pub(crate) held: HeldLease,
    pub(crate) table: LeaseTable,
    pub(crate) processor: Arc<P>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) stop: CancellationToken,
}

/// What was accepted and not yet saved.
struct Progress {
    accepted: Option<SequenceNumber>,
    saved_at: Instant,
}

impl<P: Processor> ShardTask<P> {
    pub(crate) async fn run(self) -> Ended {
        let lost = self.held.lost().clone();
        let shard = self.shard.clone();
        // Dropping the work is what losing a lease means: nothing it holds may reach the table any more,
        // and the next owner starts at the checkpoint.
        let ended = tokio::select! {
            biased;
            () = lost.cancelled() => Ended::Lost,
            ended = self.read_to_end() => ended,
        };
        info!(shard = &*shard, ended = ?ended, "stopped reading a shard");
        ended
    }

    async fn read_to_end(mut self) -> Ended {
        let mut progress = Progress { accepted: None, saved_at: Instant::now() };
        while let Some(page) = self.page().await {
            match page {
                Ok(mut page) => {
                    page.records.retain(|record| Some(record.sequence_number()) > self.done);
                    let end = page.end.take();
                    if !self.hand_over(page, &mut progress).await {
                        break;
                    }
                    if let Some(children) = end {
                        return self.finish(children).await;
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(shard = &*self.shard, error, "could not read a shard");
                }
            }
            self.save(&mut progress, self.settings.checkpoint_interval).await;
        }
        self.save(&mut progress, Duration::ZERO).await;
        self.held.release().await;
        Ended::Stopped
    }

    /// The next page. `None` when told to stop.
    async fn page(&mut self) -> Option<Result<Page, Error>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            page = self.source.next() => Some(page),
        }
    }

    /// Hands the records over until they are accepted. False when told to stop before that.
    async fn hand_over(&self, page: Page, progress: &mut Progress) -> bool {
        let Page { records, millis_behind_latest, permit: _room, .. } = page;
        let Some(last) = records.last().map(|record| record.sequence_number()) else {
            return true;
        };
        let shard = ShardContext {
            id: self.shard.clone(),
            fence: self.fence,
            lost: self.held.lost().clone(),
        };
        let batch = Batch { shard, records, millis_behind_latest, attempt: 0 };
        let accepted = self.offer(&batch).await;
        if accepted {
            progress.accepted = Some(last);
        }
        accepted
    }

    async fn offer(&self, batch: &Batch) -> bool {
        for attempt in 0.. {
            let offered = AssertUnwindSafe(self.processor.process(batch)).catch_unwind().await;
            let retry = match offered {
                Ok(Ok(())) => return true,
                Ok(Err(retry)) => retry,
                Err(_) => Failure::retry("the processor panicked"),
            };
            let pause = retry.after.unwrap_or_else(|| backoff(attempt, RETRY_LEAST, RETRY_MOST));
            let (shard, records) = (&*self.shard, batch.records.len());
            warn!(shard, records, attempt, reason = retry.reason, "a batch was not accepted");
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
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
            if let Err(error) = self.table.apply(&Transition::Create, &lease).await {
                let error = &error as &dyn std::error::Error;
                error!(shard = &*self.shard, child = child.id, error, "could not create a lease");
                return Err(NotWritten::ForNow);
            }
        }
        let ids = children.iter().map(|child| child.id.clone()).collect();
        self.held.note_children(ids).await?;
        self.held.checkpoint(Checkpoint::ShardEnd).await
    }
}
