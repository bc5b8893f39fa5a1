//! Which leases are missing, decided from a list of the stream's shards and the leases there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, Lease};
use crate::settings::InitialPosition;

/// A shard of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// Shards that it was split or merged from, as far as the stream still names them.
    pub parents: BTreeSet<String>,
    /// The part of the key space that it serves.
    pub hash_range: Option<HashRange>,
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

/// Leases to create so that every shard that the stream still has is read.
///
/// Closed shards are among them, for their records are still to be read. A shard whose ancestor has a lease
/// starts at its oldest record, whatever the initial position: its records follow on the ancestor's.
#[must_use]
pub fn missing(shards: &[Shard], leases: &[Lease], initial: InitialPosition) -> Vec<Lease> {
    let known: BTreeMap<_, _> = shards.iter().map(|shard| (&shard.id, shard)).collect();
    let leased: BTreeSet<_> = leases.iter().map(|lease| &lease.key).collect();
    let follows = |shard: &Shard| {
        let mut ahead: Vec<_> = shard.parents.iter().collect();
        while let Some(parent) = ahead.pop() {
            if leased.contains(parent) {
                return true;
            }
            ahead.extend(known.get(parent).into_iter().flat_map(|shard| &shard.parents));
        }
        false
    };
    let start = |shard: &Shard| match initial {
        InitialPosition::AtTimestamp(_) if !follows(shard) => Checkpoint::AtTimestamp,
        InitialPosition::Latest if !follows(shard) => Checkpoint::Latest,
        _ => Checkpoint::TrimHorizon,
    };
    let unleased = shards.iter().filter(|shard| !leased.contains(&shard.id));
    unleased.map(|shard| shard.lease(start(shard))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        Shard { id: id.into(), parents, hash_range: None }
    }

    fn tree() -> Vec<Shard> {
        vec![
            shard("s0", &[]),
            shard("s1", &["s0"]),
            shard("s2", &["s0"]),
            shard("s3", &["s1", "s2"]),
        ]
    }

    #[test]
    fn an_empty_table_gets_a_lease_for_every_shard_with_its_parents() {
        let leases = missing(&tree(), &[], InitialPosition::TrimHorizon);
        let keys: Vec<_> = leases.iter().map(|lease| lease.key.as_str()).collect();
        assert_eq!(keys, ["s0", "s1", "s2", "s3"]);
        assert_eq!(leases[3].parents, tree()[3].parents);
        assert!(leases.iter().all(|lease| lease.checkpoint == Checkpoint::TrimHorizon));
    }

    #[test]
    fn what_has_a_lease_gets_no_other() {
        let leases = missing(&tree(), &[], InitialPosition::TrimHorizon);
        assert!(missing(&tree(), &leases, InitialPosition::TrimHorizon).is_empty());
        assert_eq!(missing(&tree(), &leases[..3], InitialPosition::TrimHorizon), leases[3..]);
    }

    #[test]
    fn the_initial_time_holds_only_where_no_ancestor_is_being_read() {
        let initial = InitialPosition::AtTimestamp(SystemTime::UNIX_EPOCH);
        let fresh = missing(&tree(), &[], initial);
        assert!(fresh.iter().all(|lease| lease.checkpoint == Checkpoint::AtTimestamp));
        let later = missing(&tree(), &fresh[..1], initial);
        assert!(later.iter().all(|lease| lease.checkpoint == Checkpoint::TrimHorizon));
    }
}
