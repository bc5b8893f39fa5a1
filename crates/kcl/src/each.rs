//! Level 3: a function for each record.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::delivery::Progress;
use crate::processor::{Batch, Failure, Processor, Scope, ShardContext};
use crate::record::Record;

/// A processor that calls `call` for each record: one after the other, in the order of the shard, until
/// [`Each::concurrency`] says otherwise. A record that it accepted is settled at that moment.
///
/// A record that failed comes again together with those that must not overtake it; they were not touched. With
/// `bisect` in the attempts of the settings it goes to the dead-letter queue without them.
pub fn each<F, Fut>(call: F) -> Each<F>
where
    F: Fn(Record, ShardContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    Each { call, order: Order::Shard }
}

/// Made by [`each`].
pub struct Each<F> {
    call: F,
    order: Order,
}

/// Which records of a batch wait for each other, and how many calls run at once.
enum Order {
    Shard,
    Key(usize),
    None(usize),
}

impl<F> Each<F> {
    /// So many calls at once within a batch; records with one partition key keep their order. They share the
    /// thread of their batch: for more cores, see [`crate::Lanes`].
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.order = Order::Key(calls.max(1));
        self
    }

    /// As many calls at once as were asked for, in any order.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.order = match self.order {
            Order::Shard => Order::None(1),
            Order::Key(calls) | Order::None(calls) => Order::None(calls),
        };
        self
    }
}

/// A call that failed, and the records behind it that were not touched.
struct Broken {
    failure: Failure,
    left: Vec<usize>,
}

impl<F, Fut> Each<F>
where
    F: Fn(Record, ShardContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    /// Calls for records that must keep their order.
    async fn in_turn(
        &self,
        batch: &Batch,
        progress: &Progress,
        group: Vec<usize>,
    ) -> Option<Broken> {
        for (turn, &index) in group.iter().enumerate() {
            match (self.call)(batch.records[index].clone(), batch.shard.clone()).await {
                // Too late: the lease is lost, and this call is about to be dropped.
                Ok(()) if !progress.accept(index) => return None,
                Ok(()) => {}
                Err(failure) => return Some(Broken { failure, left: group[turn..].to_vec() }),
            }
        }
        None
    }
}

impl<F, Fut> Processor for Each<F>
where
    F: Fn(Record, ShardContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.process_with(batch, &Progress::untracked()).await
    }

    async fn process_with(&self, batch: &Batch, progress: &Progress) -> Result<(), Failure> {
        let (groups, calls) = match self.order {
            Order::Shard => (vec![(0..batch.records.len()).collect()], 1),
            Order::Key(calls) => (by_key(&batch.records), calls),
            Order::None(calls) => {
                ((0..batch.records.len()).map(|index| vec![index]).collect(), calls)
            }
        };
        let runs = groups.into_iter().map(|group| self.in_turn(batch, progress, group));
        let broken: Vec<_> = stream::iter(runs)
            .buffer_unordered(calls)
            .filter_map(std::future::ready)
            .collect()
            .await;
        together(batch, broken)
    }
}

/// The records of each key, in order; those without key are each for themselves.
fn by_key(records: &[Record]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        let group = match &record.partition_key {
            Some(key) => *group_of.entry(key).or_insert(groups.len()),
            None => groups.len(),
        };
        match groups.get_mut(group) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// One failure of all: fatal if one is, else of the records that are left, with the longest pause asked for.
fn together(batch: &Batch, mut broken: Vec<Broken>) -> Result<(), Failure> {
    broken.sort_by_key(|broken| broken.left[0]);
    if let Some(fatal) = broken.iter().find(|broken| broken.failure.scope == Scope::Consumer) {
        return Err(fatal.failure.clone());
    }
    let Some(first) = broken.first() else { return Ok(()) };
    let mut left: Vec<_> = broken.iter().flat_map(|broken| broken.left.iter().copied()).collect();
    left.sort_unstable();
    let positions = left.into_iter().map(|index| batch.records[index].position).collect();
    let after = broken.iter().filter_map(|broken| broken.failure.after).max();
    Err(Failure { after, ..Failure::partial(positions, first.failure.reason.clone()) })
}

#[cfg(test)]
mod tests;
