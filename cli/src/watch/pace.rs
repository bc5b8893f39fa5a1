//! How fast things are sent.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// So many a second.
#[derive(Debug)]
pub(super) struct Pace {
    each: Duration,
    next: Instant,
}

impl Pace {
    /// At most `rate` a second, from now on.
    pub(super) fn of(rate: u32) -> Self {
        Self { each: Duration::from_secs(1) / rate.max(1), next: Instant::now() }
    }

    /// Waits until `count` more may be sent.
    pub(super) async fn wait(&mut self, count: u32) {
        sleep_until(self.next).await;
        // Time that was not used is not made up for.
        self.next = self.next.max(Instant::now()) + self.each * count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_are_let_through_than_the_rate_says() {
        let began = Instant::now();
        let mut pace = Pace::of(50);
        for _ in 0..11 {
            pace.wait(10).await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
}
