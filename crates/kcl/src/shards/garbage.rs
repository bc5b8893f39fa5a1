//! The leases to delete.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Checkpoint;
use crate::lease::Lease;
use crate::shards::Shard;

/// Leases that have served: of shards that are processed to their end, once every child has a lease that has
/// moved from its beginning and no parent is left; and of shards that the stream does not have any more.
///
/// `shards` must be whole, as [`super::missing`] finds it. A list may be behind a reshard, so an unfinished lease of
/// a shard that is not in it goes only when `is_gone` says that this has been so for long.
#[must_use]
pub fn garbage<'a>(
    shards: &[Shard],
    leases: &'a [Lease],
    is_gone: impl Fn(&Lease) -> bool,
) -> Vec<&'a Lease> {
    let mut children: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for shard in shards {
        for parent in &shard.parents {
            children.entry(parent).or_default().insert(&shard.id);
        }
    }
    for lease in leases {
        children.entry(&lease.key).or_default().extend(lease.children.iter().map(String::as_str));
    }
    let listed: BTreeSet<_> = shards.iter().map(|shard| shard.id.as_str()).collect();
    let leased: BTreeMap<_, _> = leases.iter().map(|lease| (lease.key.as_str(), lease)).collect();
    let has_moved =
        |lease: &Lease| matches!(lease.checkpoint, Checkpoint::At(_) | Checkpoint::ShardEnd);
    let is_garbage = |lease: &&Lease| {
        let children = children.get(lease.key.as_str()).into_iter().flatten();
        let mut children = children.map(|child| (leased.get(child), listed.contains(child)));
        if listed.contains(lease.key.as_str()) {
            let are_past = |(lease, _): (Option<&&Lease>, _)| lease.is_some_and(|it| has_moved(it));
            let mut parents = lease.parents.iter();
            let none_before = !parents.any(|parent| leased.contains_key(parent.as_str()));
            let has_children = children.clone().next().is_some();
            return lease.is_finished() && none_before && has_children && children.all(are_past);
        }
        let none_depends = children.all(|(lease, is_listed)| lease.is_some() || !is_listed);
        none_depends && (lease.is_finished() || is_gone(lease))
    };
    leases.iter().filter(is_garbage).collect()
}
