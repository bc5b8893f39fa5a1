//! Appends events, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use crate::entry::{Entry, File};
use crate::ids::{Ids, fresh};
use crate::log::{Commit, Log};
use crate::partition::Partition;
use crate::row::{self, Row};
use crate::rows::{Rows, path_of};
use crate::state::State;
use crate::{Error, name};

/// Longest time for one commit, from the first file to the entry. Files that are in no entry are deleted as abandoned
/// after a time that is far longer (`vacuum_after`), so none is that could still get into one.
pub(crate) const COMMIT_MAX: Duration = Duration::from_secs(120);

/// Writes new events.
#[derive(Debug)]
pub(crate) struct Appender {
    log: Log,
    rows: Rows,
    state: State,
    ids: Ids,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    /// For each event of the batch, whether it has a row now that it did not have before.
    pub(crate) new: Vec<bool>,
    /// Files that it made.
    pub(crate) files: usize,
    /// How often another writer was faster.
    pub(crate) conflicts: u32,
}

/// Rows of a partition, written and not yet committed.
struct Written {
    rows: Vec<usize>,
    file: File,
}

impl Appender {
    pub(crate) fn new(log: Log, rows: Rows, state: State, ids: Ids) -> Self {
        Self { log, rows, state, ids }
    }

    /// Files that are live, as of the last commit.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Archives those of a batch that are not yet.
    ///
    /// # Errors
    /// [`Error`]. Then it is not known which of them are, and doing it again makes no second row of any.
    pub(crate) async fn append(
        &mut self,
        batch: &[(Partition, Row)],
        now: Timestamp,
    ) -> Result<Appended, Error> {
        let appended = timeout(COMMIT_MAX, self.commit(batch, now)).await;
        self.ids.trim();
        appended.map_err(|_| Error::TooLong(COMMIT_MAX.as_secs()))?
    }

    async fn commit(
        &mut self,
        batch: &[(Partition, Row)],
        now: Timestamp,
    ) -> Result<Appended, Error> {
        let mut written: BTreeMap<Partition, Written> = BTreeMap::new();
        let mut conflicts = 0;
        loop {
            self.log.refresh(&mut self.state).await?;
            let partitions: BTreeSet<_> = batch.iter().map(|(partition, _)| partition).collect();
            for partition in partitions {
                self.ids.learn(&self.rows, &self.state, partition).await?;
            }
            let fresh = fresh(batch, |partition, id| self.ids.contains(partition, id));
            if fresh.is_empty() {
                return Ok(Appended { new: vec![false; batch.len()], files: 0, conflicts });
            }
            self.write(batch, &fresh, &mut written, now).await?;
            let files = written.values().map(|written| written.file.clone()).collect();
            let entry = Entry::append(name(), now, files);
            match self.log.commit(&mut self.state, &entry).await? {
                Commit::Made => return Ok(self.made(batch, &written, conflicts)),
                Commit::Lost => conflicts += 1,
            }
        }
    }

    /// Writes the fresh rows of each partition, but those that are written already.
    async fn write(
        &self,
        batch: &[(Partition, Row)],
        fresh: &BTreeMap<Partition, Vec<usize>>,
        written: &mut BTreeMap<Partition, Written>,
        now: Timestamp,
    ) -> Result<(), Error> {
        written.retain(|partition, written| fresh.get(partition) == Some(&written.rows));
        for (partition, rows) in fresh {
            if written.contains_key(partition) {
                continue;
            }
            let path = partition.file(name());
            let count = rows.len() as u64;
            let of: Vec<&Row> =
                rows.iter().filter_map(|&row| batch.get(row)).map(|(_, row)| row).collect();
            let place = path_of(&File { path: path.clone(), rows: count, bytes: 0 })?;
            let encoded = row::batch(&of, now).map_err(Error::rows("written", &place))?;
            let encoded = row::encode(&encoded).map_err(Error::rows("written", &place))?;
            let file = self.rows.put(path, count, encoded).await?;
            written.insert(partition.clone(), Written { rows: rows.clone(), file });
        }
        Ok(())
    }

    fn made(
        &mut self,
        batch: &[(Partition, Row)],
        written: &BTreeMap<Partition, Written>,
        conflicts: u32,
    ) -> Appended {
        let mut new = vec![false; batch.len()];
        for (partition, Written { rows, file }) in written {
            let ids = rows
                .iter()
                .filter_map(|&row| batch.get(row))
                .map(|(_, row)| row.event.event_id.as_str());
            self.ids.add(partition, file, ids);
            rows.iter().for_each(|&row| new[row] = true);
        }
        Appended { new, files: written.len(), conflicts }
    }
}

#[cfg(test)]
mod tests;
