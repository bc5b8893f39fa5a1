//! What is done to an archive from time to time: compaction, and deletion of what is of no use.
//!
//! Each process of the archive does it, and it is enough that one succeeds.

use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use jiff::SignedDuration;
use object_store::ObjectStore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Error;
use crate::compact::{self, Compactor};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::rows::Rows;
use crate::state::State;
use crate::vacuum::vacuum;
use crate::writer::now;

/// Time between two looks for files to delete: each lists the whole archive.
const VACUUM_EVERY: Duration = Duration::from_secs(3_600);

/// The one that keeps it in order.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) every: Duration,
    pub(crate) grace: SignedDuration,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Upkeep {
    /// Works until told to stop. A merge that is cut off has done nothing.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.forever() => {}
        }
    }

    async fn forever(&self) {
        let log = Log::new(Arc::clone(&self.store));
        let mut state = State::default();
        let mut vacuumed = Instant::now();
        loop {
            // Several processes are not to do the same merge at the same moment.
            sleep(self.every.mul_f64(0.5 + fastrand::f64())).await;
            if let Err(error) = self.compact(&log, &mut state).await {
                self.failed(&error, "compact");
            }
            if vacuumed.elapsed() >= VACUUM_EVERY {
                vacuumed = Instant::now();
                let deleted = vacuum(&self.store, &log, &mut state, now(&self.clock), self.grace);
                match deleted.await {
                    Ok(0) => {}
                    Ok(files) => {
                        self.metrics.vacuumed(files);
                        info!(files, "deleted files of no use");
                    }
                    Err(error) => self.failed(&error, "vacuum"),
                }
            }
        }
    }

    fn failed(&self, error: &Error, what: &'static str) {
        self.metrics.upkeep_failed();
        warn!(
            what,
            error = chassis::explain(error),
            "upkeep of the archive failed, and is done again"
        );
    }

    /// One pass; a merge may make the next one possible, which is then the next pass's.
    async fn compact(&self, log: &Log, state: &mut State) -> Result<(), Error> {
        if state.next == 0 {
            *state = log.open().await?;
        }
        log.refresh(state).await?;
        let compactor = Compactor { log: log.clone(), rows: Rows::new(Arc::clone(&self.store)) };
        for job in compact::plan(state, now(&self.clock)) {
            let files = job.files.len();
            let made = compactor.merge(state, job, now(&self.clock)).await?;
            self.metrics.compacted(made);
            info!(files, made, "put files together");
        }
        Ok(())
    }
}
