//! Records of several shards, put in the order of their arrival.
//!
//! What one shard has given waits until no other can still give something older: until each of them has come to its
//! end, or to a later time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Record;

/// Records that wait. A shard that is ahead of the others is not read on while so many do.
const WAITING_MAX: usize = 20_000;

/// Records that wait for those of slower shards.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Up to when each open shard has been read; none once it has come to its end.
    read_to: BTreeMap<String, Option<Timestamp>>,
    waiting: Vec<Record>,
}

impl Merge {
    /// A shard of which nothing has been read yet.
    pub(super) fn opened(&mut self, shard: &str) {
        self.read_to.insert(shard.to_owned(), Some(Timestamp::MIN));
    }

    /// Whether reading the shard on can help: always, of the slowest.
    pub(super) fn has_room(&self, shard: &str) -> bool {
        let slowest = self.slowest();
        let read_to = self.read_to.get(shard).copied().flatten();
        self.waiting.len() < WAITING_MAX || slowest.is_none_or(|slowest| read_to == Some(slowest))
    }

    /// Takes what a read has given; `is_over`, when nothing older than now can follow.
    pub(super) fn took(
        &mut self,
        shard: &str,
        records: impl Iterator<Item = Record>,
        is_over: bool,
    ) {
        let before = self.waiting.len();
        self.waiting.extend(records);
        let last = self.waiting[before..].last().map(|record| record.arrived);
        if is_over {
            self.read_to.insert(shard.to_owned(), None);
        } else if let Some(last) = last {
            self.read_to.insert(shard.to_owned(), Some(last));
        }
    }

    /// What nothing older can follow any more, oldest first.
    pub(super) fn in_order(&mut self) -> Vec<Record> {
        let slowest = self.slowest();
        // Stable: records of a shard that arrived in one millisecond keep their order.
        self.waiting.sort_by_key(|record| record.arrived);
        let ready = match slowest {
            None => self.waiting.len(),
            Some(slowest) => self.waiting.partition_point(|record| record.arrived <= slowest),
        };
        self.waiting.drain(..ready).collect()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn slowest(&self) -> Option<Timestamp> {
        self.read_to.values().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use event::Malformed;

    use super::*;

    fn record(shard: &str, second: i64) -> Record {
        Record {
            arrived: Timestamp::from_second(second).unwrap(),
            shard: shard.to_owned(),
            sequence_number: second.to_string(),
            data: Vec::new(),
            event: Err(Malformed::NotJson(String::new())),
            is_copy: false,
        }
    }

    fn seconds(records: &[Record]) -> Vec<i64> {
        records.iter().map(|record| record.arrived.as_second()).collect()
    }

    #[test]
    fn a_fast_shard_waits_for_a_slow_one() {
        let mut merge = Merge::default();
        merge.opened("a");
        merge.opened("b");
        merge.took("a", [1, 4, 9].map(|at| record("a", at)).into_iter(), true);
        assert!(merge.in_order().is_empty(), "b may hold older ones");
        merge.took("b", [2, 5].map(|at| record("b", at)).into_iter(), false);
        assert_eq!(seconds(&merge.in_order()), [1, 2, 4, 5]);
        merge.took("b", std::iter::empty(), true);
        assert_eq!(seconds(&merge.in_order()), [9]);
        assert!(merge.is_empty());
    }

    #[test]
    fn only_the_slowest_shard_is_read_while_many_wait() {
        let mut merge = Merge::default();
        merge.opened("a");
        merge.opened("b");
        merge.took("a", (0..20_000).map(|at| record("a", at)), false);
        assert!(!merge.has_room("a") && merge.has_room("b"));
    }
}
