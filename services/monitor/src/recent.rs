//! Drops copies of events: every hop delivers at least once, and a count is to count once.

use std::collections::{HashSet, VecDeque};

use event::EventId;

/// Ids that are remembered: some minutes of a busy stage, some 10 MB.
const IDS_MAX: usize = 100_000;

/// Ids of the events that came last.
#[derive(Debug)]
pub(crate) struct Recent {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
    max: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), max: IDS_MAX }
    }
}

impl Recent {
    /// Whether it is the first time that this id comes.
    pub(crate) fn is_new(&mut self, id: &EventId) -> bool {
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_the_oldest_are_forgotten() {
        let mut recent = Recent { max: 2, ..Recent::default() };
        let mut new = |id: &str| recent.is_new(&EventId::from(id));
        assert!(new("a") && !new("a") && new("b") && new("c"));
        assert!(new("a"), "it is forgotten, for there is room for two");
        assert!(!new("c"));
    }
}
