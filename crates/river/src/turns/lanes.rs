//! Waiting items, by group: next is the group with the fewest at work, and among equals the one that waits longest.

use std::collections::{BTreeMap, VecDeque};

/// Items in a lane for each group. No more of them than the owner puts in.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    lanes: BTreeMap<Box<str>, VecDeque<T>>,
    /// The groups with items, in the order of their turns.
    order: VecDeque<Box<str>>,
    /// How many items of a group are out, at work.
    working: BTreeMap<Box<str>, usize>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), order: VecDeque::new(), working: BTreeMap::new() }
    }
}

impl<T> Lanes<T> {
    /// Puts an item behind the others of its group.
    pub(crate) fn push(&mut self, group: &str, item: T) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.push_back(item);
            return;
        }
        self.lanes.insert(group.into(), VecDeque::from([item]));
        self.order.push_back(group.into());
    }

    /// Takes the item whose turn it is, and its group, of which one more is at work until [`Lanes::done`].
    pub(crate) fn pop(&mut self) -> Option<(Box<str>, T)> {
        let working = |group: &str| self.working.get(group).copied().unwrap_or_default();
        let (at, _) = self.order.iter().enumerate().min_by_key(|(_, group)| working(group))?;
        let group = self.order.remove(at)?;
        let lane = self.lanes.get_mut(&group)?;
        let item = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&group);
        } else {
            self.order.push_back(group.clone());
        }
        *self.working.entry(group.clone()).or_default() += 1;
        Some((group, item))
    }

    /// One item of a group is not at work any more: the group has had its turn, and waits behind the others again.
    pub(crate) fn done(&mut self, group: &str) {
        let Some(count) = self.working.get_mut(group) else { return };
        *count -= 1;
        if *count == 0 {
            self.working.remove(group);
        }
        let at = self.order.iter().position(|waiting| **waiting == *group);
        let moved = at.and_then(|at| self.order.remove(at));
        self.order.extend(moved);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_backlog_of_one_group_delays_another_by_one_turn() {
        let mut lanes = Lanes::default();
        for number in 0..5 {
            lanes.push("noisy", number);
        }
        lanes.push("quiet", 100);
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).map(|(_, item)| item).collect();
        assert_eq!(order, [0, 100, 1, 2, 3, 4]);
    }

    #[test]
    fn a_group_that_is_at_work_lets_the_others_go_first() {
        let mut lanes = Lanes::default();
        lanes.push("noisy", 0);
        assert_eq!(lanes.pop(), Some(("noisy".into(), 0)));
        lanes.push("noisy", 1);
        lanes.push("quiet", 100);
        assert_eq!(lanes.pop(), Some(("quiet".into(), 100)));
        lanes.push("quiet", 101);
        lanes.done("noisy");
        lanes.done("quiet");
        assert_eq!(
            lanes.pop(),
            Some(("noisy".into(), 1)),
            "its turn was before the last of the other"
        );
        lanes.done("noisy");
        assert!(lanes.working.is_empty());
    }

    proptest! {
        /// Items are (group, number): within a group in order, and each waits for one of every other group at most
        /// for each item before it in its own.
        #[test]
        fn nothing_is_lost_and_no_group_waits_longer_than_its_turn(
            groups in prop::collection::vec(0u8..5, 0..100),
        ) {
            let mut lanes = Lanes::default();
            for (number, group) in groups.iter().enumerate() {
                lanes.push(&group.to_string(), (*group, number));
            }
            let one = || {
                let (group, item) = lanes.pop()?;
                lanes.done(&group);
                Some(item)
            };
            let out: Vec<_> = std::iter::from_fn(one).collect();
            prop_assert_eq!(out.len(), groups.len());
            prop_assert!(lanes.lanes.is_empty() && lanes.order.is_empty());
            for group in 0..5u8 {
                let own: Vec<_> = out.iter().filter(|item| item.0 == group).map(|item| item.1).collect();
                prop_assert!(own.is_sorted());
                for (before, number) in own.iter().enumerate() {
                    let place = out.iter().position(|item| item.1 == *number).unwrap();
                    prop_assert!(place < (before + 1) * 5, "place {} of {:?}", place, out);
                }
            }
        }
    }
}
