//! Whose turn it is: so many at once as the limiter says, and the groups one after the other.
//!
//! A queue that one customer has filled gives out ten of their messages, then ten more. Handled in that order, the one
//! message of somebody else would wait for all that was received before. So waiting deliveries stand in a lane for
//! each group, and next is the lane with the fewest at work. Messages without a group share a lane.

mod lanes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use tokio::sync::{Notify, oneshot};

use crate::limit::{Limiter, Observation};
use lanes::Lanes;

/// Gives out turns. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Told when a receive may fit that did not before.
    freed: Notify,
    limit: IntGauge,
}

#[derive(Debug)]
struct State {
    limiter: Limiter,
    working: usize,
    seated: usize,
    lanes: Lanes<oneshot::Sender<Turn>>,
}

/// The right to handle one message, given back by dropping it.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    group: Box<str>,
}

/// The place of one message in the process, from receipt to settlement, given back by dropping it.
#[derive(Debug)]
pub(crate) struct Seat(Turns);

impl Turns {
    /// `limit` shows how many may work at once.
    pub(crate) fn new(limiter: Limiter, limit: IntGauge) -> Self {
        limit.set(i64::try_from(limiter.limit()).unwrap_or(i64::MAX));
        let state = State { limiter, working: 0, seated: 0, lanes: Lanes::default() };
        Self(Arc::new(Inner { state: Mutex::new(state), freed: Notify::new(), limit }))
    }

    /// Waits until no more messages are here than can be handled at once: then there is room for one receive, so
    /// that there is always something to do, and no more is kept from other processes. For one caller at a time.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.0.freed.notified();
            if self.state().has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Seats one message of a receive for which there was [`Turns::room`].
    pub(crate) fn seat(&self) -> Seat {
        self.state().seated += 1;
        Seat(self.clone())
    }

    /// Waits for a turn among the messages of `group`. Dropped before, it is as if it had never been asked.
    pub(crate) async fn turn(&self, group: Option<&str>) -> Option<Turn> {
        let (sender, turn) = oneshot::channel();
        self.state().lanes.push(group.unwrap_or_default(), sender);
        self.give();
        turn.await.ok()
    }

    /// Tells how a handler fared. `demand` is decided here.
    pub(crate) fn observe(&self, seen: Observation) {
        let mut state = self.state();
        let demand = state.working >= state.limiter.limit();
        let limit = state.limiter.on(Observation { demand, ..seen });
        drop(state);
        self.0.limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        self.0.freed.notify_one();
        self.give();
    }

    /// Gives out the turns that are free. One whose receiver is gone comes back by its drop, after the lock.
    fn give(&self) {
        loop {
            let next = self.state().next();
            let Some((group, next)) = next else { return };
            drop(next.send(Turn { turns: self.clone(), group }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.seated <= self.limiter.limit()
    }

    /// The next to work, counted as working.
    fn next(&mut self) -> Option<(Box<str>, oneshot::Sender<Turn>)> {
        if self.working >= self.limiter.limit() {
            return None;
        }
        let next = self.lanes.pop()?;
        self.working += 1;
        Some(next)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.working -= 1;
        state.lanes.done(&self.group);
        drop(state);
        self.turns.give();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.state().seated -= 1;
        self.0.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
