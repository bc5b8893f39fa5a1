//! What an operator may set of the archive.

use std::time::Duration;

use chassis::{Problems, Validate};
use serde::{Deserialize, Serialize};

use crate::place::DEFAULT_PLACE;

/// Settings of the archive, beside those of the kit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where it is: a folder, `file:///…` or `s3://bucket/prefix`.
    pub archive: String,
    /// Events in a commit, at most; when so many are there, nobody waits for more.
    pub flush_rows: u16,
    /// Bytes of events in a commit, about.
    pub flush_bytes: usize,
    /// Longest time that an event waits for others to be committed with.
    #[serde(with = "chassis::duration")]
    pub flush_every: Duration,
    /// Time between two looks for small files to put together.
    #[serde(with = "chassis::duration")]
    pub compact_every: Duration,
    /// How long a file is kept after it was of use to nobody; a query that takes longer may fail.
    #[serde(with = "chassis::duration")]
    pub vacuum_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            archive: DEFAULT_PLACE.to_owned(),
            // Half of what is handled at once, so that the other half gathers while one is committed.
            flush_rows: CONCURRENCY / 2,
            flush_bytes: 16 << 20,
            flush_every: Duration::from_secs(5),
            compact_every: Duration::from_secs(60),
            vacuum_after: Duration::from_secs(24 * 3_600),
        }
    }
}

/// Ten times what a commit may take. Below, a file of a commit under way could be taken for an abandoned one.
const VACUUM_LEAST: Duration = Duration::from_secs(20 * 60);
/// An event waits for its commit within `handle_limit`, a minute unless set otherwise.
const FLUSH_MOST: Duration = Duration::from_secs(30);
/// Below, looking for work would be most of the work.
const COMPACT_LEAST: Duration = Duration::from_millis(100);
/// Events handled at once: all of them do nothing but wait for a commit.
const CONCURRENCY: u16 = 1_000;

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.archive.is_empty() {
            problems.report("archive", "must be a folder, file:///… or s3://bucket/prefix");
        }
        if self.flush_rows == 0 {
            problems.report("flush_rows", "must be at least 1");
        }
        if self.flush_bytes == 0 {
            problems.report("flush_bytes", "must be at least 1");
        }
        if self.flush_every.is_zero() || self.flush_every > FLUSH_MOST {
            problems.report("flush_every", "must be 1ms to 30s");
        }
        if self.compact_every < COMPACT_LEAST {
            problems.report("compact_every", "must be at least 100ms");
        }
        if self.vacuum_after < VACUUM_LEAST {
            problems.report("vacuum_after", "must be at least 20m");
        }
    }
}

/// All settings of the service: those of the kit, with defaults that suit it, and its own.
///
/// An event takes as long as the others take to come, by design, so that latency says nothing about pressure: the
/// number of events handled at once is fixed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub river::Config<Config>);

impl Default for Settings {
    fn default() -> Self {
        Self(river::Config {
            concurrency: CONCURRENCY,
            concurrency_least: CONCURRENCY,
            ..river::Config::default()
        })
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        self.0.validate(problems);
        if self.0.handler.flush_rows > self.0.concurrency {
            problems.report(
                "flush_rows",
                "must be at most what concurrency is, or it is never reached",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_well() {
        let problems = Problems::of(&Settings::default());
        assert!(problems.is_empty(), "{problems}");
    }

    #[test]
    fn a_commit_that_could_never_be_full_is_refused() {
        let mut settings = Settings::default();
        settings.0.concurrency = settings.0.handler.flush_rows - 1;
        settings.0.concurrency_least = 1;
        assert!(Problems::of(&settings).to_string().contains("flush_rows"));
    }

    #[test]
    fn settings_of_the_kit_that_are_left_out_are_those_of_the_archive() {
        // This is how the chassis reads them: its tree of defaults, with what was given put over it.
        let given = serde_json::to_value(Settings::default()).unwrap();
        assert_eq!(given["concurrency"], CONCURRENCY);
        assert_eq!(given["archive"], DEFAULT_PLACE);
    }
}
