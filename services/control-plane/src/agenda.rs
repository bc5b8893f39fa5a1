//! Rivers that are to be looked at again: what kept them from being what is wanted may be over then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event::names::River;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A missing permission is mended by people, a throttled call by a second.
const PAUSE_LEAST: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(60);
/// Doublings from the least to the most.
const DOUBLINGS_MAX: u32 = 6;

/// When each of them is due. As long as there are rivers, no longer.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: Mutex<BTreeMap<River, Entry>>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Instant,
    failures: u32,
}

impl Agenda {
    /// Has the river looked at once more, the later the more often it failed.
    pub(crate) fn failed(&self, river: &River) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = entries.get(river).map_or(0, |entry| entry.failures);
        let ceiling = PAUSE_MOST.min(PAUSE_LEAST * 2_u32.pow(failures.min(DOUBLINGS_MAX)));
        let due = Instant::now() + ceiling.mul_f64(0.5 + fastrand::f64() / 2.0);
        entries.insert(river.clone(), Entry { due, failures: failures + 1 });
        drop(entries);
        self.changed.notify_one();
    }

    /// It is what it should be.
    pub(crate) fn settled(&self, river: &River) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(river);
    }

    /// Waits for the next that is due. Another call of it takes the same one.
    pub(crate) async fn next(&self) -> River {
        loop {
            let changed = self.changed.notified();
            let next = {
                let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
                let next = entries.iter().min_by_key(|(_, entry)| entry.due);
                next.map(|(river, entry)| (river.clone(), entry.due))
            };
            let Some((river, due)) = next else {
                changed.await;
                continue;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return river,
                () = changed => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use event::names::Stage;

    use super::*;

    fn river(name: &str) -> River {
        River::parse(name, &Stage::parse("dev").unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_often_waits_longer_and_lets_others_go_first() {
        let agenda = Agenda::default();
        let began = Instant::now();
        for _ in 0..20 {
            agenda.failed(&river("stubborn"));
        }
        agenda.failed(&river("unlucky"));
        assert_eq!(agenda.next().await, river("unlucky"));
        assert!(began.elapsed() <= PAUSE_LEAST);
        agenda.settled(&river("unlucky"));
        assert_eq!(agenda.next().await, river("stubborn"));
        assert!(began.elapsed() >= PAUSE_MOST / 2 && began.elapsed() <= PAUSE_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_nothing_hears_of_the_first_failure() {
        let agenda = Agenda::default();
        let heard = async { assert_eq!(agenda.next().await, river("r1")) };
        let fails = async { agenda.failed(&river("r1")) };
        tokio::join!(heard, fails);
    }
}
