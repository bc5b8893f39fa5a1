//! What comes after a batch was not accepted: the contract of Lambda's event source mapping, as a function.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html>. Two things are
//! other than there. A record too old is still handed over once. And with `bisect` a batch is halved until the
//! failing record is alone before attempts or age count, so that it never takes its neighbours to the
//! dead-letter queue.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use crate::checkpoint::Position;
use crate::processor::{Failure, Scope};
use crate::record::Record;
use crate::settings::Attempts;

/// Least and most time before a failed batch comes again, unless the failure says it.
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);

/// What is to be done after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The consumer stops; none of the records is settled.
    Stop,
    /// The records part ways, by their indices in the batch.
    Part(Parting),
}

/// Where each record of a failed batch goes. Each index is in one of the lists, each list rises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parting {
    /// Safe: acknowledged at once.
    pub(crate) accepted: Vec<usize>,
    /// To the dead-letter queue, before anything comes again.
    pub(crate) dead: Vec<usize>,
    /// Handed over again, one list after the other.
    pub(crate) again: Vec<Vec<usize>>,
    /// Whether what comes again has one attempt less. Halving takes none.
    pub(crate) counts: bool,
}

/// Decides. `tries` counts the attempts that these records have used up, with the one that failed.
pub(crate) fn after(
    failure: &Failure,
    records: &[Record],
    tries: u32,
    attempts: Attempts,
    now: SystemTime,
) -> Verdict {
    let (accepted, failed) = match &failure.scope {
        Scope::Consumer => return Verdict::Stop,
        Scope::Batch => (Vec::new(), None),
        Scope::Records(positions) => told_apart(records, positions),
    };
    let is_named = failed.is_some();
    let failed = failed.unwrap_or_else(|| (0..records.len()).collect());
    let used_up = attempts.most.is_some_and(|most| tries >= most);
    let is_dead = |&index: &usize| used_up || is_too_old(&records[index], attempts.age_max, now);
    // Who named the failed ones spared us the search, but not their neighbours the way to the queue.
    let must_halve = !is_named || failed.iter().any(is_dead);
    if attempts.bisect && failed.len() > 1 && must_halve {
        let (first, second) = failed.split_at(failed.len().div_ceil(2));
        let again = vec![first.to_vec(), second.to_vec()];
        return Verdict::Part(Parting { accepted, again, ..Parting::default() });
    }
    let (dead, again): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_dead);
    let again = if again.is_empty() { Vec::new() } else { vec![again] };
    Verdict::Part(Parting { accepted, dead, again, counts: true })
}

/// How long what failed rests. `jitter` is random, in 0..1.
pub(crate) fn pause(failure: &Failure, tries: u32, jitter: f64) -> Duration {
    let doubled = PAUSE_LEAST.saturating_mul(2_u32.saturating_pow(tries));
    let spread = doubled.min(PAUSE_MOST) - PAUSE_LEAST;
    failure.after.unwrap_or_else(|| PAUSE_LEAST + spread.mul_f64(jitter))
}

/// The records that are safe, and those that were named. None were when one of the names is foreign.
fn told_apart(records: &[Record], positions: &[Position]) -> (Vec<usize>, Option<Vec<usize>>) {
    let named: HashSet<_> = positions.iter().collect();
    let is_safe = |&index: &usize| !named.contains(&records[index].position);
    let (safe, failed): (Vec<_>, Vec<_>) = (0..records.len()).partition(is_safe);
    if failed.len() == named.len() { (safe, Some(failed)) } else { (Vec::new(), None) }
}

fn is_too_old(record: &Record, most: Option<Duration>, now: SystemTime) -> bool {
    let age = record.arrived_at.and_then(|arrived| now.duration_since(arrived).ok());
    most.zip(age).is_some_and(|(most, age)| age > most)
}

#[cfg(test)]
mod tests;
