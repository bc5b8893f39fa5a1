//! Which message groups of a standard queue are noisy: fair queues.
//!
//! After <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>: while a
//! group has many of the messages in flight, those of quieter groups are handed out before its own. AWS decides over
//! time and approximately; here it is decided anew at every receive.

use std::collections::{BTreeMap, BTreeSet};

/// Fewest messages in flight of a noisy group.
const MESSAGES_LEAST: usize = 30;
/// A noisy group has more than one in so many of the messages in flight.
const SHARE: usize = 10;

/// How many messages each group has in flight.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<String, usize>);

impl Groups {
    pub(super) fn enter(&mut self, group: &str) {
        *self.0.entry(group.to_owned()).or_default() += 1;
    }

    pub(super) fn leave(&mut self, group: &str) {
        let Some(count) = self.0.get_mut(group) else { return };
        *count -= 1;
        if *count == 0 {
            self.0.remove(group);
        }
    }

    /// The noisy groups among `in_flight` messages, with and without a group.
    pub(super) fn noisy(&self, in_flight: usize) -> BTreeSet<String> {
        let noisy = |count: usize| count >= MESSAGES_LEAST && count * SHARE > in_flight;
        self.0.iter().filter(|(_, count)| noisy(**count)).map(|(group, _)| group.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_noisy_by_number_and_by_share() {
        let mut groups = Groups::default();
        (0..29).for_each(|_| groups.enter("a"));
        assert!(groups.noisy(29).is_empty());
        groups.enter("a");
        assert_eq!(groups.noisy(299), BTreeSet::from(["a".to_owned()]));
        assert!(groups.noisy(300).is_empty());
        groups.leave("a");
        assert!(groups.noisy(29).is_empty());
    }
}
