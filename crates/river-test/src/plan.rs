//! What a service goes through.

use std::fmt;
use std::sync::Arc;

use event::Event;

/// Events, in which orders they come, and what else happens.
#[derive(Clone)]
pub struct Plan<C> {
    pub(crate) events: Vec<Event>,
    pub(crate) config: Arc<dyn Fn() -> C + Send + Sync>,
    pub(crate) replicas: usize,
    pub(crate) at_once: bool,
    pub(crate) crashes: bool,
    pub(crate) same_answers: bool,
    orders: Orders,
    twice: bool,
}

#[derive(Clone, Copy, Debug)]
enum Orders {
    Given,
    Every,
    /// With copies, up to so many.
    EveryUpTo(usize),
}

/// Runs beyond this many are a plan that nobody waits for.
const RUNS_MAX: usize = 100_000;

impl<C: Default + 'static> Plan<C> {
    /// These events, one after the other, each handled before the next one comes.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        Self {
            events: events.into_iter().collect(),
            config: Arc::new(C::default),
            replicas: 1,
            at_once: false,
            crashes: false,
            same_answers: true,
            orders: Orders::Given,
            twice: false,
        }
    }

    /// The service has these settings.
    #[must_use]
    pub fn configured(self, config: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self { config: Arc::new(config), ..self }
    }

    /// In every order: n! runs.
    #[must_use]
    pub fn every_order(self) -> Self {
        Self { orders: Orders::Every, ..self }
    }

    /// In every order with copies anywhere, each event at least once, `messages` at most.
    #[must_use]
    pub fn every_order_with_copies(self, messages: usize) -> Self {
        Self { orders: Orders::EveryUpTo(messages), ..self }
    }

    /// When all have come, all come again.
    #[must_use]
    pub fn each_twice(self) -> Self {
        Self { twice: true, ..self }
    }

    /// They do not wait for each other.
    #[must_use]
    pub fn all_at_once(self) -> Self {
        Self { at_once: true, ..self }
    }

    /// So many processes share the river.
    #[must_use]
    pub fn replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// Besides, the process dies at each of its calls to AWS, before AWS has done what it is told and after: two runs for
    /// each call, in each of the orders. Another process goes on.
    #[must_use]
    pub fn crash_at_every_call(self) -> Self {
        Self { crashes: true, ..self }
    }

    /// What is answered may depend on the order and on when a process dies. Without this, every run has to have the same
    /// answers, by their ids.
    #[must_use]
    pub fn answers_may_differ(self) -> Self {
        Self { same_answers: false, ..self }
    }

    /// Indices of events, a list for each order.
    ///
    /// # Panics
    /// When there are too many.
    pub(crate) fn orders(&self) -> Vec<Vec<usize>> {
        let given: Vec<usize> = (0..self.events.len()).collect();
        let mut orders = match self.orders {
            Orders::Given => vec![given],
            Orders::Every => sequences(given.len(), given.len()),
            Orders::EveryUpTo(messages) => sequences(given.len(), messages),
        };
        assert!(orders.len() <= RUNS_MAX, "{} orders are too many to go through", orders.len());
        if self.twice {
            orders.iter_mut().for_each(|order| order.extend_from_within(..));
        }
        orders
    }
}

impl<C> fmt::Debug for Plan<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, replicas, at_once, crashes, orders, twice, .. } = self;
        f.debug_struct("Plan")
            .field("events", &events.len())
            .field("orders", orders)
            .field("twice", twice)
            .field("replicas", replicas)
            .field("at_once", at_once)
            .field("crashes", crashes)
            .finish_non_exhaustive()
    }
}

/// Every sequence of 0..kinds that has each of them, of at most this length, the short ones first.
fn sequences(kinds: usize, longest: usize) -> Vec<Vec<usize>> {
    let (mut found, mut growing) = (Vec::new(), vec![Vec::new()]);
    for left in (0..longest).rev() {
        let grown = growing.iter().flat_map(|order: &Vec<usize>| {
            (0..kinds).map(|kind| order.iter().copied().chain([kind]).collect::<Vec<_>>())
        });
        let missing = |order: &Vec<usize>| (0..kinds).filter(|kind| !order.contains(kind)).count();
        growing = grown.filter(|order| missing(order) <= left).collect();
        found.extend(growing.iter().filter(|order| missing(order) == 0).cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_every_permutation() {
        let orders = sequences(3, 3);
        assert_eq!(orders.len(), 6);
        assert!(orders.iter().all(|order| order.len() == 3));
        assert!(orders.contains(&vec![2, 0, 1]));
    }

    #[test]
    fn with_copies_every_sequence_comes_that_has_all() {
        // Surjections from 3, 4 and 5 onto 3: 6 + 36 + 150.
        assert_eq!(sequences(3, 5).len(), 192);
        assert_eq!(sequences(1, 3), [vec![0], vec![0, 0], vec![0, 0, 0]]);
    }

    #[test]
    fn what_comes_twice_comes_again_after_all() {
        let event = |id: &str| Event {
            event_id: id.into(),
            ..Event::root("X", "test", Default::default(), jiff::Timestamp::UNIX_EPOCH)
        };
        let plan = Plan::<()>::of([event("a"), event("b")]).each_twice();
        assert_eq!(plan.orders(), [[0, 1, 0, 1]]);
    }
}
