//! Whether the system does what it is there for.

use jiff::Timestamp;
use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec};

use super::{Made, WAY_SECONDS, boxed, counter, gauge, spread};
use crate::probe::{NAMES, STAGES};

/// Synthetic customers, stage by stage.
#[derive(Clone, Debug)]
pub(crate) struct Probes {
    pub(crate) runs: IntCounterVec,
    pub(crate) failures: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) success: GaugeVec,
}

impl Probes {
    pub(super) fn new() -> Made<Self> {
        let probes = Self {
            runs: counter(
                "rapids_probe_runs_total",
                "Synthetic customers by whether all that should follow came to pass.",
                &["probe", "outcome"],
            )?,
            failures: counter(
                "rapids_probe_stage_failures_total",
                "Stages of runs that did not come to pass, or too late.",
                &["stage"],
            )?,
            seconds: spread(
                "rapids_probe_stage_seconds",
                "Time from a synthetic view to each of its stages, by the events' own timestamps, in seconds.",
                &["stage"],
                &WAY_SECONDS,
            )?,
            success: gauge(
                "rapids_probe_last_success_timestamp_seconds",
                "When a run was last successful, or the monitor started, in seconds since the Unix epoch.",
                &["probe"],
            )?,
        };
        probes.born_at_zero();
        Ok(probes)
    }

    /// A counter that is born with its first event hides that event from every `increase()`.
    fn born_at_zero(&self) {
        for probe in NAMES {
            for outcome in ["passed", "failed"] {
                self.runs.with_label_values(&[probe, outcome]);
            }
        }
        for stage in STAGES {
            self.failures.with_label_values(&[stage]);
            self.seconds.with_label_values(&[stage]);
        }
    }

    /// Probes are sent from now on: none that has passed yet is one that passed at the start, so that its age is known.
    pub(crate) fn begin(&self, now: Timestamp) {
        for probe in NAMES {
            self.success.with_label_values(&[probe]).set(now.as_duration().as_secs_f64());
        }
    }

    pub(super) fn all(&self) -> Vec<Box<dyn Collector>> {
        vec![boxed(&self.runs), boxed(&self.failures), boxed(&self.seconds), boxed(&self.success)]
    }
}
