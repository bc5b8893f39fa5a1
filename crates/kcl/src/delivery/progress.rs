//! Acknowledgement of single records while their batch is still in work.

use std::sync::Arc;

use super::account::Account;
use super::ledger::Ticket;
use crate::metrics::{Fate, Metrics};

/// Takes the records of a batch one by one, before [`crate::Processor::process_with`] is done with all of it:
/// the checkpoint may pass them at once, and should the batch fail they do not come again.
///
/// Outlives the batch: it can be kept with a record, wherever that goes.
#[derive(Clone)]
pub struct Progress(Option<Arc<Tracked>>);

struct Tracked {
    account: Arc<Account>,
    tickets: Vec<Ticket>,
    metrics: Arc<dyn Metrics>,
}

impl Progress {
    /// Of a batch that no consumer waits for. For a processor's own tests.
    #[must_use]
    pub fn untracked() -> Self {
        Self(None)
    }

    pub(crate) fn new(
        account: Arc<Account>,
        tickets: Vec<Ticket>,
        metrics: Arc<dyn Metrics>,
    ) -> Self {
        Self(Some(Arc::new(Tracked { account, tickets, metrics })))
    }

    /// The record at this index of the batch is safe elsewhere. False when that came too late: the lease was
    /// lost, and another worker delivers it again.
    #[must_use = "a record that was accepted too late is delivered again"]
    pub fn accept(&self, index: usize) -> bool {
        let Some(tracked) = &self.0 else { return true };
        let Some(ticket) = tracked.tickets.get(index) else { return false };
        let (late, bytes) = tracked.account.settle([*ticket]);
        if late > 0 {
            tracked.metrics.records(Fate::Late, late, bytes);
        }
        late == 0
    }
}
