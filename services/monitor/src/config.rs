//! What an operator may set of the monitor.

use std::time::Duration;

use chassis::{Problems, Validate};
use serde::{Deserialize, Serialize};

/// Settings of the monitor, beside those of the kit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A view is covered if a selection follows it within this time.
    #[serde(with = "chassis::duration")]
    pub offered_within: Duration,
    /// Time that a selection has to come here, before its view is judged.
    #[serde(with = "chassis::duration")]
    pub judged_after: Duration,
    /// A process that was not heard of for so long is silent; three heartbeats.
    #[serde(with = "chassis::duration")]
    pub silent_after: Duration,
    /// Time between two pings through all rivers.
    #[serde(with = "chassis::duration")]
    pub ping_every: Duration,
    /// A ping that is not answered by then is lost.
    #[serde(with = "chassis::duration")]
    pub ping_within: Duration,
    /// An event that a river has not accounted for is missing there, if the queue was empty so much later; or, if it never
    /// is, when events that came four times as much later are accounted for.
    #[serde(with = "chassis::duration")]
    pub missing_after: Duration,
    /// Time between two looks at who wants what, and at how much waits there.
    #[serde(with = "chassis::duration")]
    pub wanted_every: Duration,
    /// The synthetic customers.
    pub probe: Probe,
}

/// Synthetic customers that look at a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// Whether there are any: where the services of the travel scenario do not run, nobody would answer.
    pub enabled: bool,
    /// Time between two views.
    #[serde(with = "chassis::duration")]
    pub every: Duration,
    /// The selection has to follow its view within this time: the engine's window, and 1.5 s for the way.
    #[serde(with = "chassis::duration")]
    pub within: Duration,
    /// When a run is judged.
    #[serde(with = "chassis::duration")]
    pub judged_after: Duration,
    /// Who is a road warrior and a platinum member, by the tables of segmentation and membership.
    pub customer: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            offered_within: Duration::from_secs(5),
            judged_after: Duration::from_secs(10),
            silent_after: Duration::from_secs(45),
            ping_every: Duration::from_secs(30),
            ping_within: Duration::from_secs(30),
            missing_after: Duration::from_secs(900),
            wanted_every: Duration::from_secs(15),
            probe: Probe::default(),
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            every: Duration::from_secs(20),
            within: Duration::from_millis(3_500),
            judged_after: Duration::from_secs(10),
            customer: "probe-sally".to_owned(),
        }
    }
}

/// The monitor looks at its watch every second.
const LEAST: Duration = Duration::from_secs(1);
/// Nobody waits longer for any of these.
const MOST: Duration = Duration::from_secs(86_400);

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        let mut within = |key: &str, value: Duration| {
            if !(LEAST..=MOST).contains(&value) {
                problems.report(key, "must be 1s to 1d");
            }
        };
        within("offered_within", self.offered_within);
        within("judged_after", self.judged_after);
        within("silent_after", self.silent_after);
        within("ping_every", self.ping_every);
        within("ping_within", self.ping_within);
        within("missing_after", self.missing_after);
        within("wanted_every", self.wanted_every);
        within("probe.every", self.probe.every);
        within("probe.within", self.probe.within);
        within("probe.judged_after", self.probe.judged_after);
        if self.judged_after < self.offered_within {
            problems.report("judged_after", "must not be less than offered_within");
        }
        if self.probe.judged_after < self.probe.within {
            problems.report("probe.judged_after", "must not be less than probe.within");
        }
        if self.probe.customer.is_empty() {
            problems.report("probe.customer", "must name a customer, for example probe-sally");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert!(Problems::of(&Config::default()).is_empty());
    }

    #[test]
    fn every_broken_rule_is_told_by_key() {
        let probe = Probe { every: Duration::ZERO, customer: String::new(), ..Probe::default() };
        let judged_after = Duration::from_secs(4);
        let wrong = Config { judged_after, ping_every: MOST * 2, probe, ..Config::default() };
        let problems = Problems::of(&wrong).to_string();
        for key in ["judged_after", "ping_every", "probe.every", "probe.customer"] {
            assert!(problems.contains(key), "{problems}");
        }
    }
}
