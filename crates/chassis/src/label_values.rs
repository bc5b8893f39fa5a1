//! Keeps the number of series bounded, whatever events say.

use std::collections::BTreeSet;

/// Longest value, in bytes: names of rivers have up to 80, and arms of several experiments are joined.
const LENGTH_MAX: usize = 200;
/// The label of whatever came too late to have one of its own.
const OTHER: &str = "other";

/// The values that a label of a metric has so far: the first ones have a series of their own, all others share one.
#[derive(Clone, Debug)]
pub struct LabelValues {
    known: BTreeSet<String>,
    max: usize,
}

impl LabelValues {
    /// At most so many of its own.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { known: BTreeSet::new(), max }
    }

    /// The value itself, if it is one of the first, else `other`.
    pub fn of<'a>(&mut self, value: &'a str) -> &'a str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_have_labels_of_their_own_and_the_others_share_one() {
        let mut values = LabelValues::new(30);
        let names: Vec<_> = (0..40).map(|n| format!("v{n}")).collect();
        let labels: Vec<_> = names.iter().map(|name| values.of(name).to_owned()).collect();
        assert_eq!(labels[..30], names[..30]);
        assert!(labels[30..].iter().all(|label| label == OTHER));
        assert_eq!(values.of("v3"), "v3");
        assert_eq!(LabelValues::new(1).of(&"x".repeat(201)), OTHER);
    }
}
