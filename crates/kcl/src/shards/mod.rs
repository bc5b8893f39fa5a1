//! Which leases a stream needs, decided from a list of its shards and the leases there are: those that are
//! missing, what part of the key space nobody has, and those that have served. Pure; the source of the rules
//! is `HierarchicalShardSyncer`, `PeriodicShardSyncManager` and `LeaseCleanupManager` of the KCL.

mod audit;
mod garbage;
mod missing;

use std::collections::BTreeSet;

use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, Lease};

pub use audit::{Coverage, coverage, unknown_ranges};
pub use garbage::garbage;
pub use missing::{Incomplete, missing, missing_before};

/// A shard of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// Shards that it was split or merged from, as far as the stream still names them.
    pub parents: BTreeSet<String>,
    /// The part of the key space that it serves.
    pub hash_range: Option<HashRange>,
    /// Whether it still takes records.
    pub open: bool,
}

impl Shard {
    /// The lease for this shard, not held by anyone.
    #[must_use]
    pub fn lease(&self, checkpoint: Checkpoint) -> Lease {
        Lease {
            parents: self.parents.clone(),
            hash_range: self.hash_range,
            ..Lease::new(&self.id, checkpoint)
        }
    }
}

#[cfg(test)]
mod tests;
