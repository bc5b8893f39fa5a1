//! What the control plane counts.

use prometheus::{
    Histogram, HistogramOpts, HistogramTimer, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry,
};

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
    drift: IntCounterVec,
    put_off: IntCounter,
    rivers: IntGauge,
    leads: IntGauge,
    reconcile_seconds: Histogram,
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
            drift: IntCounterVec::new(
                Opts::new(
                    "rapids_control_drift_total",
                    "Changes by other hands that were put back, by what was changed.",
                ),
                &["kind"],
            )?,
            put_off: IntCounter::new(
                "rapids_control_put_off_total",
                "Looks at rivers that could not be brought to what is wanted, and are tried again.",
            )?,
            rivers: IntGauge::new(
                "rapids_control_rivers",
                "Rivers at the last look at all of them; 0 where another replica looks after them.",
            )?,
            leads: IntGauge::new(
                "rapids_control_leads",
                "1 for the replica that looks after all rivers.",
            )?,
            reconcile_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "rapids_control_reconcile_seconds",
                    "Time to bring one river to what is wanted.",
                )
                .buckets(SECONDS.to_vec()),
            )?,
        };
        registry.register(Box::new(metrics.drift.clone()))?;
        registry.register(Box::new(metrics.put_off.clone()))?;
        registry.register(Box::new(metrics.rivers.clone()))?;
        registry.register(Box::new(metrics.leads.clone()))?;
        registry.register(Box::new(metrics.reconcile_seconds.clone()))?;
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

    pub(crate) fn drift(&self, kind: &'static str) {
        self.drift.with_label_values(&[kind]).inc();
    }

    pub(crate) fn put_off(&self) {
        self.put_off.inc();
    }

    pub(crate) fn rivers(&self, rivers: usize) {
        self.rivers.set(i64::try_from(rivers).unwrap_or(i64::MAX));
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
        if !leads {
            self.rivers.set(0);
        }
    }

    pub(crate) fn reconciling(&self) -> HistogramTimer {
        self.reconcile_seconds.start_timer()
    }

    /// Measures until it is dropped.
    pub(crate) fn start(&self, command: &'static str) -> HistogramTimer {
        self.seconds.with_label_values(&[command]).start_timer()
    }
}
