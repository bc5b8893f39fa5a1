//! The bytes of records that the whole process may hold.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Permits stand for this many bytes each, so that their number fits 32 bits.
const UNIT: usize = 1 << 10;

/// A weighted semaphore, fair: who asked first gets room first.
#[derive(Clone)]
pub(crate) struct Budget {
    room: Arc<Semaphore>,
    most: usize,
    metrics: Arc<dyn Metrics>,
}

/// Room for some bytes, given back when dropped.
pub(crate) struct Permit(Option<OwnedSemaphorePermit>);

impl Budget {
    pub(crate) fn new(most: usize, metrics: Arc<dyn Metrics>) -> Self {
        let units = (most / UNIT).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { room: Arc::new(Semaphore::new(units)), most: units * UNIT, metrics }
    }

    /// Waits for room. What is more than the whole budget waits for all of it, and runs alone.
    pub(crate) async fn reserve(&self, bytes: usize) -> Permit {
        let units = bytes.min(self.most).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = self.room.clone().acquire_many_owned(units).await.ok();
        self.metrics.bytes_in_flight(self.in_flight(), self.most);
        Permit(permit)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.most - self.room.available_permits() * UNIT
    }
}

impl Permit {
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let Some(permit) = &mut self.0 else { return };
        drop(permit.split(permit.num_permits().saturating_sub(bytes.div_ceil(UNIT))));
    }
}

impl crate::delivery::Hold for Permit {
    fn split(&mut self, bytes: usize) -> Self {
        let Some(permit) = &mut self.0 else { return Self(None) };
        let part = permit.split(bytes.div_ceil(UNIT).min(permit.num_permits()));
        Self(part)
    }
}
