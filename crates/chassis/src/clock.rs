//! The time that a service tells.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Wall-clock time, on tokio's clock: a test that pauses tokio's time moves this by advancing that.
///
/// For deadlines and waits use tokio's `Instant`; this is for what others read, such as timestamps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Base,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Base {
    /// The machine's clock, followed through its steps; `since` is when this clock was made.
    System { since: std::time::Instant },
    /// A chosen time.
    Chosen(SystemTime),
}

impl Clock {
    /// The machine's clock, to which is added whatever a test advances tokio's.
    #[must_use]
    pub fn system() -> Self {
        Self { base: Base::System { since: monotonic() }, since: Instant::now() }
    }

    /// A clock that says `at` now and runs with tokio's from here on.
    #[must_use]
    pub fn starting_at(at: SystemTime) -> Self {
        Self { base: Base::Chosen(at), since: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let elapsed = self.since.elapsed();
        match self.base {
            Base::Chosen(at) => at + elapsed,
            // A process lives for months: machine time plus the difference of the two monotonic clocks, which
            // is nothing unless a test moved tokio's, follows every step that the machine's time makes.
            Base::System { since } => {
                let moved = elapsed.saturating_sub(monotonic().duration_since(since));
                machine_time() + moved
            }
        }
    }

    /// The time now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let since_epoch = self.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn machine_time() -> SystemTime {
    SystemTime::now()
}

#[expect(clippy::disallowed_methods, reason = "the clock that no test can pause, to compare with")]
fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_chosen_clock_moves_only_with_tokios() {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1_000));
        assert_eq!(clock.now_ms(), 1_000_000);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(clock.now_ms(), 1_002_500);
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_can_be_moved_by_a_test_too() {
        let clock = Clock::system();
        let before = clock.now();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let moved = clock.now().duration_since(before).unwrap();
        assert!(moved > Duration::from_secs(3_590), "{moved:?}");
    }

    #[tokio::test]
    async fn the_system_clock_tells_the_machines_time() {
        let apart = machine_time().duration_since(Clock::system().now()).unwrap_or_default();
        assert!(apart < Duration::from_secs(60), "{apart:?}");
    }
}
