//! What the monitor shows, by who watches it: the business, operators of services, and whoever accepts a deployment.

mod offers;
mod probes;
mod ways;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

pub(crate) use offers::Offers;
pub(crate) use probes::Probes;
pub(crate) use ways::Ways;

/// From one hop to all of them, twice around.
const WAY_SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 5.0, 10.0];

/// Counters and gauges of the monitor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) offers: Offers,
    pub(crate) ways: Ways,
    pub(crate) probes: Probes,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (offers, ways, probes) = (Offers::new()?, Ways::new()?, Probes::new()?);
        let all = offers.all().into_iter().chain(ways.all()).chain(probes.all());
        for metric in all {
            registry.register(metric)?;
        }
        Ok(Self { offers, ways, probes })
    }
}

type Made<T> = Result<T, prometheus::Error>;

fn counter(name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn number(name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
    GaugeVec::new(Opts::new(name, help), labels)
}

fn spread(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Made<HistogramVec> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
}

fn boxed<C: Collector + Clone + 'static>(metric: &C) -> Box<dyn Collector> {
    Box::new(metric.clone())
}
