//! The quick timer: closes windows in time, as long as this process lives. Whatever it forgets, the durable timer
//! does later.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use pond::WindowId;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Windows that wait to be taken notice of. Beyond it, the durable timer is quick enough for a busy process.
const NEW_MAX: usize = 1_000;
/// Windows that wait for their time.
const WAITING_MAX: usize = 100_000;
/// Windows being closed at once.
const CLOSING_MAX: usize = 16;

/// Windows and their times.
#[derive(Debug)]
pub(crate) struct Timer {
    new: Sender<(Instant, WindowId)>,
    /// For the one who runs the timer.
    receiver: Mutex<Option<Receiver<(Instant, WindowId)>>>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        let (new, receiver) = mpsc::channel(NEW_MAX);
        Self { new, receiver: Mutex::new(Some(receiver)) }
    }

    /// Sets the timer of a window. It may be forgotten.
    pub(crate) fn set(&self, at: Instant, window: WindowId) {
        self.new.try_send((at, window)).ok();
    }

    /// Calls `close` for each window when its time has come, until `stop`; what has begun is finished.
    pub(crate) async fn run<F: Future<Output = ()>>(
        &self,
        stop: CancellationToken,
        close: impl Fn(WindowId) -> F,
    ) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut new) = receiver else { return };
        let mut waiting = BTreeMap::<(Instant, WindowId), ()>::new();
        let mut closing = FuturesUnordered::new();
        loop {
            let next = waiting.keys().next().map(|(at, _)| *at);
            let next = next.filter(|_| closing.len() < CLOSING_MAX);
            // Without a next one, this branch never comes.
            let due = next.map_or_else(
                || std::future::pending().left_future(),
                |at| sleep_until(at).right_future(),
            );
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(()) = closing.next() => {}
                () = due => {
                    if let Some(((_, window), ())) = waiting.pop_first() {
                        closing.push(close(window));
                    }
                }
                Some(entry) = new.recv(), if waiting.len() < WAITING_MAX => {
                    waiting.insert(entry, ());
                }
            }
        }
        while closing.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    fn window(name: &str) -> WindowId {
        WindowId { correlation: "c".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn windows_are_closed_in_the_order_of_their_times() {
        let (timer, stop, start) = (Timer::new(), CancellationToken::new(), Instant::now());
        for (name, at_ms) in [("late", 300), ("soon", 100), ("past", 0)] {
            timer.set(start + Duration::from_millis(at_ms), window(name));
        }
        let closed = RefCell::new(Vec::new());
        let run = timer.run(stop.clone(), async |id| {
            closed.borrow_mut().push((id.name, start.elapsed().as_millis()));
            if closed.borrow().len() == 3 {
                stop.cancel();
            }
        });
        run.await;
        let closed = closed.into_inner();
        let names: Vec<_> = closed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["past", "soon", "late"]);
        assert!(closed[1].1 >= 100 && closed[2].1 >= 300, "{closed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_what_has_begun_finish_and_begins_nothing() {
        let (timer, stop) = (Timer::new(), CancellationToken::new());
        timer.set(Instant::now(), window("begun"));
        timer.set(Instant::now() + Duration::from_secs(60), window("not begun"));
        let finished = RefCell::new(Vec::new());
        let run = timer.run(stop.clone(), async |id| {
            stop.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            finished.borrow_mut().push(id.name);
        });
        run.await;
        assert_eq!(finished.into_inner(), ["begun"]);
    }

    #[tokio::test]
    async fn a_full_timer_forgets_rather_than_waits() {
        let timer = Timer::new();
        for _ in 0..=NEW_MAX {
            timer.set(Instant::now(), window("x"));
        }
    }
}
