//! The leases to create.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::holes;
use crate::checkpoint::Checkpoint;
use crate::lease::{HashRange, Lease};
use crate::settings::InitialPosition;
use crate::shards::Shard;

/// A list of shards that cannot be all: some hash key belongs to none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of the stream's shards is not whole: hash keys {} to {} belong to none", hole.start, hole.end)]
pub struct Incomplete {
    /// The first part of the key space that is missing.
    pub hole: HashRange,
}

/// What is known of the records before those of a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Past {
    /// Nobody reads or has read them.
    Unread,
    /// They are processed, or out of reach for ever.
    Done,
    /// Somebody reads them, and leases what follows when done.
    Coming,
}

struct Tree<'a> {
    shards: BTreeMap<&'a str, &'a Shard>,
    leases: BTreeMap<&'a str, &'a Lease>,
    initial: InitialPosition,
    pasts: BTreeMap<&'a str, Past>,
    /// Parents before children: what has no lease counts as expired, and its children as ready.
    create: Vec<(&'a Shard, Checkpoint)>,
}

/// Leases to create so that every record is read, those of a parent before those of its children.
///
/// A shard is left out when the end of another one will bring its lease. Where nothing of a lineage is read yet,
/// it begins at its oldest shard, or for [`InitialPosition::Latest`] at its newest. A shard whose ancestor was
/// read begins at its oldest record, whatever the initial position: its records follow on the ancestor's.
///
/// # Errors
/// [`Incomplete`]: Kinesis is in the middle of a reshard, or lists what was. Ask again.
pub fn missing(
    shards: &[Shard],
    leases: &[Lease],
    initial: InitialPosition,
) -> Result<Vec<Lease>, Incomplete> {
    let open: BTreeSet<_> =
        shards.iter().filter(|shard| shard.open).map(|shard| shard.id.as_str()).collect();
    // A child of a shard that still takes records is listed before its time.
    let is_due = |shard: &&Shard| shard.parents.iter().all(|id| !open.contains(id.as_str()));
    let due: BTreeMap<_, _> =
        shards.iter().filter(is_due).map(|shard| (shard.id.as_str(), shard)).collect();
    let parents: BTreeSet<_> =
        due.values().flat_map(|shard| &shard.parents).map(String::as_str).collect();
    let newest: Vec<_> = due.values().filter(|shard| !parents.contains(&*shard.id)).collect();
    if let Some(ranges) = newest.iter().map(|shard| shard.hash_range).collect::<Option<_>>()
        && let Some(&hole) = holes(ranges).first()
    {
        return Err(Incomplete { hole });
    }
    let newest: Vec<_> = newest.into_iter().map(|shard| shard.id.as_str()).collect();
    let mut tree = Tree::new(due, leases, initial);
    for id in newest {
        if tree.past(id) == Past::Unread {
            tree.begin(id);
        }
    }
    Ok(tree.leases_to_create())
}

/// Leases to create, in this order, before `child` may get its own, so that it waits for every record before it:
/// those of its other parent's lineage, if that has none yet. Empty at a split.
#[must_use]
pub fn missing_before(
    child: &Shard,
    shards: &[Shard],
    leases: &[Lease],
    initial: InitialPosition,
) -> Vec<Lease> {
    let shards = shards.iter().map(|shard| (shard.id.as_str(), shard)).collect();
    let mut tree = Tree::new(shards, leases, initial);
    for parent in &child.parents {
        if tree.past(parent) == Past::Unread {
            tree.begin(parent);
        }
        tree.lease_lineage(parent);
    }
    tree.leases_to_create()
}

impl<'a> Tree<'a> {
    fn new(
        shards: BTreeMap<&'a str, &'a Shard>,
        leases: &'a [Lease],
        initial: InitialPosition,
    ) -> Self {
        let leases = leases.iter().map(|lease| (lease.key.as_str(), lease)).collect();
        Self { shards, leases, initial, pasts: BTreeMap::new(), create: Vec::new() }
    }

    fn leases_to_create(self) -> Vec<Lease> {
        self.create.into_iter().map(|(shard, checkpoint)| shard.lease(checkpoint)).collect()
    }

    /// What becomes of a shard, the shard itself included.
    fn past(&mut self, id: &'a str) -> Past {
        if let Some(past) = self.pasts.get(id) {
            return *past;
        }
        let past = self.look(id);
        self.pasts.insert(id, past);
        past
    }

    fn look(&mut self, id: &'a str) -> Past {
        let shard = self.shards.get(id).copied();
        if let Some(lease) = self.leases.get(id) {
            let is_over = lease.is_finished() || shard.is_none();
            return if is_over { Past::Done } else { Past::Coming };
        }
        let Some(shard) = shard else { return Past::Unread };
        let pasts: Vec<_> =
            shard.parents.iter().map(|parent| (parent.as_str(), self.past(parent))).collect();
        if pasts.iter().all(|(_, past)| *past == Past::Unread) {
            return Past::Unread;
        }
        for (parent, past) in &pasts {
            // The other half of a merge: nobody would read it.
            if *past == Past::Unread {
                self.begin(parent);
            }
        }
        if pasts.iter().any(|(_, past)| *past == Past::Done) {
            for (parent, _) in pasts {
                self.lease_lineage(parent);
            }
            self.create.push((shard, Checkpoint::TrimHorizon));
        }
        Past::Coming
    }

    /// Gives a shard and what leads to it leases, so that what follows on it waits for it.
    fn lease_lineage(&mut self, id: &'a str) {
        let is_created = self.create.iter().any(|(shard, _)| shard.id == id);
        let Some(&shard) = self.shards.get(id) else { return };
        if is_created || self.leases.contains_key(id) {
            return;
        }
        for parent in &shard.parents {
            self.lease_lineage(parent);
        }
        self.create.push((shard, Checkpoint::TrimHorizon));
    }

    /// Has a lineage read that nobody reads.
    fn begin(&mut self, id: &'a str) {
        let Some(&shard) = self.shards.get(id) else { return };
        self.pasts.insert(id, Past::Coming);
        let known: Vec<_> =
            shard.parents.iter().filter(|id| self.shards.contains_key(id.as_str())).collect();
        let checkpoint = match self.initial {
            // Its reader was so late that shards expired unread: not a record more may be passed over.
            InitialPosition::Latest if self.follows_on_lost(shard) => Checkpoint::TrimHorizon,
            InitialPosition::Latest => Checkpoint::Latest,
            _ if !known.is_empty() => {
                for parent in known {
                    if self.past(parent) == Past::Unread {
                        self.begin(parent);
                    }
                }
                return;
            }
            InitialPosition::AtTimestamp(_) => Checkpoint::AtTimestamp,
            InitialPosition::TrimHorizon => Checkpoint::TrimHorizon,
        };
        self.create.push((shard, checkpoint));
    }

    /// Whether an unfinished lease of a shard that the stream does not have any more lay where this one lies.
    fn follows_on_lost(&self, shard: &Shard) -> bool {
        let lost =
            |lease: &&&Lease| !lease.is_finished() && !self.shards.contains_key(lease.key.as_str());
        let overlaps = |lease: &Lease| match (lease.hash_range, shard.hash_range) {
            (Some(a), Some(b)) => a.start <= b.end && b.start <= a.end,
            _ => true,
        };
        self.leases.values().filter(lost).any(|lease| overlaps(lease))
    }
}
