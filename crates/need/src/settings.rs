//! What an operator may set of the windows of a service.

use std::time::Duration;

use chassis::{Problems, Validate};
use jiff::SignedDuration;
use pond::Lateness;
use serde::{Deserialize, Serialize};

use crate::deadline::Bounds;

/// How long solutions are collected.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// From the time of the need, by its timestamp.
    #[serde(with = "chassis::duration")]
    pub length: Duration,
    /// At least this long after the service has heard of the need.
    #[serde(with = "chassis::duration")]
    pub least: Duration,
    /// At most this long after the service has heard of the need.
    #[serde(with = "chassis::duration")]
    pub most: Duration,
    /// Closed early when nothing has come for this long after the last solution; never for `0s`. A window without any
    /// solution waits for its time.
    #[serde(with = "chassis::duration")]
    pub quiet: Duration,
    /// What comes after a window was closed.
    pub amendments: Amendments,
}

/// How far a choice may be amended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amendments {
    /// Most amendments of one choice; 0 for none at all.
    pub most: u16,
    /// How long after it was closed a window takes notice of what comes.
    #[serde(with = "chassis::duration")]
    pub within: Duration,
}

impl Default for Window {
    fn default() -> Self {
        let ms = Duration::from_millis;
        let amendments = Amendments::default();
        Self { length: ms(2_000), least: ms(300), most: ms(5_000), quiet: ms(0), amendments }
    }
}

impl Default for Amendments {
    fn default() -> Self {
        Self { most: 2, within: Duration::from_secs(30) }
    }
}

/// SQS delays a message, and so the durable timer, by 15 minutes at most.
const WINDOW_MOST: Duration = Duration::from_secs(14 * 60);
/// What is late is kept for a day, and amending looks at all of it.
const WITHIN_MOST: Duration = Duration::from_secs(60 * 60);
/// Each amendment is an event that everybody downstream has to take back something for.
const AMENDMENTS_MOST: u16 = 10;

impl Validate for Window {
    fn validate(&self, problems: &mut Problems) {
        let Self { length, least, most, .. } = *self;
        if !(least..=most).contains(&length) {
            problems.report("length", "must be between least and most");
        }
        if most > WINDOW_MOST {
            problems.report("most", "must be at most 14m");
        }
        if self.amendments.most > AMENDMENTS_MOST {
            problems.report("amendments.most", format!("must be at most {AMENDMENTS_MOST}"));
        }
        if self.amendments.within > WITHIN_MOST {
            problems.report("amendments.within", "must be at most 1h");
        }
    }
}

impl Window {
    pub(crate) fn bounds(&self) -> Bounds {
        let Self { length, least, most, .. } = *self;
        Bounds { length: signed(length), least: signed(least), most: signed(most) }
    }

    pub(crate) fn lateness(&self) -> Lateness {
        let Amendments { most, within } = self.amendments;
        Lateness { within: signed(within), amendments_max: u32::from(most) }
    }

    pub(crate) fn quiet(&self) -> Option<Duration> {
        (!self.quiet.is_zero()).then_some(self.quiet)
    }
}

/// Validated to be some minutes at most.
fn signed(duration: Duration) -> SignedDuration {
    duration.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert!(Problems::of(&Window::default()).is_empty());
    }

    #[test]
    fn every_broken_rule_is_told_by_key() {
        let amendments = Amendments { most: 11, within: Duration::from_secs(3_601) };
        let most = Duration::from_secs(15 * 60);
        let wrong = Window { length: Duration::ZERO, most, amendments, ..Window::default() };
        let problems = Problems::of(&wrong).to_string();
        for key in ["length", "most", "amendments.most", "amendments.within"] {
            assert!(problems.contains(key), "{problems}");
        }
    }
}
