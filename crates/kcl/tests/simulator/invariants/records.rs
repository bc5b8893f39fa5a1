//! Of the records: none lost, none out of order, none passed over.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Entry, Mark, Numbered, Place, What};

/// Which records the workers owe: all, or those of a shard that was put after the shard or one that it followed
/// on had a lease, where reading begins at the tip.
#[derive(Default)]
pub(crate) struct Owed {
    latest: bool,
    parents: BTreeMap<String, Vec<String>>,
    leased: BTreeSet<String>,
}

impl Owed {
    pub(crate) fn follow(&mut self, entry: &Entry) {
        match &entry.what {
            What::Scenario { latest, .. } => self.latest = *latest,
            What::Shard { id, parents } => {
                self.parents.insert(id.clone(), parents.clone());
            }
            What::Row { shard, after: Some(_), .. } => {
                self.leased.insert(shard.clone());
            }
            _ => {}
        }
    }

    /// The record that was put, if it is owed.
    pub(crate) fn put<'a>(&self, entry: &'a Entry) -> Option<&'a Numbered> {
        let What::Put { shard, record } = &entry.what else { return None };
        (!self.latest || self.is_led(shard)).then_some(record)
    }

    fn is_led(&self, shard: &str) -> bool {
        let mut parents = self.parents.get(shard).into_iter().flatten();
        self.leased.contains(shard) || parents.any(|parent| self.is_led(parent))
    }
}

/// Every record that was put was accepted at least once.
pub(super) fn nothing_is_lost(history: &[Entry]) -> Result<(), String> {
    let (mut pending, mut owed) = (BTreeMap::new(), Owed::default());
    for entry in history {
        owed.follow(entry);
        if let Some(record) = owed.put(entry) {
            pending.insert(record.number, entry);
        }
        for record in entry.accepted() {
            pending.remove(&record.number);
        }
    }
    match pending.first_key_value() {
        None => Ok(()),
        Some((_, first)) => Err(format!("{} records, the first: {first}", pending.len())),
    }
}

/// A record is begun only when all earlier ones of its key were accepted, by whomever, or come before it in the
/// same batch.
pub(super) fn the_order_of_a_key_is_kept(history: &[Entry]) -> Result<(), String> {
    let mut pending: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    let mut owed = Owed::default();
    for entry in history {
        owed.follow(entry);
        if let Some(record) = owed.put(entry) {
            pending.entry(record.key).or_default().insert(record.number);
        }
        for Numbered { key, number, .. } in entry.accepted() {
            pending.entry(*key).or_default().remove(number);
        }
        if let What::Begun { records, .. } = &entry.what {
            in_order(records, &pending, entry)?;
        }
    }
    Ok(())
}

fn in_order(
    batch: &[Numbered],
    pending: &BTreeMap<u16, BTreeSet<u64>>,
    entry: &Entry,
) -> Result<(), String> {
    let mut ahead: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    for Numbered { key, number, .. } in batch {
        let ahead = ahead.entry(*key).or_default();
        let earlier = pending.get(key).into_iter().flat_map(|numbers| numbers.range(..number));
        if let Some(missed) = earlier.copied().find(|earlier| !ahead.contains(earlier)) {
            return Err(format!("{number} of key {key} came before {missed}: {entry}"));
        }
        ahead.insert(*number);
    }
    Ok(())
}

/// Whatever a checkpoint passes was accepted before.
pub(super) fn a_checkpoint_passes_only_what_was_accepted(history: &[Entry]) -> Result<(), String> {
    let mut pending: BTreeMap<&str, BTreeMap<Place, u64>> = BTreeMap::new();
    let mut owed = Owed::default();
    for entry in history {
        owed.follow(entry);
        match &entry.what {
            What::Put { shard, .. } => {
                if let Some(record) = owed.put(entry) {
                    let pending = pending.entry(shard).or_default();
                    pending.insert(record.place.clone(), record.number);
                }
            }
            What::Done { shard, .. } | What::Took { shard, .. } => {
                let pending = pending.entry(shard).or_default();
                for record in entry.accepted() {
                    pending.remove(&record.place);
                }
            }
            What::Row { shard, after: Some(after), .. } => {
                let pending = pending.entry(shard).or_default();
                let passed = match &after.mark {
                    Mark::Start => None,
                    Mark::At(place) => pending.range(..=place.clone()).next(),
                    Mark::End => pending.first_key_value(),
                };
                if let Some((_, number)) = passed {
                    return Err(format!("{number} of {shard} was not accepted: {entry}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing of a shard is begun before its parents are processed to their ends.
pub(super) fn children_wait_for_their_parents(history: &[Entry]) -> Result<(), String> {
    let mut parents: BTreeMap<&str, &[String]> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    for entry in history {
        match &entry.what {
            What::Shard { id, parents: of } => {
                parents.insert(id, of);
            }
            What::Row { shard, after: Some(after), .. } if after.mark == Mark::End => {
                ended.insert(shard);
            }
            What::Begun { shard, .. } => {
                let mut parents = parents.get(shard.as_str()).copied().unwrap_or_default().iter();
                if let Some(parent) = parents.find(|parent| !ended.contains(parent)) {
                    return Err(format!("{parent} has not ended: {entry}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn duplicates(history: &[Entry]) -> usize {
    let all: Vec<_> = history.iter().flat_map(Entry::accepted).collect();
    let distinct: BTreeSet<_> = all.iter().map(|record| record.number).collect();
    all.len() - distinct.len()
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;

    #[test]
    fn a_record_that_nobody_accepted_is_lost() {
        let mut whats = vec![put("s", 1), put("s", 2), accepted(A, 0, "s", &[1])];
        assert!(nothing_is_lost(&history(whats.clone())).is_err());
        whats.push(accepted(B, 0, "s", &[2]));
        assert_eq!(nothing_is_lost(&history(whats)), Ok(()));
    }

    #[test]
    fn what_was_put_before_the_lease_is_owed_unless_reading_begins_at_the_tip() {
        let made = wrote(A, "s", None, Some(row(None, 0, Mark::Start)));
        let child = What::Shard { id: "c".into(), parents: vec!["s".into()] };
        let whats = |latest| vec![What::Scenario { name: "", taking: false, latest }, put("s", 1)];
        assert!(nothing_is_lost(&history(whats(false))).is_err());
        assert_eq!(nothing_is_lost(&history(whats(true))), Ok(()));
        for shard in ["s", "c"] {
            let after = vec![made.clone(), child.clone(), put(shard, 2)];
            assert!(nothing_is_lost(&history([whats(true), after].concat())).is_err());
        }
    }

    #[test]
    fn a_record_before_an_earlier_one_of_its_key_is_out_of_order() {
        let puts = vec![put("s", 1), put("s", 2), put("s", 3)];
        let with = |whats: Vec<What>| history([puts.clone(), whats].concat());
        let begins =
            |numbers: &[u64]| the_order_of_a_key_is_kept(&with(vec![begun(A, 0, "s", numbers, 0)]));
        assert_eq!(begins(&[1, 2, 3]), Ok(()));
        assert!(begins(&[2]).is_err());
        assert!(begins(&[2, 1]).is_err());
        let again = vec![accepted(A, 0, "s", &[1, 2]), begun(B, 0, "s", &[1, 2, 3], 0)];
        assert_eq!(the_order_of_a_key_is_kept(&with(again)), Ok(()), "twice is no disorder");
    }

    #[test]
    fn a_checkpoint_over_an_unaccepted_record_is_found() {
        let at = |mark| wrote(A, "s", None, Some(row(Some(A), 1, mark)));
        let with = |mark| {
            let puts = vec![put("s", 1), put("s", 2), put("t", 3), accepted(A, 0, "s", &[1])];
            history([puts, vec![at(mark)]].concat())
        };
        let holds = |mark| a_checkpoint_passes_only_what_was_accepted(&with(mark));
        assert_eq!(holds(Mark::At(place(1))), Ok(()));
        assert!(holds(Mark::At(place(2))).is_err());
        assert!(holds(Mark::End).is_err());
    }

    #[test]
    fn a_child_that_does_not_wait_for_both_parents_is_found() {
        let ends = |shard| wrote(A, shard, None, Some(row(None, 1, Mark::End)));
        let child = What::Shard { id: "c".into(), parents: vec!["a".into(), "b".into()] };
        let begins = begun(A, 0, "c", &[1], 0);
        let early = vec![child.clone(), ends("a"), begins.clone()];
        assert!(children_wait_for_their_parents(&history(early)).is_err());
        let right = vec![child, ends("a"), ends("b"), begins];
        assert_eq!(children_wait_for_their_parents(&history(right)), Ok(()));
    }

    #[test]
    fn what_was_accepted_twice_is_counted() {
        let twice = vec![accepted(A, 0, "s", &[1, 2]), accepted(B, 0, "s", &[2, 3])];
        assert_eq!(duplicates(&history(twice)), 1);
    }
}
