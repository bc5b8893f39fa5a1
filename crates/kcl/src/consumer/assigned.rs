//! Leases that the leader of a fleet of KCL 3.x assigns.

use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;
use tracing::warn;

use crate::consumer::Consumer;
use crate::consumer::coordinator::Coordinator;
use crate::consumer::seen::LOOK_LEAST;
use crate::error::Error;
use crate::lease::Lease;
use crate::metrics::{Got, Look};
use crate::participant::Participant;
use crate::participant::coordinator::Regime;
use crate::participant::metric_stats::REPORT_INTERVAL;
use crate::processor::Processor;
use crate::settings::Mode;

/// This worker's part in such a fleet.
pub(super) struct Assignments {
    participant: Participant,
    reported_at: Option<Instant>,
}

impl Assignments {
    /// In the mode that has a leader.
    pub(super) fn of<P>(consumer: &Consumer<P>) -> Option<Self> {
        let settings = &consumer.settings;
        let (table, worker) = (&settings.lease_table, &settings.worker);
        (settings.mode == Mode::Participant3x).then(|| Self {
            participant: Participant::new(consumer.dynamodb.clone(), table, worker),
            reported_at: None,
        })
    }

    /// Tells the leader that this worker goes.
    pub(super) async fn withdraw(&self) {
        if let Err(error) = self.participant.withdraw().await {
            let error = &error as &dyn std::error::Error;
            warn!(error, "the leader does not know yet that this worker is gone");
        }
    }
}

impl<P: Processor> Coordinator<P> {
    /// Who decides about leases just now. Asked before each round of writes: when the fleet changes its
    /// agreement, nothing is taken any more by the old one.
    pub(super) async fn regime(&mut self) -> Result<Regime, Error> {
        let Some(assignments) = &mut self.assignments else { return Ok(Regime::Taker) };
        let regime = assignments.participant.look().await?;
        if assignments.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            let carried = self.resources.carried.swap(0, Relaxed);
            let since = assignments.reported_at.map_or(REPORT_INTERVAL, |at| at.elapsed());
            let carried = f64::from(u32::try_from(carried / 1024).unwrap_or(u32::MAX));
            let now = (self.consumer.now)();
            assignments.participant.report(now, carried / since.as_secs_f64()).await?;
            assignments.reported_at = Some(Instant::now());
        }
        Ok(regime)
    }

    /// Takes up what names this worker as its owner and is not processed by another one any more.
    pub(super) async fn look_for_assigned(&mut self) -> Result<(), Error> {
        self.next_look = Instant::now() + LOOK_LEAST.min(self.keeping.failover / 3);
        let held = self.reading.keys();
        let fresh = self.assigned().await?.into_iter().filter(|key| !held.contains(key));
        for key in fresh {
            let Some(lease) = self.table.get(&key).await? else { continue };
            let is_mine = lease.holder() == Some(&*self.keeping.worker);
            if is_mine && lease.checkpoint_owner.is_none() && !lease.is_finished() {
                self.take(&lease, Got::HandedOver, None).await?;
            }
        }
        // What others hold is the leader's business.
        self.tell(Look::default());
        Ok(())
    }

    async fn assigned(&self) -> Result<Vec<String>, Error> {
        let Some(assignments) = &self.assignments else { return Ok(Vec::new()) };
        if let Some(keys) = assignments.participant.assigned().await? {
            return Ok(keys);
        }
        let leases = self.table.scan().await?.into_iter();
        let is_mine = |lease: &Lease| lease.owner.as_deref() == Some(&*self.keeping.worker);
        Ok(leases.filter(is_mine).map(|lease| lease.key).collect())
    }
}
