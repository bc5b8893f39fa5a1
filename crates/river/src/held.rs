//! The messages that this process holds: received, not settled, kept hidden from everybody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All that is held. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    taken: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    receipt: String,
    expires: Instant,
    lost: CancellationToken,
}

/// Keeps one message hidden until dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    id: u64,
    pub(crate) receipt: String,
    lost: CancellationToken,
    held: Held,
}

impl Held {
    /// Holds a message that is hidden until `expires` without further ado.
    pub(crate) fn hold(&self, receipt: String, expires: Instant) -> Hold {
        let lost = CancellationToken::new();
        let mut state = self.lock();
        let id = state.taken;
        state.taken += 1;
        let entry = Entry { receipt: receipt.clone(), expires, lost: lost.clone() };
        state.entries.insert(id, entry);
        Hold { id, receipt, lost, held: self.clone() }
    }

    /// Messages whose time runs out within `soon`: their number here, and their receipt handle.
    pub(crate) fn expiring(&self, now: Instant, soon: Duration) -> Vec<(u64, String)> {
        let state = self.lock();
        let expiring = state.entries.iter().filter(|(_, entry)| entry.expires <= now + soon);
        expiring.map(|(id, entry)| (*id, entry.receipt.clone())).collect()
    }

    /// A message is hidden until `expires` now.
    pub(crate) fn extended(&self, id: u64, expires: Instant) {
        if let Some(entry) = self.lock().entries.get_mut(&id) {
            entry.expires = expires;
        }
    }

    /// SQS says that a message is not ours any more. False if it was settled meanwhile, and nothing is lost.
    pub(crate) fn lose(&self, id: u64) -> bool {
        let entry = self.lock().entries.remove(&id);
        entry.as_ref().inspect(|entry| entry.lost.cancel()).is_some()
    }

    /// Gives up what has expired, and says how many that were.
    pub(crate) fn lose_expired(&self, now: Instant) -> usize {
        let expired = self.expiring(now, Duration::ZERO);
        expired.into_iter().filter(|(id, _)| self.lose(*id)).count()
    }

    /// Number of messages held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Waits until the message is lost to another; for ever, if it is not.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_runs_out_soon_is_named() {
        let (held, now, second) = (Held::default(), Instant::now(), Duration::from_secs(1));
        let _late = held.hold("late".into(), now + 30 * second);
        let soon = held.hold("soon".into(), now + 10 * second);
        assert_eq!(held.expiring(now, 20 * second), [(soon.id, "soon".to_owned())]);
        held.extended(soon.id, now + 30 * second);
        assert!(held.expiring(now, 20 * second).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_expires_is_lost_and_its_holder_told() {
        let (held, now) = (Held::default(), Instant::now());
        let hold = held.hold("r".into(), now);
        assert_eq!(held.lose_expired(now), 1);
        hold.lost().await;
        assert_eq!(held.lose_expired(now), 0);
    }

    #[tokio::test]
    async fn what_is_settled_is_neither_held_nor_lost() {
        let held = Held::default();
        let hold = held.hold("r".into(), Instant::now());
        let id = hold.id;
        drop(hold);
        assert_eq!(held.len(), 0);
        assert!(!held.lose(id));
    }
}
