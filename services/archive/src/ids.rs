//! Which events are archived already.
//!
//! The ids of a partition are read from its live files once, and kept as fingerprints of 128 bits. A fingerprint is
//! keyed by this process, so nobody can make two ids that have the same; by accident ten million of them meet with a
//! probability of 10⁻²⁵.
//!
//! What was archived once is archived for ever: compaction keeps the rows, so ids are only ever added.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::Error;
use crate::entry::File;
use crate::partition::Partition;
use crate::row::Row;
use crate::rows::Rows;
use crate::state::State;

/// Ids kept when nobody asks for them: about 64 MB. The partitions longest not used are given up first, and read
/// again when an event of theirs comes.
pub(crate) const IDS_KEPT: usize = 2_000_000;

/// Ids of partitions that were asked for lately.
#[derive(Debug)]
pub(crate) struct Ids {
    keys: [RandomState; 2],
    known: BTreeMap<Partition, Known>,
    kept: usize,
    turn: u64,
}

#[derive(Debug, Default)]
struct Known {
    fingerprints: HashSet<u128>,
    /// Files whose ids these are, live or not any more.
    files: BTreeSet<String>,
    used: u64,
}

impl Ids {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            known: BTreeMap::new(),
            kept,
            turn: 0,
        }
    }

    /// Reads what is not known of a partition's live files.
    pub(crate) async fn learn(
        &mut self,
        rows: &Rows,
        state: &State,
        of: &Partition,
    ) -> Result<(), Error> {
        self.turn += 1;
        let mut known = self.known.remove(of).unwrap_or_default();
        known.used = self.turn;
        let learnt = self.read(&mut known, rows, state, of).await;
        // What was read before a failure is true as well.
        self.known.insert(of.clone(), known);
        learnt
    }

    async fn read(
        &self,
        known: &mut Known,
        rows: &Rows,
        state: &State,
        of: &Partition,
    ) -> Result<(), Error> {
        for file in state.files_of(of) {
            if !known.files.contains(&file.path) {
                rows.ids(file, |id| {
                    known.fingerprints.insert(self.fingerprint(id));
                })
                .await?;
                known.files.insert(file.path.clone());
            }
        }
        Ok(())
    }

    /// These are in this file now.
    pub(crate) fn add<'a>(
        &mut self,
        to: &Partition,
        file: &File,
        ids: impl Iterator<Item = &'a str>,
    ) {
        let fingerprints: Vec<_> = ids.map(|id| self.fingerprint(id)).collect();
        let known = self.known.entry(to.clone()).or_default();
        known.fingerprints.extend(fingerprints);
        known.files.insert(file.path.clone());
    }

    /// Whether an event is archived, as far as the partition was learnt.
    pub(crate) fn contains(&self, partition: &Partition, id: &str) -> bool {
        let fingerprint = self.fingerprint(id);
        self.known.get(partition).is_some_and(|known| known.fingerprints.contains(&fingerprint))
    }

    /// Gives up what is too much.
    pub(crate) fn trim(&mut self) {
        let mut total: usize = self.known.values().map(|known| known.fingerprints.len()).sum();
        while total > self.kept {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            let Some(oldest) = oldest.map(|(partition, _)| partition.clone()) else { return };
            total -= self.known.remove(&oldest).map_or(0, |known| known.fingerprints.len());
        }
    }

    fn fingerprint(&self, id: &str) -> u128 {
        let [high, low] = [0, 1].map(|half: usize| u128::from(self.keys[half].hash_one(id)));
        high << 64 | low
    }
}

/// Which rows of a batch are to be written, by partition: of copies the first, and of what is known none.
pub(crate) fn fresh(
    batch: &[(Partition, Row)],
    known: impl Fn(&Partition, &str) -> bool,
) -> BTreeMap<Partition, Vec<usize>> {
    let mut fresh: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (index, (partition, row)) in batch.iter().enumerate() {
        let id = row.event.event_id.as_str();
        if seen.insert((partition, id)) && !known(partition, id) {
            fresh.entry(partition.clone()).or_default().push(index);
        }
    }
    fresh
}
