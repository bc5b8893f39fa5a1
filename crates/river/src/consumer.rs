//! Receives messages, and starts a delivery for each.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use event::Packet;
use event::packet::ARM_ATTRIBUTE;
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info, warn};

use crate::config::Config;
use crate::dead_letters::DeadLetters;
use crate::delete;
use crate::delivery::Courier;
use crate::gather::BATCH_MAX;
use crate::handler::Handler;
use crate::held::Held;
use crate::hook::Hooked;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::report::{Moment, Ping, Reporter};
use crate::settle;
use crate::visibility::Keeper;
use crate::{Context, Experiments};

/// The longest poll of SQS
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const POLL_S: i32 = 20;
/// After a stop, the time for an answer that is on its way. What SQS hands out later, to a connection that is
/// closed by then, comes again after its visibility timeout.
const LAST_POLL: Duration = Duration::from_secs(1);
/// Longest pause while SQS does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(20);

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

/// The queue, as it is polled.
struct Source {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    visibility: Duration,
    held: Held,
    /// Places for messages: one more receive than can be handled, so that there is always something to do.
    room: Arc<Semaphore>,
}

impl<H: Handler> Consumer<H> {
    /// Consumes until told to stop and everything received is settled or released.
    pub(crate) async fn run(self, hooked: Hooked, stop: CancellationToken) -> anyhow::Result<()> {
        let working = stop.child_token();
        let background = self.start_background(&working);
        let concurrency = usize::from(self.config.concurrency);
        let source = Source {
            sqs: self.context.kit.sqs(),
            queue_url: hooked.queue_url,
            visibility: self.config.visibility,
            held: Held::default(),
            room: Arc::new(Semaphore::new(concurrency + BATCH_MAX)),
        };
        let (returns, keeper) = source.keeper(self.metrics.clone()).start();
        let (deletes, deleter) = delete::start(source.sqs.clone(), source.queue_url.clone());
        let (kit, river) = (&self.context.kit, self.context.river.clone());
        let reporter = self.reporter;
        let courier = Arc::new(Courier {
            handler: self.handler,
            listens_to: self.listens_to,
            rapids: self.context.rapids.clone(),
            dead_letters: DeadLetters::new(kit.sqs(), kit.service(), river.clone()),
            slots: Semaphore::new(concurrency),
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
        let deliveries = TaskTracker::new();
        reporter.moment(Moment::Ready);
        source.receive(&courier, &deliveries, &working).await;
        reporter.moment(Moment::Stopping);
        deliveries.close();
        deliveries.wait().await;
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

impl Source {
    fn keeper(&self, metrics: Metrics) -> Keeper {
        Keeper {
            sqs: self.sqs.clone(),
            queue_url: self.queue_url.clone(),
            held: self.held.clone(),
            visibility: self.visibility,
            metrics,
        }
    }

    async fn receive<H: Handler>(
        &self,
        courier: &Arc<Courier<H>>,
        deliveries: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let mut failures = 0;
        while let Some(mut room) = self.room(stop).await {
            match self.poll(stop).await {
                Ok(messages) => {
                    failures = 0;
                    for (message, receipt) in messages {
                        let hold = self.held.hold(receipt, Instant::now() + self.visibility);
                        // SQS gives no more than was asked for, and room was taken for that.
                        let Some(place) = room.split(1) else { break };
                        let courier = Arc::clone(courier);
                        let delivery = courier.deliver(message, hold, place, stop.clone());
                        deliveries.spawn(delivery.in_current_span());
                    }
                }
                Err(error) => {
                    failures += 1;
                    let pause = settle::backoff(failures, PAUSE_MAX, fastrand::f64());
                    warn!(error, failures, "could not receive");
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
    }

    /// Room for a full receive: taken before the messages are. None when told to stop.
    async fn room(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        let places = u32::try_from(BATCH_MAX).ok()?;
        let room = Arc::clone(&self.room).acquire_many_owned(places);
        stop.run_until_cancelled(room).await?.ok()
    }

    /// One long poll, cut short by a stop, but not so that an answer is dropped that SQS has given.
    async fn poll(&self, stop: &CancellationToken) -> Result<Vec<(Message, String)>, String> {
        let mut answer = pin!(self.ask());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            answer = &mut answer => return answer,
        }
        timeout(LAST_POLL, answer).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn ask(&self) -> Result<Vec<(Message, String)>, String> {
        let visibility = i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX);
        let receive = self.sqs.receive_message().queue_url(&self.queue_url);
        let receive = receive
            .max_number_of_messages(i32::try_from(BATCH_MAX).unwrap_or(i32::MAX))
            .wait_time_seconds(POLL_S)
            .visibility_timeout(visibility)
            .message_attribute_names(ARM_ATTRIBUTE)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let reply = receive.send().await.map_err(|error| chassis::explain(&error))?;
        let messages = reply.messages.unwrap_or_default();
        Ok(messages.into_iter().filter_map(Message::from_sqs).collect())
    }
}
