//! Which leases a worker takes, decided from one look at the table.
//!
//! The rules are those of `DynamoDBLeaseTaker` of the KCL, with a weight for each lease: everyone's fair share,
//! free leases before taken ones, and no lease moves unless that makes the more loaded of two workers less
//! loaded. Unlike there, a lease becomes takeable only once its parents are processed, and every worker has an
//! order of preference of its own, so that workers that plan at the same moment rarely want the same lease.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::lease::Lease;
use crate::settings::Balance;

/// Silence after which a lease is taken whatever the fair share: nobody else seems to come for it.
const VERY_OLD_FAILOVERS: u32 = 3;
/// After so long a lease that was released is taken beyond the fair share: those who have room for it are not
/// there any more, or busy with leaving.
const LINGERS: Duration = Duration::from_secs(1);
/// What a lease counts at least where bytes are balanced, as a part of the average one: idle shards cost too.
const LEAST_WEIGHT: f64 = 0.05;
/// By how much of the fair share a move must help where bytes are balanced. What is measured always sways a bit.
/// KCL: `reBalanceThresholdPercentage`, 10.
const HELPS: f64 = 0.1;

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
    /// What is shared evenly.
    pub balance: Balance,
    /// Most leases that it may hold.
    pub leases_max: usize,
    /// Most leases that may be on their way to it from workers that live.
    pub moves_max: usize,
}

/// What a worker concludes from a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan<'a> {
    /// The leases that it should try to get now, best first.
    pub get: Vec<&'a Lease>,
    /// Leases that can be read now but that nobody holds, or whose owner is silent.
    pub expired: usize,
    /// Workers that hold leases, and this one.
    pub workers: usize,
    /// Leases that nobody may take, if every worker may hold as many as this one.
    pub spillover: usize,
}

/// A lease with what it counts.
#[derive(Clone, Copy)]
struct Weighed<'a> {
    seen: &'a Observed,
    weight: f64,
}

/// What the workers that live hold.
struct Loads<'a>(BTreeMap<&'a str, Vec<Weighed<'a>>>);

/// The leases that `me` should try to get now. Pure: the same look gives the same plan. `observed` is in the
/// order of the keys.
#[must_use]
pub fn plan<'a>(observed: &'a [Observed], me: Me<'a>) -> Plan<'a> {
    let ready: Vec<_> = observed.iter().filter(|seen| is_ready(&seen.lease, observed)).collect();
    let ready = weigh(ready, me.balance);
    let mut loads = Loads(BTreeMap::from([(me.worker, Vec::new())]));
    let mut free = Vec::new();
    let total: f64 = ready.iter().map(|lease| lease.weight).sum();
    let count = ready.len();
    for lease in ready {
        match live_owner(lease.seen, me) {
            Some(owner) => loads.0.entry(owner).or_default().push(lease),
            None => free.push(lease),
        }
    }
    let workers = loads.0.len();
    #[expect(clippy::cast_precision_loss, reason = "a count of workers")]
    let share = total / workers as f64;
    let (expired, spillover) =
        (free.len(), count.saturating_sub(workers.saturating_mul(me.leases_max)));
    free.sort_by_cached_key(|lease| preference(me.worker, &lease.seen.lease.key));
    let get = if free.is_empty() {
        get_from_others(loads, share, me)
    } else {
        get_free(free, &loads, share, me)
    };
    Plan { get, expired, workers, spillover }
}

/// What each lease counts: one, or the bytes a second that were measured, where it was.
fn weigh(leases: Vec<&Observed>, balance: Balance) -> Vec<Weighed<'_>> {
    let known = |seen: &&Observed| seen.lease.throughput.filter(|it| it.is_finite() && *it >= 0.0);
    let measured: Vec<_> = leases.iter().filter_map(known).collect();
    #[expect(clippy::cast_precision_loss, reason = "a count of leases")]
    let average = measured.iter().sum::<f64>() / (measured.len() as f64).max(1.0);
    let weight = |seen| match balance {
        Balance::Count => 1.0,
        Balance::Throughput if average == 0.0 => 1.0,
        Balance::Throughput => known(&seen).unwrap_or(average).max(LEAST_WEIGHT * average),
    };
    leases.into_iter().map(|seen| Weighed { seen, weight: weight(seen) }).collect()
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

/// Free leases: those that nobody seems to come for, and as many others as bring me to the share.
fn get_free<'a>(
    free: Vec<Weighed<'a>>,
    loads: &Loads<'a>,
    share: f64,
    me: Me<'_>,
) -> Vec<&'a Lease> {
    let (old, young): (Vec<_>, Vec<_>) =
        free.into_iter().partition(|lease| lease.seen.idle > me.failover * VERY_OLD_FAILOVERS);
    let mut load = loads.of(me.worker) + old.iter().map(|lease| lease.weight).sum::<f64>();
    let mut get = old;
    let mut beyond = Vec::new();
    for lease in young {
        if load < share {
            load += lease.weight;
            get.push(lease);
        } else {
            beyond.push(lease);
        }
    }
    let lingers = |it: &Weighed<'_>| it.seen.lease.owner.is_none() && it.seen.idle > LINGERS;
    get.extend(beyond.into_iter().find(lingers));
    get.truncate(me.leases_max.saturating_sub(loads.count(me.worker)));
    get.into_iter().map(|lease| &lease.seen.lease).collect()
}

/// Leases of the most loaded worker, one after the other, while that helps.
fn get_from_others<'a>(mut loads: Loads<'a>, share: f64, me: Me<'a>) -> Vec<&'a Lease> {
    let helps = match me.balance {
        Balance::Count => 0.5,
        Balance::Throughput => share * HELPS,
    };
    let is_promised = |lease: &Weighed<'_>| lease.seen.lease.checkpoint_owner.is_some();
    let mine = loads.0.get(me.worker).into_iter().flatten();
    let under_way = mine.filter(|lease| is_promised(lease)).count();
    let mut get = Vec::new();
    while under_way + get.len() < me.moves_max && loads.count(me.worker) < me.leases_max {
        let mine = loads.of(me.worker);
        let others = loads.0.keys().copied().filter(|worker| *worker != me.worker);
        let Some(giver) = others.max_by(|a, b| loads.of(a).total_cmp(&loads.of(b))) else { break };
        let his = loads.of(giver);
        let after = |lease: &Weighed<'_>| (his - lease.weight).max(mine + lease.weight);
        let candidates = loads.0[giver].iter().enumerate().filter(|(_, it)| !is_promised(it));
        let best = candidates.min_by(|(_, a), (_, b)| {
            let prefer = |lease: &Weighed<'_>| preference(me.worker, &lease.seen.lease.key);
            after(a).total_cmp(&after(b)).then_with(|| prefer(a).cmp(&prefer(b)))
        });
        let Some((at, best)) = best.filter(|(_, best)| his - after(best) >= helps) else { break };
        let best = *best;
        loads.0.get_mut(giver).map(|leases| leases.remove(at));
        loads.0.entry(me.worker).or_default().push(best);
        get.push(&best.seen.lease);
    }
    get
}

impl Loads<'_> {
    fn of(&self, worker: &str) -> f64 {
        self.0.get(worker).into_iter().flatten().map(|lease| lease.weight).sum()
    }

    fn count(&self, worker: &str) -> usize {
        self.0.get(worker).map_or(0, Vec::len)
    }
}

fn preference(worker: &str, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (worker, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
