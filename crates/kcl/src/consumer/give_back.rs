//! What a worker that stops does with the leases that it has asked for.

use tracing::warn;

use crate::consumer::coordinator::Coordinator;
use crate::error::Error;
use crate::lease::Lease;
use crate::lease::table::Outcome;
use crate::lease::transition::Transition;
use crate::processor::Processor;

/// Each attempt after the first means that the holder was done at that very moment, which happens once.
const ATTEMPTS_MAX: usize = 3;

impl<P: Processor> Coordinator<P> {
    /// Takes back every wish for a lease. Else its holder would give it to a worker that is gone, and nobody
    /// would read the shard until the lease expires.
    pub(super) async fn give_back(&mut self) {
        for key in std::mem::take(&mut self.awaited).into_keys() {
            if let Err(error) = self.give_back_one(&key).await {
                let error = &error as &dyn std::error::Error;
                warn!(
                    shard = key,
                    error, "could not take back the wish for a lease: it expires by itself"
                );
            }
        }
    }

    async fn give_back_one(&self, key: &str) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let lease = self.table.get(key).await?;
            let is_mine = |lease: &Lease| lease.owner.as_deref() == Some(&*self.keeping.worker);
            let Some(lease) = lease.filter(is_mine) else { return Ok(()) };
            // Without a checkpoint owner it was handed over already, and not taken up.
            let back = match lease.checkpoint_owner {
                Some(_) => Transition::Withdraw,
                None => Transition::Evict,
            };
            if let Outcome::Applied(_) = self.table.apply(&back, &lease).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}
