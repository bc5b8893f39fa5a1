//! Which events came lately.

use std::collections::{BTreeSet, VecDeque};

use event::EventId;

/// Ids that are remembered: copies come within seconds, rarely minutes, of each other.
const IDS_MAX: usize = 100_000;

/// The last ids.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: BTreeSet<EventId>,
    order: VecDeque<EventId>,
}

impl Seen {
    /// Remembers an id; false when it is remembered already.
    pub(super) fn insert(&mut self, id: EventId) -> bool {
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ids_are_remembered() {
        let mut seen = Seen::default();
        let id = |number: usize| EventId::from(number.to_string());
        assert!((0..=IDS_MAX).all(|number| seen.insert(id(number))));
        assert_eq!(seen.ids.len(), IDS_MAX);
        assert!(!seen.insert(id(1)) && seen.insert(id(0)));
    }
}
