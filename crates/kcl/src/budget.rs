//! How many bytes of records the process may hold.
//!
//! One budget for all shards, in the order in which they asked: a shard that reads fast cannot starve one that
//! reads slowly. What is held is given back by dropping its [`Permit`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::delivery::Hold;
use crate::metrics::Metrics;

/// The bytes of records that the whole process may hold. Clones share them.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Inner>);

struct Inner {
    /// One permit for each byte.
    free: Arc<Semaphore>,
    most: usize,
    /// Bytes that came without having been asked for, and that were not free any more.
    over: AtomicUsize,
    metrics: Arc<dyn Metrics>,
}

/// Bytes taken out of a [`Budget`], given back when it is dropped.
pub(crate) struct Permit {
    budget: Budget,
    taken: Option<OwnedSemaphorePermit>,
    over: usize,
}

impl Budget {
    /// A budget of `most` bytes, at least one.
    pub(crate) fn new(most: usize, metrics: Arc<dyn Metrics>) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(most));
        Self(Arc::new(Inner { free, most, over: AtomicUsize::new(0), metrics }))
    }

    /// Waits for room. More than the whole budget is taken for the whole budget, so that what is larger than it
    /// is held alone instead of never.
    pub(crate) async fn reserve(&self, bytes: usize) -> Permit {
        // What one semaphore gives at once ends at 4 GiB; a read ends at 10 MiB.
        let bytes = u32::try_from(bytes.min(self.0.most)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let taken = self.0.free.clone().acquire_many_owned(bytes).await.ok();
        let permit = Permit { budget: self.clone(), taken, over: 0 };
        self.tell();
        permit
    }

    /// Bytes that are held or reserved. More than [`Budget::most`] only where an answer was larger than its
    /// reservation.
    pub(crate) fn in_flight(&self) -> usize {
        let taken = self.0.most.saturating_sub(self.0.free.available_permits());
        taken + self.0.over.load(Relaxed)
    }

    /// The most that is given out.
    pub(crate) fn most(&self) -> usize {
        self.0.most
    }

    fn tell(&self) {
        self.0.metrics.bytes_in_flight(self.in_flight(), self.most());
    }
}

impl Permit {
    /// Bytes that it stands for.
    pub(crate) fn bytes(&self) -> usize {
        self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) + self.over
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        drop(self.split(excess));
    }

    /// Takes `bytes` out into a permit of their own; all of them when it has no more.
    pub(crate) fn split(&mut self, bytes: usize) -> Permit {
        // What is above the budget goes last: the room it will leave is nobody's.
        let held = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let of_taken = bytes.min(held);
        let over = (bytes - of_taken).min(self.over);
        self.over -= over;
        let taken = self.taken.as_mut().and_then(|taken| taken.split(of_taken));
        Permit { budget: self.budget.clone(), taken, over }
    }

    /// Stands for `bytes` from now on, whatever was reserved. Never waits: bytes that are there already are held
    /// whether there is room or not, and are counted.
    pub(crate) fn cover(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.bytes());
        if missing == 0 {
            return self.shrink(bytes);
        }
        let free = u32::try_from(missing).ok();
        let more =
            free.and_then(|free| self.budget.0.free.clone().try_acquire_many_owned(free).ok());
        match (more, &mut self.taken) {
            (Some(more), Some(taken)) => taken.merge(more),
            (Some(more), taken) => *taken = Some(more),
            (None, _) => {
                self.over += missing;
                self.budget.0.over.fetch_add(missing, Relaxed);
            }
        }
        self.budget.tell();
    }
}

impl Hold for Permit {
    fn split(&mut self, bytes: usize) -> Self {
        Self::split(self, bytes)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes() == 0 {
            return;
        }
        self.taken = None;
        self.budget.0.over.fetch_sub(self.over, Relaxed);
        self.budget.tell();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} bytes)", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::NoMetrics;

    fn budget(most: usize) -> Budget {
        Budget::new(most, Arc::new(NoMetrics))
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_is_held_alone() {
        let budget = budget(100);
        let small = budget.reserve(1).await;
        assert!(budget.reserve(1_000).now_or_never().is_none(), "not beside another");
        drop(small);
        let large = budget.reserve(1_000).await;
        assert_eq!((large.bytes(), budget.in_flight()), (100, 100));
        assert!(budget.reserve(1).now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_asked_first_is_served_first() {
        let budget = budget(100);
        let held = budget.reserve(60).await;
        let mut large = Box::pin(budget.reserve(80));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(budget.reserve(1).now_or_never().is_none(), "a small one does not overtake");
        drop(held);
        assert_eq!(large.await.bytes(), 80);
    }

    #[tokio::test]
    async fn an_answer_larger_than_its_room_is_counted_and_given_back() {
        let budget = budget(100);
        let mut permit = budget.reserve(40).await;
        permit.cover(70);
        assert_eq!(budget.in_flight(), 70, "there was room");
        permit.cover(150);
        assert_eq!((permit.bytes(), budget.in_flight()), (150, 150));
        assert!(budget.reserve(31).now_or_never().is_none());
        let rest = permit.split(100);
        drop(permit);
        assert_eq!(budget.in_flight(), 100);
        drop(rest);
        assert_eq!(budget.in_flight(), 0);
        assert_eq!(budget.reserve(100).await.bytes(), 100);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_won(room in 0_usize..200, real in 0_usize..300, parts: Vec<u8>) {
            let budget = budget(100);
            let mut permit = budget.reserve(room).now_or_never().unwrap();
            permit.cover(real);
            prop_assert_eq!(permit.bytes(), real);
            let mut split: Vec<_> =
                parts.iter().map(|part| permit.split(usize::from(*part))).collect();
            split.push(permit);
            prop_assert_eq!(split.iter().map(Permit::bytes).sum::<usize>(), real);
            while let Some(part) = split.pop() {
                let before = budget.in_flight();
                let bytes = part.bytes();
                drop(part);
                prop_assert_eq!(budget.in_flight(), before - bytes);
            }
            prop_assert_eq!(budget.in_flight(), 0);
        }
    }
}
