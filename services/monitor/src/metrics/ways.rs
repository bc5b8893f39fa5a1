//! Whether services live and events arrive.

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Made, WAY_SECONDS, boxed, counter, gauge, number, spread};

/// Services, rivers, and the events on their way.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    pub(crate) instances: IntGaugeVec,
    pub(crate) heartbeat_age: GaugeVec,
    pub(crate) silences: IntCounterVec,
    pub(crate) pings: IntCounterVec,
    pub(crate) ping_seconds: HistogramVec,
    pub(crate) audited: IntCounterVec,
    pub(crate) pending: IntGauge,
    pub(crate) lag: Gauge,
    pub(crate) subscriptions: IntGaugeVec,
    pub(crate) depth: IntGaugeVec,
    pub(crate) dead: IntGaugeVec,
}

impl Ways {
    pub(super) fn new() -> Made<Self> {
        Ok(Self {
            instances: number(
                "rapids_service_instances",
                "Processes by what was last heard of them: up, stopping, gone or silent.",
                &["service", "version", "river", "state"],
            )?,
            heartbeat_age: gauge(
                "rapids_service_heartbeat_age_seconds",
                "Time since anything was heard of a service's freshest process, in seconds.",
                &["service"],
            )?,
            silences: counter(
                "rapids_service_silences_total",
                "Processes that fell silent without a goodbye.",
                &["service"],
            )?,
            pings: counter(
                "rapids_pings_total",
                "Pings through a river that were answered in time, or lost.",
                &["river", "outcome"],
            )?,
            ping_seconds: spread(
                "rapids_ping_seconds",
                "Time of a ping through the rapids, the river and its service, and back, in seconds.",
                &["river"],
                &WAY_SECONDS,
            )?,
            audited: counter(
                "rapids_audit_events_total",
                "Audited events by whether their river accounted for them: acknowledged, missing, or unknown (who could tell is gone).",
                &["river", "outcome"],
            )?,
            pending: IntGauge::new(
                "rapids_audit_pending_events",
                "Audited events that some river has not accounted for yet.",
            )?,
            lag: Gauge::new(
                "rapids_monitor_lag_seconds",
                "Time since the newest event that the monitor has heard of was made, in seconds: how far behind its figures are.",
            )?,
            subscriptions: number(
                "rapids_subscriptions",
                "Topics of a river by status: active, pending or degraded.",
                &["river", "status"],
            )?,
            depth: number(
                "rapids_river_depth",
                "Messages in a river by state: visible, in_flight or delayed.",
                &["river", "state"],
            )?,
            dead: number(
                "rapids_dlq_depth",
                "Messages in the dead-letter queue of a river; Rapids and Control are the platform's own quarantines.",
                &["river"],
            )?,
        })
    }

    pub(super) fn all(&self) -> Vec<Box<dyn Collector>> {
        vec![
            boxed(&self.instances),
            boxed(&self.heartbeat_age),
            boxed(&self.silences),
            boxed(&self.pings),
            boxed(&self.ping_seconds),
            boxed(&self.audited),
            boxed(&self.pending),
            boxed(&self.lag),
            boxed(&self.subscriptions),
            boxed(&self.depth),
            boxed(&self.dead),
        ]
    }
}
