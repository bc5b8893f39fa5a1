//! Gathers events, commits them, and tells each what became of it.

use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use jiff::Timestamp;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::append::Appender;
use crate::metrics::Metrics;
use crate::partition::Partition;
use crate::row::Row;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// A row of its own.
    Row,
    /// Nothing: it has one.
    Duplicate,
    /// Nothing for now, and why.
    Failed(Arc<str>),
}

/// An event on its way, and whom to tell.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) partition: Partition,
    pub(crate) row: Row,
    pub(crate) done: oneshot::Sender<Became>,
}

/// When to commit what has arrived: whatever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flush {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) every: Duration,
}

/// The one that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) arrivals: Receiver<Arrival>,
    pub(crate) flush: Flush,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Writer {
    /// Writes until told to stop, and what has arrived by then.
    pub(crate) async fn run(mut self, mut appender: Appender, stop: CancellationToken) {
        loop {
            let batch = self.gather(&stop).await;
            if batch.is_empty() {
                return;
            }
            self.commit(&mut appender, batch).await;
        }
    }

    /// The next batch; an empty one when there is none to come.
    async fn gather(&mut self, stop: &CancellationToken) -> Vec<Arrival> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut due = None;
        while batch.len() < self.flush.rows && bytes < self.flush.bytes {
            let is_due = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                () = stop.cancelled(), if !self.arrivals.is_closed() => {
                    // Nobody gets in any more; who is in comes out, then `recv` says that this was all.
                    self.arrivals.close();
                    continue;
                }
                next = self.arrivals.recv() => next,
                () = is_due => break,
            };
            let Some(arrival) = next else { break };
            due.get_or_insert_with(|| Instant::now() + self.flush.every);
            bytes += arrival.row.json.len();
            batch.push(arrival);
        }
        batch
    }

    async fn commit(&self, appender: &mut Appender, batch: Vec<Arrival>) {
        let started = Instant::now();
        let mut waiting = Vec::with_capacity(batch.len());
        let mut rows = Vec::with_capacity(batch.len());
        for Arrival { partition, row, done } in batch {
            rows.push((partition, row));
            waiting.push(done);
        }
        let became = match appender.append(&rows, now(&self.clock)).await {
            Ok(appended) => {
                let live = appender.state().files().count();
                self.metrics.appended(&appended, started.elapsed(), live);
                let (events, files) = (rows.len(), appended.files);
                info!(events, files, conflicts = appended.conflicts, "committed events");
                let became = |new: &bool| if *new { Became::Row } else { Became::Duplicate };
                appended.new.iter().map(became).collect()
            }
            Err(error) => {
                let why = chassis::explain(&error);
                warn!(events = rows.len(), error = why, "could not commit events");
                self.metrics.failed(rows.len());
                vec![Became::Failed(why.into()); rows.len()]
            }
        };
        for (done, became) in waiting.into_iter().zip(became) {
            // Who does not wait any more gets the event again, and is told then.
            done.send(became).ok();
        }
    }
}

/// The wall clock's time.
pub(crate) fn now(clock: &Clock) -> Timestamp {
    Timestamp::try_from(clock.now()).unwrap_or(Timestamp::MAX)
}
