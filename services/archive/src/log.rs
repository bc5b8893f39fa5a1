//! The log: a file for each commit, numbered without a gap, each written by exactly one writer.
//!
//! `log/00000000000000000042.json` is created only if it is not there. Of two writers with the same number one wins,
//! and the other reads what the winner wrote and decides anew: this is the only thing that writers share, and the
//! whole of their coordination. Numbers are never used again, so no file of the log is ever deleted here.
//!
//! Every hundredth commit is followed by a checkpoint, which is the state as of that number, and by a hint where to
//! find it. Both may be lost or old: then more entries are read.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::Error;
use crate::entry::Entry;
use crate::state::{Checkpoint, Inconsistent, State};

/// Commits between two checkpoints: so many small files at the most are read to open the archive.
const CHECKPOINT_EVERY: u64 = 100;
/// Entries read at once once there are several to read.
const READ_AHEAD: usize = 16;
/// How long a removed file is remembered, longer than any reader works with an old state.
const REMOVED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The entry is the log's.
    Made,
    /// Another writer's entry has its number.
    Lost,
}

/// Where the newest checkpoint is, more or less.
#[derive(Serialize, Deserialize)]
struct Hint {
    next: u64,
}

/// The log of an archive.
#[derive(Clone, Debug)]
pub struct Log {
    store: Arc<dyn ObjectStore>,
}

impl Log {
    /// The log in a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// The archive as it is now.
    ///
    /// # Errors
    /// [`Error`], when it cannot be read.
    pub async fn open(&self) -> Result<State, Error> {
        let mut state = match self.read::<Hint>(&hint_path()).await? {
            Some(hint) => self.checkpoint(hint.next).await?,
            None => State::default(),
        };
        self.refresh(&mut state).await?;
        Ok(state)
    }

    /// A checkpoint, or the beginning where it is not there.
    async fn checkpoint(&self, next: u64) -> Result<State, Error> {
        let path = checkpoint_path(next);
        let Some(checkpoint) = self.read::<Checkpoint>(&path).await? else {
            return Ok(State::default());
        };
        State::try_from(checkpoint).map_err(|error| Error::Log { path, reason: error.to_string() })
    }

    /// Takes into account what was committed since.
    ///
    /// # Errors
    /// [`Error`]; the state is then that of the last entry that could be read.
    pub async fn refresh(&self, state: &mut State) -> Result<(), Error> {
        // Mostly there is nothing new, so one is asked for before many are.
        let Some(first) = self.entry(state.next).await? else { return Ok(()) };
        follow(state, &first)?;
        let numbers = stream::iter(state.next..);
        let ahead = numbers.map(|number| self.entry(number)).buffered(READ_AHEAD);
        let mut ahead = std::pin::pin!(ahead);
        while let Some(Some(entry)) = ahead.try_next().await? {
            follow(state, &entry)?;
        }
        Ok(())
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// What it says instead.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.read::<Hint>(&hint_path()).await.map(drop)
    }

    async fn entry(&self, number: u64) -> Result<Option<Entry>, Error> {
        self.read(&entry_path(number)).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, Error> {
        let bytes = match self.store.get(path).await {
            Ok(found) => found.bytes().await.map_err(Error::store("read", path))?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::store("read", path)(error)),
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|error| Error::Log { path: path.clone(), reason: error.to_string() })
    }

    /// Makes an entry the next one after `state`, and the state that of the entry.
    ///
    /// # Errors
    /// [`Error`]; then it is not known whether the entry is in the log, and a refresh tells.
    pub(crate) async fn commit(&self, state: &mut State, entry: &Entry) -> Result<Commit, Error> {
        let path = entry_path(state.next);
        let inconsistent =
            |error: Inconsistent| Error::Log { path: path.clone(), reason: error.to_string() };
        state.check(entry).map_err(inconsistent)?;
        let create = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&path, json(entry), create).await {
            Ok(_) => {}
            // The store tries again by itself, and what is there may be what its first try wrote.
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => {
                let there: Option<Entry> = self.read(&path).await?;
                if there.is_none_or(|there| there.id != entry.id) {
                    return Ok(Commit::Lost);
                }
            }
            Err(error) => return Err(Error::store("write", &path)(error)),
        }
        follow(state, entry)?;
        if state.next.is_multiple_of(CHECKPOINT_EVERY) {
            self.put_checkpoint(state, entry.at).await;
        }
        Ok(Commit::Made)
    }

    /// Nothing depends on it, so a failure is only told.
    async fn put_checkpoint(&self, state: &State, now: Timestamp) {
        let checkpoint = state.checkpoint(now, REMOVED_KEPT);
        let put = async {
            self.store.put(&checkpoint_path(state.next), json(&checkpoint)).await?;
            self.store.put(&hint_path(), json(&Hint { next: state.next })).await
        };
        if let Err(error) = put.await {
            warn!(error = chassis::explain(&error), "could not write a checkpoint of the archive");
        }
    }
}

fn follow(state: &mut State, entry: &Entry) -> Result<(), Error> {
    let path = entry_path(state.next);
    state.apply(entry).map_err(|error| Error::Log { path, reason: error.to_string() })
}

fn entry_path(number: u64) -> Path {
    Path::from(format!("log/{number:020}.json"))
}

fn checkpoint_path(next: u64) -> Path {
    Path::from(format!("log/checkpoints/{next:020}.json"))
}

fn hint_path() -> Path {
    Path::from("log/checkpoints/newest.json")
}

fn json(value: &impl Serialize) -> PutPayload {
    // Strings and numbers: nothing in them can fail to be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests;
