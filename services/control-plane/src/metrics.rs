//! What the control plane counts.

use prometheus::{HistogramOpts, HistogramTimer, HistogramVec, IntCounterVec, Opts, Registry};

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    Quarantined,
    Retried,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Quarantined => "quarantined",
            Self::Retried => "retried",
        }
    }
}

/// A command is some ten calls of a few milliseconds each, or waits for the SDK's retries.
const SECONDS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Counters and gauges of one control plane.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    commands: IntCounterVec,
    quarantined: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            commands: IntCounterVec::new(
                Opts::new(
                    "rapids_control_commands_total",
                    "Commands by what became of them; one that is tried again counts each time.",
                ),
                &["command", "outcome"],
            )?,
            quarantined: IntCounterVec::new(
                Opts::new(
                    "rapids_control_quarantined_total",
                    "Commands put into the quarantine, by reason.",
                ),
                &["reason"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "rapids_control_command_seconds",
                    "Time to carry out a command.",
                )
                .buckets(SECONDS.to_vec()),
                &["command"],
            )?,
        };
        registry.register(Box::new(metrics.commands.clone()))?;
        registry.register(Box::new(metrics.quarantined.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }

    /// Counts one more; `command` is `unreadable` for a record that is none.
    pub(crate) fn settled(&self, command: &'static str, outcome: Outcome) {
        self.commands.with_label_values(&[command, outcome.as_str()]).inc();
    }

    pub(crate) fn quarantined(&self, reason: &'static str) {
        self.quarantined.with_label_values(&[reason]).inc();
    }

    /// Measures until it is dropped.
    pub(crate) fn start(&self, command: &'static str) -> HistogramTimer {
        self.seconds.with_label_values(&[command]).start_timer()
    }
}
