//! Tells some of many.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets so many through in a minute, and counts the others.
#[derive(Debug)]
pub(super) struct Sampler {
    per_minute: u32,
    /// Begin of the present minute, and what was let through in it.
    present: Option<(Instant, u32)>,
    untold: u64,
}

impl Sampler {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, present: None, untold: 0 }
    }

    /// Whether to tell, and then how many were not told since the last time.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let (since, told) = match self.present {
            Some((since, told)) if now.duration_since(since) < MINUTE => (since, told),
            _ => (now, 0),
        };
        if told >= self.per_minute {
            self.untold += 1;
            return None;
        }
        self.present = Some((since, told + 1));
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_in_part_and_the_rest_by_number() {
        let (mut sampler, start) = (Sampler::new(2), Instant::now());
        let told: Vec<_> = (0..5).map(|s| sampler.take(start + Duration::from_secs(s))).collect();
        assert_eq!(told, [Some(0), Some(0), None, None, None]);
        assert_eq!(sampler.take(start + MINUTE), Some(3));
        assert_eq!(sampler.take(start + MINUTE), Some(0));
        assert_eq!(Sampler::new(0).take(start), None);
    }
}
