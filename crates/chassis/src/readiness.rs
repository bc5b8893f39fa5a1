//! Whether the process can take work, and if not, what it is waiting for.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// Ready when every latch is released and nobody has said that the process stops. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    taken: u64,
    held: BTreeMap<u64, String>,
    stopping: bool,
}

/// Keeps a process from being ready until it is released or dropped.
#[derive(Debug)]
#[must_use = "a latch that is dropped at once holds nothing back"]
pub struct Latch {
    readiness: Readiness,
    id: u64,
}

impl Readiness {
    /// Nothing waits: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds readiness back until the latch is dropped. `name` says to people what is missing, for example
    /// `first shard`.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let mut id = 0;
        self.0.send_modify(|state| {
            id = state.taken;
            state.taken += 1;
            state.held.insert(id, name.into());
        });
        Latch { readiness: self.clone(), id }
    }

    /// What is missing, oldest first; nothing when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let state = self.0.borrow();
        let stopping = state.stopping.then(|| "stopping".to_owned());
        stopping.into_iter().chain(state.held.values().cloned()).collect()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    /// Waits until ready: true. False when the process stops first, for then it never will be.
    pub async fn ready(&self) -> bool {
        let mut state = self.0.subscribe();
        let settled = state.wait_for(|state| state.stopping || state.is_ready()).await;
        settled.is_ok_and(|state| state.is_ready())
    }

    /// Not ready from here on, whatever is released.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|state| state.stopping = true);
    }
}

impl State {
    fn is_ready(&self) -> bool {
        !self.stopping && self.held.is_empty()
    }
}

impl Latch {
    /// Says that what the latch was taken for is there. The same as dropping it.
    pub fn release(self) {}
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.readiness.0.send_modify(|state| {
            state.held.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_the_last_latch_is_gone() {
        let readiness = Readiness::new();
        let (first, second) = (readiness.latch("first shard"), readiness.latch("tables"));
        assert_eq!(readiness.missing(), ["first shard", "tables"]);
        first.release();
        assert_eq!(readiness.missing(), ["tables"]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        drop(second);
        assert!(waiting.await.unwrap());
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn two_latches_of_one_name_are_two() {
        let readiness = Readiness::new();
        let (one, two) = (readiness.latch("shard"), readiness.latch("shard"));
        drop(one);
        assert_eq!(readiness.missing(), ["shard"]);
        drop(two);
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn who_waits_learns_that_a_stopping_process_never_gets_ready() {
        let readiness = Readiness::new();
        let latch = readiness.latch("tables");
        readiness.stop();
        assert!(!readiness.ready().await);
        drop(latch);
        assert_eq!(readiness.missing(), ["stopping"]);
        assert!(!readiness.is_ready());
    }
}
