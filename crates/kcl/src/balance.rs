//! Which leases a worker takes, decided from one look at the table.
//!
//! The rules are those of `DynamoDBLeaseTaker` of the KCL: everyone's fair share, free leases before taken
//! ones, and no lease moves to repair an imbalance of one. Unlike there, a lease becomes takeable only once
//! its parents are processed, and every worker has an order of preference of its own, so that workers that
//! plan at the same moment rarely want the same lease.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::lease::Lease;

/// Silence after which a lease is taken whatever the fair share: nobody else seems to come for it.
const VERY_OLD_FAILOVERS: u32 = 3;

/// A lease as one worker sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The row.
    pub lease: Lease,
    /// For how long this worker has seen the counter stand still, by its own clock.
    pub idle: Duration,
}

/// The worker that plans.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// Its identity.
    pub worker: &'a str,
    /// Keys of the leases whose shards it is reading.
    pub held: &'a BTreeSet<String>,
    /// How long a lease must stand still before it may be taken.
    pub failover: Duration,
}

/// The leases that `me` should try to take now, best first. Pure: the same look gives the same plan.
#[must_use]
pub fn plan<'a>(observed: &'a [Observed], me: Me<'_>) -> Vec<&'a Lease> {
    let ready: Vec<_> = observed.iter().filter(|seen| is_ready(&seen.lease, observed)).collect();
    let mut load = BTreeMap::from([(me.worker, Vec::new())]);
    let mut free = Vec::new();
    for seen in ready.iter().copied() {
        match live_owner(seen, me) {
            Some(owner) => load.entry(owner).or_default().push(&seen.lease),
            None => free.push(seen),
        }
    }
    let mine = load[me.worker].len();
    let share = ready.len().div_ceil(load.len());
    free.sort_by_cached_key(|seen| preference(me.worker, &seen.lease.key));
    if free.is_empty() {
        return steal(&load, me.worker, mine, share);
    }
    let (old, young): (Vec<_>, Vec<_>) =
        free.into_iter().partition(|seen| seen.idle > me.failover * VERY_OLD_FAILOVERS);
    let room = share.saturating_sub(mine).saturating_sub(old.len());
    old.into_iter().chain(young.into_iter().take(room)).map(|seen| &seen.lease).collect()
}

/// Whether there is something to read and every parent shard is processed. An absent parent has expired.
fn is_ready(lease: &Lease, observed: &[Observed]) -> bool {
    let finished = |parent: &String| {
        let parent = observed.binary_search_by(|seen| seen.lease.key.cmp(parent));
        parent.is_ok_and(|at| observed[at].lease.is_finished()) || parent.is_err()
    };
    !lease.is_finished() && lease.parents.iter().all(finished)
}

/// The owner, if it lives. A lease that carries my name but that I do not hold is left from before a restart.
fn live_owner<'a>(seen: &'a Observed, me: Me<'_>) -> Option<&'a str> {
    let owner = seen.lease.owner.as_deref()?;
    // Promised to `owner`, but the checkpoint owner is the one who renews it until it is done.
    let lives = if owner == me.worker && seen.lease.checkpoint_owner.is_none() {
        me.held.contains(&seen.lease.key)
    } else {
        seen.idle <= me.failover
    };
    lives.then_some(owner)
}

/// Leases of the most loaded worker, as many as bring both to the fair share.
fn steal<'a>(
    load: &BTreeMap<&str, Vec<&'a Lease>>,
    worker: &str,
    mine: usize,
    share: usize,
) -> Vec<&'a Lease> {
    let others = load.iter().filter(|(owner, _)| **owner != worker);
    let Some((_, victims)) = others.max_by_key(|(_, leases)| leases.len()) else {
        return Vec::new();
    };
    let need = share.saturating_sub(mine);
    let surplus = victims.len().saturating_sub(share);
    // At the share himself, he gives one only to someone who lacks more than one: else it would swing back.
    let count = if surplus == 0 && need > 1 { 1 } else { need.min(surplus) };
    let mut victims: Vec<_> =
        victims.iter().copied().filter(|lease| lease.checkpoint_owner.is_none()).collect();
    victims.sort_by_cached_key(|lease| preference(worker, &lease.key));
    victims.truncate(count);
    victims
}

fn preference(worker: &str, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (worker, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
