//! Puts the parts together that consume a river, and takes them down in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::ensure;
use event::Packet;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info};

use crate::budget::Budget;
use crate::config::Config;
use crate::dead_letters::DeadLetters;
use crate::delete;
use crate::delivery::Courier;
use crate::handler::Handler;
use crate::held::Held;
use crate::hook::Hooked;
use crate::metrics::Metrics;
use crate::report::{Moment, Ping, Reporter};
use crate::source::Source;
use crate::turns::Turns;
use crate::visibility::Keeper;
use crate::{Context, Experiments};

/// Consumes one river.
pub(crate) struct Consumer<H: Handler> {
    pub(crate) context: Context,
    pub(crate) handler: Arc<H>,
    pub(crate) listens_to: Arc<[Packet]>,
    pub(crate) config: Config<H::Config>,
    pub(crate) metrics: Metrics,
    pub(crate) reporter: Reporter,
    pub(crate) experiments: Experiments,
}

impl<H: Handler> Consumer<H> {
    /// Consumes until told to stop and everything received is settled or released.
    pub(crate) async fn run(self, hooked: Hooked, stop: CancellationToken) -> anyhow::Result<()> {
        let working = stop.child_token();
        let background = self.start_background(&working);
        let (kit, river) = (self.context.kit.clone(), self.context.river.clone());
        let turns = Turns::new(self.config.limiter(), self.metrics.limit());
        let source = Source {
            sqs: kit.sqs(),
            queue_url: hooked.queue_url,
            visibility: self.config.visibility,
            held: Held::default(),
            turns: turns.clone(),
            budget: Budget::new(self.config.bytes_in_flight_max, self.metrics.bytes_in_flight()),
            clock: *kit.clock(),
            metrics: self.metrics.clone(),
        };
        let (returns, keeper) = keeper(&source).start();
        let (deletes, deleter) = delete::start(source.sqs.clone(), source.queue_url.clone());
        let reporter = self.reporter;
        let courier = Arc::new(Courier {
            handler: self.handler,
            listens_to: self.listens_to,
            rapids: self.context.rapids.clone(),
            dead_letters: DeadLetters::new(kit.sqs(), self.context.service(), river.clone()),
            turns,
            returns,
            deletes,
            limits: self.config.limits(hooked.receives_max),
            handle_limit: self.config.handle_limit,
            clock: *kit.clock(),
            ping: Ping::of(&self.context),
            river: river.to_string(),
            experiments: self.experiments,
            reporter: reporter.clone(),
            metrics: self.metrics,
        });
        info!(%river, "consuming");
        reporter.moment(Moment::Ready);
        let stopping = async {
            working.cancelled().await;
            reporter.moment(Moment::Stopping);
        };
        tokio::join!(source.run(&courier, &working), stopping);
        // Their senders go with the courier, and so they end when everything sent is done.
        drop(courier);
        let (kept, deleted) = tokio::join!(keeper, deleter);
        kept?;
        deleted?;
        ensure!(background.await?, "the background work of the service panicked");
        Ok(())
    }

    /// True when the work ends well. A panic stops the consumer too: half a service helps nobody.
    fn start_background(&self, working: &CancellationToken) -> tokio::task::JoinHandle<bool> {
        let (handler, working) = (Arc::clone(&self.handler), working.clone());
        let supervised = async move {
            let work = handler.background(working.child_token());
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            if ended.is_err() {
                working.cancel();
            }
            ended.is_ok()
        };
        tokio::spawn(supervised.in_current_span())
    }
}

/// The task that keeps hidden what `source` receives.
fn keeper(source: &Source) -> Keeper {
    Keeper {
        sqs: source.sqs.clone(),
        queue_url: source.queue_url.clone(),
        held: source.held.clone(),
        visibility: source.visibility,
        metrics: source.metrics.clone(),
    }
}
