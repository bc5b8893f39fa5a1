//! What an operator may set of the offer engine.

use std::collections::BTreeSet;

use chassis::{Problems, Validate};
use need::Window;
use serde::{Deserialize, Serialize};

/// Settings of the offer engine, beside those of the kit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What offers are wanted for when a page is viewed; an offer for anything else opens a window too.
    pub slots: Vec<String>,
    /// How long offers are collected.
    pub window: Window,
    /// When each of these services has made an offer, nothing more is waited for; where none is named, the window's
    /// time is.
    pub expected: BTreeSet<String>,
    /// How offers are chosen.
    pub policy: Policy,
}

/// How offers are chosen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// By which rule.
    pub rule: Rule,
    /// Most offers in a selection; for `ranked`.
    pub top: u16,
    /// Most offers of one offerer in a selection; for `ranked`.
    pub per_offerer: u16,
    /// So many offers have to come; for `quorum`.
    pub quorum: u16,
}

/// A rule to choose by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The best by expected margin; of each offerer only what fits the customer best.
    #[default]
    Ranked,
    /// The one best offer.
    Best,
    /// The one that came first; the window closes with it.
    First,
    /// Those that came first, if so many have come; the window closes with the last of them.
    Quorum,
    /// All that stand.
    All,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: vec!["rental".to_owned()],
            window: Window::default(),
            expected: BTreeSet::new(),
            policy: Policy::default(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { rule: Rule::Ranked, top: 3, per_offerer: 2, quorum: 2 }
    }
}

impl Policy {
    pub(crate) fn chosen(self) -> need::Policy {
        let (top, per_source) = (usize::from(self.top), usize::from(self.per_offerer));
        match self.rule {
            Rule::Ranked => need::Policy::Ranked { top, per_source },
            Rule::Best => need::Policy::Best,
            Rule::First => need::Policy::First,
            Rule::Quorum => need::Policy::Quorum(usize::from(self.quorum)),
            Rule::All => need::Policy::All,
        }
    }
}

/// A selection has to fit into a message, however long its titles are.
const TOP_MOST: u16 = 50;

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.slots.is_empty() || self.slots.iter().any(String::is_empty) {
            problems.report("slots", "must name at least one slot, for example rental");
        }
        problems.section("window", &self.window);
        if self.expected.iter().any(String::is_empty) {
            problems.report("expected", "must name services, for example location");
        }
        for (key, value) in [("policy.top", self.policy.top), ("policy.quorum", self.policy.quorum)]
        {
            if !(1..=TOP_MOST).contains(&value) {
                problems.report(key, format!("must be 1 to {TOP_MOST}"));
            }
        }
        if self.policy.per_offerer == 0 {
            problems.report("policy.per_offerer", "must be at least 1");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_break_no_rule() {
        assert!(Problems::of(&Config::default()).is_empty());
    }

    #[test]
    fn every_broken_rule_is_told_by_key() {
        let wrong = Config {
            slots: Vec::new(),
            window: Window { length: Duration::from_secs(6), ..Window::default() },
            expected: BTreeSet::from([String::new()]),
            policy: Policy { top: 0, per_offerer: 0, quorum: 51, ..Policy::default() },
        };
        let problems = Problems::of(&wrong).to_string();
        let keys = [
            "slots",
            "window.length",
            "expected",
            "policy.top",
            "policy.per_offerer",
            "policy.quorum",
        ];
        for key in keys {
            assert!(problems.contains(key), "{problems}");
        }
    }
}
