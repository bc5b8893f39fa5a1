//! Keeps the number of series bounded, whatever events say.

use std::collections::BTreeSet;

use event::Event;

/// Values of a label, unless it says otherwise.
const VALUES_MAX: usize = 30;
/// Rivers of a stage: more than the filter policies that an SNS topic may have.
const RIVERS_MAX: usize = 300;
/// Longest value; what is longer is no name.
const LENGTH_MAX: usize = 60;
/// The label of whatever came too late to have one of its own.
const OTHER: &str = "other";

/// The values that a label has so far.
#[derive(Debug)]
pub(crate) struct Values {
    known: BTreeSet<String>,
    max: usize,
}

impl Default for Values {
    fn default() -> Self {
        Self { known: BTreeSet::new(), max: VALUES_MAX }
    }
}

impl Values {
    /// For names of rivers.
    pub(crate) fn of_rivers() -> Self {
        Self { max: RIVERS_MAX, ..Self::default() }
    }

    /// The value itself, if it is one of the first, else `other`.
    pub(crate) fn of<'a>(&mut self, value: &'a str) -> &'a str {
        if self.known.contains(value) {
            return value;
        }
        if self.known.len() >= self.max || value.len() > LENGTH_MAX {
            return OTHER;
        }
        self.known.insert(value.to_owned());
        value
    }
}

/// `true` or `false`.
pub(crate) fn synthetic(event: &Event) -> &'static str {
    if event.synthetic { "true" } else { "false" }
}

/// The arms that an event is in, `experiment:arm`; empty outside of experiments.
pub(crate) fn arm(event: &Event) -> String {
    let arms = event.experiments.iter().map(|(name, arm)| event::packet::arm(name, arm));
    arms.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_have_labels_of_their_own_and_the_others_share_one() {
        let mut values = Values::default();
        let names: Vec<_> = (0..40).map(|n| format!("v{n}")).collect();
        let labels: Vec<_> = names.iter().map(|name| values.of(name).to_owned()).collect();
        assert_eq!(labels[..VALUES_MAX], names[..VALUES_MAX]);
        assert!(labels[VALUES_MAX..].iter().all(|label| label == OTHER));
        assert_eq!(values.of("v3"), "v3");
        assert_eq!(Values::default().of(&"x".repeat(61)), OTHER);
    }
}
