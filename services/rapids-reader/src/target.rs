//! A river that is fed directly.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Its queue, and how that fares. Lives as long as it is routed to or owed an event, through new versions of the
/// routes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The river's name.
    pub(crate) name: String,
    pub(crate) queue_url: String,
    /// When it first took nothing of what it was sent, since it last took something.
    failing_since: Mutex<Option<Instant>>,
}

impl Target {
    pub(crate) fn new(name: String, queue_url: String) -> Self {
        Self { name, queue_url, failing_since: Mutex::default() }
    }

    /// For how long it has taken nothing; none if it is well.
    pub(crate) fn failing_for(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    /// It took, or refused, an event.
    pub(crate) fn worked(&self) {
        *self.since() = None;
    }

    /// It took nothing: for how long now.
    pub(crate) fn failed(&self) -> Duration {
        self.since().get_or_insert_with(Instant::now).elapsed()
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
