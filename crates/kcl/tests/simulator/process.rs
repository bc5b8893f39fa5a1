//! A simulated process: a tokio runtime of its own, whose clock runs only when it is stepped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::history::{Death, Recorder, Standstill, What, Who};
use crate::life::Life;

/// A process. Dropping it is `kill -9`.
pub(crate) struct Process {
    pub(crate) life: Arc<Life>,
    runtime: Runtime,
    stop: CancellationToken,
    returned: Arc<AtomicBool>,
    stands: Option<Stand>,
    /// Thousandths of a millisecond that its clock gains in each millisecond.
    drift: i64,
    /// Thousandths of a millisecond that its clock has yet to run.
    owed: i64,
    steps: u64,
    seed: u64,
}

/// A standstill, and how long it goes on.
struct Stand {
    how: Standstill,
    left_ms: u64,
    gone_ms: u64,
}

impl Process {
    /// Starts `main`.
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        who: Who,
        recorder: &Recorder,
        seed: u64,
        drift: i64,
        main: impl FnOnce(Arc<Life>, CancellationToken) -> F,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let life = {
            let _inside = runtime.enter();
            Arc::new(Life::new(who, recorder.clone(), seed))
        };
        recorder.record(What::Born(who));
        let (stop, returned) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let main = main(life.clone(), stop.clone());
        let over = returned.clone();
        runtime.spawn(async move {
            main.await;
            over.store(true, Relaxed);
        });
        let stands = None;
        Self { life, runtime, stop, returned, stands, drift, owed: 0, steps: 0, seed }
    }

    pub(crate) fn who(&self) -> Who {
        self.life.who
    }

    /// SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        if !self.stop.is_cancelled() {
            self.life.record(What::Told(self.who()));
            self.stop.cancel();
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.stop.is_cancelled()
    }

    pub(crate) fn has_returned(&self) -> bool {
        self.returned.load(Relaxed)
    }

    pub(crate) fn stand(&mut self, how: Standstill, ms: u64) {
        if self.stands.is_none() {
            self.life.record(What::Stands(self.who(), how, ms));
            self.stands = Some(Stand { how, left_ms: ms, gone_ms: 0 });
        }
    }

    /// Ends a standstill with the next step.
    pub(crate) fn wake(&mut self) {
        if let Some(stand) = &mut self.stands {
            stand.left_ms = 0;
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        self.life.die(Death::Killed);
    }

    /// Runs for `quantum_ms` of the world's time, that stands at `now_ms`.
    pub(crate) fn step(&mut self, now_ms: u64, quantum_ms: u64) {
        let mut jump_ms = 0;
        if let Some(stand) = &mut self.stands {
            if stand.left_ms > 0 {
                stand.left_ms = stand.left_ms.saturating_sub(quantum_ms);
                stand.gone_ms += quantum_ms;
                return;
            }
            if stand.how == Standstill::Stopped {
                jump_ms = stand.gone_ms;
            }
            self.stands = None;
            self.life.recorder.step(now_ms, None);
            self.life.record(What::Resumes(self.who()));
        }
        self.steps += 1;
        fastrand::seed(self.seed ^ self.steps.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.owed += i64::try_from(quantum_ms).unwrap_or_default() * (1_000 + self.drift);
        let run = u64::try_from(self.owed / 1_000).unwrap_or_default();
        self.owed %= 1_000;
        let (life, jump) = (self.life.clone(), Duration::from_millis(jump_ms));
        self.runtime.block_on(async move {
            let begins = Instant::now() + jump;
            life.recorder.step(now_ms, Some(begins));
            if !jump.is_zero() {
                // All that has fallen due meanwhile finds the same, late hour.
                tokio::time::advance(jump).await;
            }
            tokio::select! {
                biased;
                () = life.death() => {}
                () = tokio::time::sleep_until(begins + Duration::from_millis(run)) => {}
            }
        });
        self.life.recorder.step(now_ms + quantum_ms, None);
    }
}
