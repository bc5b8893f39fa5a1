//! The end of a shard: what follows on it gets leases, then its own says that it is done.

use tokio::time::sleep;
use tracing::error;

use crate::backoff::backoff;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::held::NotWritten;
use crate::lease::transition::Transition;
use crate::processor::{Ended, Processor};
use crate::retrieval;
use crate::shard_task::{RETRY_LEAST, RETRY_MOST, Resources, ShardTask};
use crate::shards::{self, Shard};

impl<P: Processor> ShardTask<P> {
    /// Children first, then the end: a crash in between leaves a shard that ends once more.
    pub(super) async fn finish(self, children: Vec<Shard>) -> Ended {
        let mut ended = Ended::Finished;
        for attempt in 0.. {
            match self.try_finish(&children).await {
                Ok(()) => break,
                Err(NotWritten::Lost) => return Ended::Lost,
                Err(NotWritten::ForNow) if self.stop.is_cancelled() => {
                    ended = Ended::Stopped; // The next owner ends it.
                    break;
                }
                Err(NotWritten::ForNow) => sleep(backoff(attempt, RETRY_LEAST, RETRY_MOST)).await,
            }
        }
        self.held.release().await;
        ended
    }

    async fn try_finish(&self, children: &[Shard]) -> Result<(), NotWritten> {
        if let Err(error) = self.lease_children(children).await {
            let error = &error as &dyn std::error::Error;
            error!(
                shard = &*self.shard.id,
                error, "could not make leases for the shards that follow"
            );
            return Err(NotWritten::ForNow);
        }
        let ids = children.iter().map(|child| child.id.clone()).collect();
        self.held.note_children(ids).await?;
        self.held.checkpoint(Checkpoint::ShardEnd).await
    }

    /// A child of two parents gets its lease only when all that leads to the other one has leases, or is gone:
    /// else it would not wait for it. KCL: `ShutdownTask`, which waits for somebody else to make them.
    async fn lease_children(&self, children: &[Shard]) -> Result<(), Error> {
        let Resources { table, kinesis, settings, metrics, .. } = &*self.resources;
        for child in children {
            for parent in child.parents.iter().filter(|parent| parent.as_str() != &*self.shard.id) {
                if table.get(parent).await?.is_some() || table.get(&child.id).await?.is_some() {
                    continue;
                }
                let shards = retrieval::list(kinesis, &settings.stream, &**metrics).await?;
                let (leases, initial) = (table.scan().await?, settings.initial_position);
                let missing = shards::missing_before(child, &shards, &leases, initial);
                let now = self.resources.now_for(&missing).await?;
                for lease in missing {
                    let initial_at = lease.begins_at(initial, now);
                    table.apply(&Transition::Create, &Lease { initial_at, ..lease }).await?;
                }
            }
            table.apply(&Transition::Create, &child.lease(Checkpoint::TrimHorizon)).await?;
        }
        Ok(())
    }
}
