//! Bounds the memory of what was received: a receive takes its bytes before it asks.
//!
//! Places alone bound nothing: a message may have 1 MiB
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>; 256 KiB until
//! August 2025), a receive ten of them, and a thousand handlers a gigabyte. Counted are the bodies, from receipt to
//! settlement; the answer that they are read from, and the events made of them, come to a few times that for the few
//! that are being read or handled.

use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gather::BATCH_MAX;

/// Largest message of SQS, in bytes.
const MESSAGE_MAX: usize = 1 << 20;
/// What one receive may bring, in bytes: the least budget with which anything can be received.
pub(crate) const RECEIVE_MAX: usize = BATCH_MAX * MESSAGE_MAX;

/// The bytes that a process may hold, one permit each.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    held: IntGauge,
}

/// The bytes of a receive that is under way. What is not taken is given back by dropping it.
#[derive(Debug)]
pub(crate) struct Reserve {
    bytes: OwnedSemaphorePermit,
    held: IntGauge,
}

/// The bytes of one message, given back by dropping it.
#[derive(Debug)]
pub(crate) struct Share {
    bytes: OwnedSemaphorePermit,
    held: IntGauge,
}

impl Budget {
    /// A budget of `bytes_max`, but at least one receive. `held` shows the bytes of messages.
    pub(crate) fn new(bytes_max: usize, held: IntGauge) -> Self {
        let bytes = bytes_max.clamp(RECEIVE_MAX, Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes)), held }
    }

    /// Waits until there is room for whatever a receive may bring.
    pub(crate) async fn reserve(&self) -> Option<Reserve> {
        let bytes = u32::try_from(RECEIVE_MAX).ok()?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()?;
        Some(Reserve { bytes, held: self.held.clone() })
    }
}

impl Reserve {
    /// The part of a message of `bytes`; all that is left where SQS has given more than it promises.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Share> {
        let bytes = self.bytes.split(bytes.min(self.bytes.num_permits()))?;
        let held = self.held.clone();
        held.add(count(&bytes));
        Some(Share { bytes, held })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.sub(count(&self.bytes));
    }
}

fn count(bytes: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(bytes.num_permits()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    fn budget(bytes_max: usize) -> Budget {
        Budget::new(bytes_max, IntGauge::new("held", "held").unwrap())
    }

    fn now(budget: &Budget) -> Option<Reserve> {
        budget.reserve().now_or_never().flatten()
    }

    #[test]
    fn a_receive_waits_until_all_that_it_may_bring_has_room() {
        let budget = budget(RECEIVE_MAX + 5);
        let mut reserve = now(&budget).unwrap();
        assert!(now(&budget).is_none(), "two receives share the bytes of one");
        let share = reserve.take(6).unwrap();
        drop(reserve);
        assert_eq!(budget.held.get(), 6);
        assert!(now(&budget).is_none());
        drop(share);
        assert_eq!(budget.held.get(), 0);
        assert!(now(&budget).is_some());
    }

    #[test]
    fn a_budget_below_one_receive_is_one_receive() {
        assert!(now(&budget(1)).is_some());
    }

    proptest! {
        #[test]
        fn bytes_in_the_process_never_exceed_the_budget_and_all_come_back(
            receives in 1usize..8,
            steps in prop::collection::vec((0usize..=MESSAGE_MAX + 9, any::<bool>()), 0..200),
        ) {
            let bytes_max = receives * RECEIVE_MAX;
            let budget = budget(bytes_max);
            let (mut shares, mut reserve) = (Vec::new(), None);
            for (bytes, settle) in steps {
                if settle {
                    shares.pop();
                    reserve = None;
                    continue;
                }
                reserve = reserve.or_else(|| now(&budget));
                shares.extend(reserve.as_mut().and_then(|reserve| reserve.take(bytes)));
                let held: usize = shares.iter().map(|share| share.bytes.num_permits()).sum();
                prop_assert!(held <= bytes_max);
                prop_assert_eq!(budget.held.get(), i64::try_from(held).unwrap());
            }
            drop((shares, reserve));
            prop_assert_eq!(budget.bytes.available_permits(), bytes_max);
        }
    }
}
