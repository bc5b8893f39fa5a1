//! What an operator wants to know of the archive.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::append::Appended;

/// Counters of one archive.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    events: IntCounterVec,
    commits: IntCounterVec,
    conflicts: IntCounter,
    commit_seconds: Histogram,
    files: IntGauge,
    vacuumed: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            events: by(
                "archive_events_total",
                "Events by what became of them: a row of their own, a duplicate of one, or failed for now.",
                "outcome",
            )?,
            commits: by(
                "archive_commits_total",
                "Work on the archive by kind and outcome.",
                "outcome",
            )?,
            conflicts: IntCounter::new(
                "archive_conflicts_total",
                "How often another writer was faster, and a commit was decided anew.",
            )?,
            commit_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "archive_commit_seconds",
                    "Time for the commit of a batch, in seconds.",
                )
                .buckets(vec![0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0]),
            )?,
            files: IntGauge::new(
                "archive_files",
                "Live files, as of the last commit of this process.",
            )?,
            vacuumed: IntCounter::new(
                "archive_vacuumed_files_total",
                "Files deleted that were of no use.",
            )?,
        };
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.conflicts.clone()))?;
        registry.register(Box::new(metrics.commit_seconds.clone()))?;
        registry.register(Box::new(metrics.files.clone()))?;
        registry.register(Box::new(metrics.vacuumed.clone()))?;
        Ok(metrics)
    }

    /// A batch was committed, or had nothing new.
    pub(crate) fn appended(&self, appended: &Appended, took: Duration, files: usize) {
        let new = appended.new.iter().filter(|new| **new).count();
        self.events.with_label_values(&["new"]).inc_by(new as u64);
        self.events.with_label_values(&["duplicate"]).inc_by((appended.new.len() - new) as u64);
        self.commits.with_label_values(&["appended"]).inc();
        self.conflicts.inc_by(appended.conflicts.into());
        self.commit_seconds.observe(took.as_secs_f64());
        self.files.set(i64::try_from(files).unwrap_or(i64::MAX));
    }

    /// A batch was not committed, as far as is known.
    pub(crate) fn failed(&self, events: usize) {
        self.events.with_label_values(&["failed"]).inc_by(events as u64);
        self.commits.with_label_values(&["append_failed"]).inc();
    }

    /// A merge was committed, or was another writer's already.
    pub(crate) fn compacted(&self, made: bool) {
        self.commits.with_label_values(&[if made { "compacted" } else { "outrun" }]).inc();
    }

    /// Compaction or vacuum failed.
    pub(crate) fn upkeep_failed(&self) {
        self.commits.with_label_values(&["upkeep_failed"]).inc();
    }

    /// So many files were deleted.
    pub(crate) fn vacuumed(&self, files: usize) {
        self.vacuumed.inc_by(files as u64);
    }
}
