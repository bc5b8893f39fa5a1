//! Which files are live: what all entries of the log come to.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, FORMAT, File};
use crate::partition::Partition;

/// The archive as of some entry of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Number of the entry that comes next.
    pub next: u64,
    /// Live files by partition and path.
    files: BTreeMap<Partition, BTreeMap<String, File>>,
    /// Files that were live, and since when they are not.
    removed: BTreeMap<String, Timestamp>,
}

/// An entry that cannot follow on the ones before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// It was written by another version.
    #[error("it has format {0}, and this version knows only {FORMAT}: use a newer one")]
    Format(u32),
    /// It adds what is no path of rows.
    #[error("{0:?} is no path of a file of rows")]
    Path(String),
    /// It adds a file for the second time.
    #[error("it adds {0:?}, which was added before")]
    Added(String),
    /// It removes a file that is not live.
    #[error("it removes {0:?}, which is not live")]
    Removed(String),
}

impl State {
    /// Whether an entry can follow.
    ///
    /// # Errors
    /// [`Inconsistent`], when it cannot.
    pub(crate) fn check(&self, entry: &Entry) -> Result<(), Inconsistent> {
        if entry.format != FORMAT {
            return Err(Inconsistent::Format(entry.format));
        }
        for File { path, .. } in &entry.add {
            if Partition::of_file(path).is_none() {
                return Err(Inconsistent::Path(path.clone()));
            }
            if self.is_live(path) || self.removed.contains_key(path) {
                return Err(Inconsistent::Added(path.clone()));
            }
        }
        let gone = entry.remove.iter().find(|path| !self.is_live(path));
        gone.map_or(Ok(()), |gone| Err(Inconsistent::Removed(gone.clone())))
    }

    /// Takes the next entry into account: as a whole, or not at all.
    ///
    /// # Errors
    /// [`Inconsistent`], after which nothing can be said about the archive but what was before.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Inconsistent> {
        self.check(entry)?;
        for path in &entry.remove {
            self.take(path);
            self.removed.insert(path.clone(), entry.at);
        }
        for file in &entry.add {
            self.put(file.clone());
        }
        self.next += 1;
        Ok(())
    }

    fn put(&mut self, file: File) {
        if let Some(partition) = Partition::of_file(&file.path) {
            self.files.entry(partition).or_default().insert(file.path.clone(), file);
        }
    }

    fn take(&mut self, path: &str) {
        let Some(partition) = Partition::of_file(path) else { return };
        if let Some(files) = self.files.get_mut(&partition) {
            files.remove(path);
            if files.is_empty() {
                self.files.remove(&partition);
            }
        }
    }

    /// Live files by partition.
    pub fn partitions(&self) -> impl Iterator<Item = (&Partition, &BTreeMap<String, File>)> {
        self.files.iter()
    }

    /// All live files, each with its partition.
    pub fn files(&self) -> impl Iterator<Item = (&Partition, &File)> {
        self.partitions()
            .flat_map(|(partition, files)| files.values().map(move |file| (partition, file)))
    }

    /// Live files of one partition.
    pub fn files_of(&self, partition: &Partition) -> impl Iterator<Item = &File> {
        self.files.get(partition).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether a file is live.
    #[must_use]
    pub fn is_live(&self, path: &str) -> bool {
        let files = Partition::of_file(path).and_then(|partition| self.files.get(&partition));
        files.is_some_and(|files| files.contains_key(path))
    }

    /// Since when a file that was live is not, as far as that is remembered.
    #[must_use]
    pub fn removed_at(&self, path: &str) -> Option<Timestamp> {
        self.removed.get(path).copied()
    }

    /// What a checkpoint keeps of it: all but the memory of files removed longer than `keep` ago. Such a file, should
    /// it still be there, is as old as an abandoned one, and goes the same way.
    pub(crate) fn checkpoint(&self, now: Timestamp, keep: SignedDuration) -> Checkpoint {
        let files = self.files().map(|(_, file)| file.clone()).collect();
        let kept = self.removed.iter().filter(|(_, at)| now.duration_since(**at) <= keep);
        let removed = kept.map(|(path, at)| (path.clone(), *at)).collect();
        Checkpoint { format: FORMAT, next: self.next, files, removed }
    }
}

/// A state, as it is written to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    format: u32,
    next: u64,
    files: Vec<File>,
    removed: BTreeMap<String, Timestamp>,
}

impl TryFrom<Checkpoint> for State {
    type Error = Inconsistent;

    fn try_from(checkpoint: Checkpoint) -> Result<Self, Inconsistent> {
        if checkpoint.format != FORMAT {
            return Err(Inconsistent::Format(checkpoint.format));
        }
        let mut state = Self { next: checkpoint.next, ..Self::default() };
        for file in checkpoint.files {
            if Partition::of_file(&file.path).is_none() {
                return Err(Inconsistent::Path(file.path));
            }
            state.put(file);
        }
        state.removed = checkpoint.removed;
        Ok(state)
    }
}

/// What a log comes to, from its first entry on.
///
/// # Errors
/// [`Inconsistent`], at the first entry that cannot follow.
pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, Inconsistent> {
    let mut state = State::default();
    for entry in entries {
        state.apply(entry)?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests;
