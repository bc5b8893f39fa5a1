//! Until when a lease is ours, by this machine's clock.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// Shared by the task that renews a lease and whoever works on its shard. The first tells the others when the lease is
/// lost; but when the process stood still, they may run before it does.
#[derive(Clone, Debug)]
pub(crate) struct Validity(Arc<Mutex<Instant>>);

impl Validity {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(deadline)))
    }

    pub(crate) fn extend(&self, deadline: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
