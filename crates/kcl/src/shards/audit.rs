//! Whether every hash key has a lease.

use std::collections::BTreeMap;

use crate::lease::{HashRange, Lease};
use crate::shards::Shard;

/// How much of the key space has a lease that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Whole,
    /// All but these parts, in order.
    Holes(Vec<HashRange>),
    /// A lease does not say which part is its own.
    Unknown,
}

/// Audits the leases. A shard that is processed to its end covers nothing: its children have to.
#[must_use]
pub fn coverage(leases: &[Lease]) -> Coverage {
    let open = leases.iter().filter(|lease| !lease.is_finished());
    let Some(ranges) = open.map(|lease| lease.hash_range).collect::<Option<Vec<_>>>() else {
        return Coverage::Unknown;
    };
    let holes = holes(ranges);
    if holes.is_empty() { Coverage::Whole } else { Coverage::Holes(holes) }
}

/// The leases whose rows do not name their part of the key space, with what the stream says it is.
#[must_use]
pub fn unknown_ranges<'a>(shards: &[Shard], leases: &'a [Lease]) -> Vec<(&'a Lease, HashRange)> {
    let ranges: BTreeMap<_, _> =
        shards.iter().filter_map(|shard| Some((shard.id.as_str(), shard.hash_range?))).collect();
    let unknown = leases.iter().filter(|lease| lease.hash_range.is_none());
    unknown.filter_map(|lease| Some((lease, *ranges.get(lease.key.as_str())?))).collect()
}

/// The parts of the key space that none of the ranges covers.
pub(super) fn holes(mut ranges: Vec<HashRange>) -> Vec<HashRange> {
    ranges.sort_unstable();
    let mut holes = Vec::new();
    let mut next = Some(0); // The lowest key not covered so far; none once the highest is.
    for range in ranges {
        let Some(start) = next else { break };
        if range.start > start {
            holes.push(HashRange { start, end: range.start - 1 });
        }
        next = range.end.checked_add(1).map(|after| after.max(start));
    }
    holes.extend(next.map(|start| HashRange { start, end: u128::MAX }));
    holes
}
