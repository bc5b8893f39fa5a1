//! What an operator may set of the offer engine.

use std::time::Duration;

use chassis::{Problems, Validate};
use serde::{Deserialize, Serialize};

use crate::deadline;
use crate::policy;

/// Settings of the offer engine, beside those of the kit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What offers are wanted for when a page is viewed; an offer for anything else opens a window too.
    pub slots: Vec<String>,
    /// How long offers are collected.
    pub window: Window,
    /// How offers are chosen.
    pub policy: Policy,
}

/// How long offers are collected.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// From the time of the view, by its timestamp.
    #[serde(with = "chassis::duration")]
    pub length: Duration,
    /// At least this long after the engine has heard of the view.
    #[serde(with = "chassis::duration")]
    pub least: Duration,
    /// At most this long after the engine has heard of the view.
    #[serde(with = "chassis::duration")]
    pub most: Duration,
}

/// How offers are chosen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Most offers in a selection.
    pub top: u16,
    /// Most offers of one offerer in a selection.
    pub per_offerer: u16,
}

impl Default for Config {
    fn default() -> Self {
        let (window, policy) = (Window::default(), Policy::default());
        Self { slots: vec!["rental".to_owned()], window, policy }
    }
}

impl Default for Window {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { length: ms(2_000), least: ms(300), most: ms(5_000) }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { top: 3, per_offerer: 2 }
    }
}

/// SQS delays a message, and so the durable timer, by 15 minutes at most.
const WINDOW_MOST: Duration = Duration::from_secs(14 * 60);
/// A selection has to fit into a message, however long its titles are.
const TOP_MOST: u16 = 50;

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if self.slots.is_empty() || self.slots.iter().any(String::is_empty) {
            problems.report("slots", "must name at least one slot, for example rental");
        }
        let Window { length, least, most } = self.window;
        if !(least..=most).contains(&length) {
            problems.report("window.length", "must be between window.least and window.most");
        }
        if most > WINDOW_MOST {
            problems.report("window.most", "must be at most 14m");
        }
        if !(1..=TOP_MOST).contains(&self.policy.top) {
            problems.report("policy.top", format!("must be 1 to {TOP_MOST}"));
        }
        if self.policy.per_offerer == 0 {
            problems.report("policy.per_offerer", "must be at least 1");
        }
    }
}

impl From<Window> for deadline::Bounds {
    fn from(window: Window) -> Self {
        // Validated to be some minutes at most.
        let signed = |duration: Duration| duration.try_into().unwrap_or_default();
        let Window { length, least, most } = window;
        Self { length: signed(length), least: signed(least), most: signed(most) }
    }
}

impl From<Policy> for policy::Limits {
    fn from(policy: Policy) -> Self {
        Self { top: usize::from(policy.top), per_offerer: usize::from(policy.per_offerer) }
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
        let window = Window { length: Duration::from_secs(6), ..Window::default() };
        let wrong = Config { slots: Vec::new(), window, policy: Policy { top: 0, per_offerer: 0 } };
        let problems = Problems::of(&wrong).to_string();
        for key in ["slots", "window.length", "policy.top", "policy.per_offerer"] {
            assert!(problems.contains(key), "{problems}");
        }
    }
}
