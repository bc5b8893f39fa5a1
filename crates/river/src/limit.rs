//! How many handlers may work at once, decided from how the last ones fared.
//!
//! The rule is that of TCP: one more after a window of good outcomes, half of it at a sign of pressure. Signs are a
//! downstream that says so, a handler that ran out of time, and latency far above what it has long been. Here is
//! only the decision; `turns` acts on it. It begins at the maximum, which the operator has named: a downstream that
//! does not bear it halves it within a few round trips, and one that does is not made to wait.
//!
//! What it cannot see: a downstream that was overloaded from the first event on, and answers all of them, late. Its
//! latency is the usual one. Nothing is lost there but time in its queue.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Fewest good outcomes for one handler more: with a window as small as a limit of one, the limit would be tested at
/// every second event. With this, one event in twenty at the most is spent on testing.
const WINDOW_LEAST: usize = 20;
/// Latencies in one comparison. Half of them have to be high, so that a few outliers decide nothing.
const SAMPLES: usize = 20;
/// Samples after which a baseline is one, and the weight of each later one: it follows a lasting change within some
/// hundred events, and pressure of some seconds hardly.
const LEARNING: u32 = 20;
const MEMORY: f64 = 200.0;
/// How far above its baseline latency has to be: well above what the mix of events and a busy neighbour make of it.
const RISE: f64 = 3.0;
/// Below this, all latencies are alike: what is measured is the scheduler.
const LATENCY_LEAST: Duration = Duration::from_millis(5);

/// How a handler fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fared {
    /// It came to an outcome.
    Well,
    /// It failed, of which the load is no likely cause.
    Ill,
    /// Something behind it has too much to do.
    Pressed,
}

/// One handler's end, as the limiter sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) fared: Fared,
    /// What it handled: latencies are compared among equals. The caller bounds how many kinds there are.
    pub(crate) kind: usize,
    /// Whether a higher limit would have been used.
    pub(crate) demand: bool,
}

/// The limit, and what it is decided from.
#[derive(Debug)]
pub(crate) struct Limiter {
    least: usize,
    most: usize,
    limit: usize,
    /// Good outcomes under demand since the limit last moved.
    good: usize,
    cut_at: Option<Instant>,
    baselines: BTreeMap<usize, Baseline>,
    /// Latencies over their baseline, logarithms, of the comparison under way.
    rises: Vec<f64>,
}

/// Latency as it has long been, as a logarithm: a mean of logarithms is not moved by a single event that took a
/// thousand times as long.
#[derive(Clone, Copy, Debug, Default)]
struct Baseline {
    samples: u32,
    mean: f64,
}

impl Limiter {
    /// A limiter between `least` and `most`, both at least 1; equal ones make a fixed limit.
    pub(crate) fn new(least: usize, most: usize) -> Self {
        let least = least.max(1);
        let most = most.max(least);
        Self {
            least,
            most,
            limit: most,
            good: 0,
            cut_at: None,
            baselines: BTreeMap::new(),
            rises: Vec::with_capacity(SAMPLES),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes notice, and says how many may work at once from now on.
    pub(crate) fn on(&mut self, seen: Observation) -> usize {
        match seen.fared {
            Fared::Pressed => self.cut(seen),
            Fared::Ill => {}
            Fared::Well if self.has_slowed_down(seen) => self.cut(seen),
            Fared::Well => self.grow(seen.demand),
        }
        self.limit
    }

    /// A handler that began before the last cut tells of the load before it: one cut in a round trip is enough.
    fn is_stale(&self, seen: Observation) -> bool {
        self.cut_at.is_some_and(|at| seen.started < at)
    }

    fn cut(&mut self, seen: Observation) {
        if self.is_stale(seen) {
            return;
        }
        self.limit = (self.limit / 2).max(self.least);
        self.cut_at = Some(seen.ended);
        self.good = 0;
        self.rises.clear();
    }

    fn grow(&mut self, demand: bool) {
        if !demand || self.limit >= self.most {
            return;
        }
        self.good += 1;
        if self.good >= self.limit.max(WINDOW_LEAST) {
            self.good = 0;
            self.limit += 1;
        }
    }

    /// Whether this sample completes a comparison in which more than half were slow.
    fn has_slowed_down(&mut self, seen: Observation) -> bool {
        let latency = (seen.ended - seen.started).max(LATENCY_LEAST).as_secs_f64().ln();
        let known = self.baselines.entry(seen.kind).or_default().learn(latency);
        let Some(baseline) = known.filter(|_| !self.is_stale(seen)) else { return false };
        self.rises.push(latency - baseline);
        if self.rises.len() < SAMPLES {
            return false;
        }
        let slow = self.rises.drain(..).filter(|rise| *rise > RISE.ln()).count();
        slow > SAMPLES / 2
    }
}

impl Baseline {
    /// The baseline before this sample, once there is one.
    fn learn(&mut self, latency: f64) -> Option<f64> {
        let known = (self.samples >= LEARNING).then_some(self.mean);
        self.samples = self.samples.saturating_add(1);
        self.mean += (latency - self.mean) / f64::from(self.samples).min(MEMORY);
        known
    }
}

#[cfg(test)]
mod tests;
