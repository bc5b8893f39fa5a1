//! How long to wait before trying again.

use std::time::Duration;

/// Pause before attempt `attempt`, counted from 0: full jitter over a doubling that ends at `most`.
pub(crate) fn backoff(attempt: u32, least: Duration, most: Duration) -> Duration {
    let ceiling = most.min(least * 2u32.saturating_pow(attempt.min(16)));
    least.min(ceiling) + ceiling.mul_f64(fastrand::f64())
}
