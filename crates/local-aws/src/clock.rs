//! The time that the emulated services tell. Real by default; a test can hold it still and move it by hand.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Wall-clock time for the emulated services, in milliseconds since the Unix epoch.
///
/// It runs on tokio's clock, so a test with paused time moves it by advancing that.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Running { base_ms: u64, since: Instant },
    Held { now_ms: u64 },
}

impl Clock {
    /// A clock that starts at the machine's time and runs with tokio's.
    #[must_use]
    pub fn running() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the seam")]
        let now = SystemTime::now();
        let base_ms = millis(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        Self(Arc::new(Mutex::new(State::Running { base_ms, since: Instant::now() })))
    }

    /// A clock that stands still at `now_ms` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn held(now_ms: u64) -> Self {
        Self(Arc::new(Mutex::new(State::Held { now_ms })))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match *self.lock() {
            State::Running { base_ms, since } => base_ms + millis(since.elapsed()),
            State::Held { now_ms } => now_ms,
        }
    }

    /// Moves the clock forward: a held one to the new instant, a running one by an offset.
    pub fn advance(&self, by: Duration) {
        match &mut *self.lock() {
            State::Running { base_ms, .. } => *base_ms += millis(by),
            State::Held { now_ms } => *now_ms += millis(by),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
