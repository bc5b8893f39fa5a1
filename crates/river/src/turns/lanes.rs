//! Waiting items, by group: each group gives out one in its turn.

use std::collections::{BTreeMap, VecDeque};

/// Items in a lane for each group. No more of them than the owner puts in.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    lanes: BTreeMap<Box<str>, VecDeque<T>>,
    /// The groups with items, in the order of their turns.
    order: VecDeque<Box<str>>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<T> Lanes<T> {
    /// Puts an item behind the others of its group; the first of a group, behind one of every other group.
    pub(crate) fn push(&mut self, group: &str, item: T) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.push_back(item);
            return;
        }
        self.lanes.insert(group.into(), VecDeque::from([item]));
        self.order.push_back(group.into());
    }

    /// Takes the item whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let group = self.order.pop_front()?;
        let lane = self.lanes.get_mut(&group)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&group);
        } else {
            self.order.push_back(group);
        }
        item
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
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        assert_eq!(order, [0, 100, 1, 2, 3, 4]);
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
            let out: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
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
