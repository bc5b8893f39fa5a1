//! What the parts of one process share: who it is, whether it lives, when it is to crash.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::history::{Death, Recorder, What, Who, millis};

/// One process.
pub(crate) struct Life {
    pub(crate) who: Who,
    pub(crate) recorder: Recorder,
    /// Decides what happens to its requests and in its processor. Apart from the generator of the thread, from
    /// which the SDK and the library draw.
    pub(crate) dice: Mutex<fastrand::Rng>,
    born: Instant,
    dead: AtomicBool,
    died: Notify,
    requests: AtomicU64,
    calls: AtomicU64,
    /// Milliseconds by which its time of day is ahead of the world's.
    ahead_ms: AtomicI64,
    crash: Mutex<Option<Crash>>,
}

/// A crash to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// At the request of this number.
    pub(crate) request: u64,
    pub(crate) moment: Death,
}

impl Life {
    /// A process that starts now. To be made within its runtime.
    pub(crate) fn new(who: Who, recorder: Recorder, seed: u64) -> Self {
        Self {
            who,
            recorder,
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            born: Instant::now(),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            ahead_ms: AtomicI64::new(0),
            crash: Mutex::new(None),
        }
    }

    /// Milliseconds since its start, by its own clock.
    pub(crate) fn local_ms(&self) -> u64 {
        millis(self.born.elapsed())
    }

    pub(crate) fn record(&self, what: What) {
        self.recorder.record(what);
    }

    /// Nothing that it does from now on has an effect.
    pub(crate) fn die(&self, how: Death) {
        if !self.dead.swap(true, Relaxed) {
            self.record(What::Died(self.who, how));
        }
        self.died.notify_one();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// Comes at the moment of a crash.
    pub(crate) async fn death(&self) {
        self.died.notified().await;
    }

    /// Stays away for ever when the process is dead: code that runs on must not notice.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// The number of the next request.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }

    /// The number of the next call of the processor.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Relaxed)
    }

    /// Sets its time of day, which nothing but a place to begin at may depend on.
    pub(crate) fn set_hour(&self, ahead_ms: i64) {
        self.record(What::Hour(self.who, ahead_ms));
        self.ahead_ms.store(ahead_ms, Relaxed);
    }

    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Relaxed)
    }

    /// Has it crash `after` requests from now.
    pub(crate) fn crash_after(&self, after: u64, moment: Death) {
        let request = self.requests.load(Relaxed) + after;
        *lock(&self.crash) = Some(Crash { request, moment });
    }

    /// Has it crash no more.
    pub(crate) fn live_on(&self) {
        *lock(&self.crash) = None;
    }

    /// Whether it crashes at `request`, and at which moment of it.
    pub(crate) fn crash_at(&self, request: u64) -> Option<Death> {
        lock(&self.crash).filter(|crash| crash.request == request).map(|crash| crash.moment)
    }

    pub(crate) fn dice<T>(&self, throw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        throw(&mut lock(&self.dice))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
