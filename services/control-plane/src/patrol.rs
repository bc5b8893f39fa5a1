//! Looks after all rivers, commands or not: on a timer, when a shard of the control stream was got, and soon again at
//! those that could not be brought to what is wanted.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::Error;
use crate::held::Held;
use crate::nudge::open_shards;
use crate::reconcile::Reconciler;

/// The one that looks after all rivers, if this process is it.
#[derive(Debug)]
pub(crate) struct Patrol {
    pub(crate) reconciler: Reconciler,
    pub(crate) held: Held,
    pub(crate) kinesis: Client,
    /// The control stream.
    pub(crate) control: String,
    pub(crate) every: Duration,
}

impl Patrol {
    /// Runs until `stop`. What it is at then is dropped: every step can be done twice.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.go_round() => {}
        }
    }

    async fn go_round(&self) {
        let mut timer = interval(self.every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = timer.tick() => self.pass().await,
                () = self.held.more() => self.pass().await,
                river = self.reconciler.agenda.next() => self.reconciler.retry(&river).await,
            }
        }
    }

    /// A look at every river, if that is this process's to do.
    async fn pass(&self) {
        let leads = self.leads().await;
        self.reconciler.metrics.leads(matches!(leads, Ok(true)));
        let passed = match leads {
            Ok(true) => self.reconciler.pass().await,
            Ok(false) => return,
            Err(error) => Err(error),
        };
        match passed {
            Ok(rivers) => info!(rivers, "looked at every river"),
            Err(error) => {
                let (error, again) = (error.explain(), self.every.as_secs());
                warn!(error, "could not look at every river: it is tried again in {again} s");
            }
        }
    }

    /// Whether this process reads the first shard of the control stream.
    async fn leads(&self) -> Result<bool, Error> {
        let shards = open_shards(&self.kinesis, &self.control).await?;
        Ok(shards.first().is_some_and(|first| self.held.holds(&first.id)))
    }
}
