//! What records are still owed: which of their ways a record that comes again has not gone yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kcl::Position;

use crate::target::Target;

/// The ways that are left for a record. It keeps to these when it comes again: who has it does not get it twice because
/// of another's outage, and who is owed it gets it though the routes have changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    /// Whether SNS is to get it.
    pub(crate) sns: bool,
    /// The rivers that are to get it directly.
    pub(crate) rivers: Vec<Arc<Target>>,
    /// Whether a part of it lies in the quarantine.
    pub(crate) quarantined: bool,
}

/// What is owed, by shard and record. No more than the records of the one batch that a shard has under way, and gone
/// with its lease: the next owner sends to all.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<HashMap<Arc<str>, Page>>);

/// One shard's part.
pub(crate) type Page = HashMap<Position, Owed>;

impl Owed {
    /// To SNS alone.
    pub(crate) fn sns() -> Self {
        Self { sns: true, ..Self::default() }
    }

    /// To one river alone.
    pub(crate) fn river(target: Arc<Target>) -> Self {
        Self { rivers: vec![target], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.sns |= other.sns;
        self.rivers.extend(other.rivers);
        self.quarantined |= other.quarantined;
    }
}

impl Ledger {
    /// Takes a shard's page out: a batch that is dropped half-way leaves none.
    pub(crate) fn take(&self, shard: &str) -> Page {
        self.pages().remove(shard).unwrap_or_default()
    }

    pub(crate) fn put(&self, shard: &Arc<str>, page: Page) {
        self.pages().insert(Arc::clone(shard), page);
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<Arc<str>, Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
