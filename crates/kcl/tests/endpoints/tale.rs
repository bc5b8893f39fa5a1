//! What the workers of a test were handed, in the order of acceptance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use kcl::{Batch, Failure, Processor, ShardContext};

/// Records have one key of so many: record 7 and record 57 are of the same.
pub(crate) const KEYS: u32 = 50;
/// Most records that a failure tells of.
const TOLD_MAX: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) worker: String,
    pub(crate) shard: String,
    pub(crate) number: u32,
}

/// Shared by the workers of a test.
#[derive(Clone, Default)]
pub(crate) struct Tale(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    deliveries: Vec<Delivery>,
    /// Who began to read which shard, with which fence.
    started: Vec<(String, String, u64)>,
}

/// Writes down what one worker is handed.
pub(crate) struct Scribe {
    worker: String,
    tale: Tale,
}

impl Tale {
    pub(crate) fn scribe(&self, worker: &str) -> Scribe {
        Scribe { worker: worker.to_owned(), tale: self.clone() }
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().deliveries.clone()
    }

    /// Every record that came, once.
    pub(crate) fn distinct(&self) -> BTreeSet<u32> {
        self.deliveries().iter().map(|d| d.number).collect()
    }

    pub(crate) fn workers(&self) -> BTreeSet<String> {
        self.deliveries().into_iter().map(|d| d.worker).collect()
    }

    /// What came for the first time, with its place in the tale.
    fn firsts(&self) -> Vec<(usize, Delivery)> {
        let mut known = BTreeSet::new();
        let deliveries = self.deliveries().into_iter().enumerate();
        deliveries.filter(|(_, delivery)| known.insert(delivery.number)).collect()
    }

    /// Of each of these records that did not come once, how it came; of any other record, too.
    pub(crate) fn assert_each_once(&self, numbers: Range<u32>) {
        let mut came: BTreeMap<u32, Vec<String>> = numbers.map(|it| (it, Vec::new())).collect();
        let expected = came.len();
        for (place, Delivery { worker, shard, number }) in self.deliveries().iter().enumerate() {
            came.entry(*number).or_default().push(format!("{place}: {shard} at {worker}"));
        }
        let strangers = came.len() - expected;
        came.retain(|_, came| came.len() != 1);
        let wrong: Vec<_> = came.iter().take(TOLD_MAX).collect();
        let started = &self.0.lock().unwrap().started;
        assert!(
            wrong.is_empty() && strangers == 0,
            "{} records did not come once, {strangers} were not to come, such as {wrong:?}; {started:?}",
            came.len()
        );
    }

    pub(crate) fn assert_order_of_keys(&self) {
        let mut last = BTreeMap::new();
        for (_, delivery) in self.firsts() {
            let before = last.insert(delivery.number % KEYS, delivery.number);
            assert!(before < Some(delivery.number), "{delivery:?} came after {before:?}");
        }
    }

    /// Nothing of a child came before the last of each of its parents.
    pub(crate) fn assert_parents_first(&self, parents: &[(String, String)]) {
        let firsts = self.firsts();
        for (child, parent) in parents {
            let of = |shard: &str| -> Vec<usize> {
                let of_shard = firsts.iter().filter(|(_, delivery)| delivery.shard == shard);
                of_shard.map(|(place, _)| *place).collect()
            };
            let (ends, begins) = (of(parent).last().copied(), of(child).first().copied());
            let in_order = ends.zip(begins).is_none_or(|(ends, begins)| ends < begins);
            assert!(in_order, "{child} began at {begins:?}, before {parent} ended at {ends:?}");
        }
    }

    /// No two workers got a lease at the same counter.
    pub(crate) fn assert_one_owner_at_a_time(&self) {
        let started = self.0.lock().unwrap().started.clone();
        let mut fences = BTreeMap::new();
        for (worker, shard, fence) in started {
            let other = fences.insert((shard.clone(), fence), worker.clone());
            assert_eq!(other, None, "{worker} began with {shard} at {fence}, too");
        }
    }
}

impl Processor for Scribe {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let deliveries = batch.records.iter().map(|record| Delivery {
            worker: self.worker.clone(),
            shard: batch.shard.id.to_string(),
            number: std::str::from_utf8(&record.data).unwrap().parse().unwrap(),
        });
        self.tale.0.lock().unwrap().deliveries.extend(deliveries);
        Ok(())
    }

    async fn started(&self, shard: &ShardContext) {
        let started = (self.worker.clone(), shard.id.to_string(), shard.fence);
        self.tale.0.lock().unwrap().started.push(started);
    }
}
