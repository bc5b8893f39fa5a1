//! Receives messages, and starts a delivery for each.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName as Attribute;
use chassis::Clock;
use event::packet::ARM_ATTRIBUTE;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, warn};

use crate::budget::{Budget, Reserve};
use crate::delivery::{Courier, Place};
use crate::gather::BATCH_MAX;
use crate::handler::Handler;
use crate::held::Held;
use crate::message::Message;
use crate::metrics::Metrics;
use crate::settle;
use crate::turns::Turns;

/// The longest poll of SQS
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const POLL_S: i32 = 20;
/// After a stop, the least time for an answer that is on its way: longer than any answer takes.
///
/// The poll that is open when the stop comes is listened to for this long, and for as long as handlers still work
/// anyway; what it brings is released. Then its connection is closed. SQS offers no way to take a receive back, and
/// for a standard queue none to repeat one (`ReceiveRequestAttemptId` is for FIFO queues): what it hands out just
/// when the connection is closed, or before it notices, is visible again after `visibility`, not at once. Waiting the
/// poll out would close that gap and make every stop of an idle service up to 20 s long, the whole of the grace.
const LAST_POLL: Duration = Duration::from_secs(1);
/// Longest pause while SQS does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// The queue, as it is polled.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queue_url: String,
    pub(crate) visibility: Duration,
    pub(crate) held: Held,
    pub(crate) turns: Turns,
    pub(crate) budget: Budget,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Source {
    /// Receives until told to stop, and starts deliveries; returns when they are done.
    pub(crate) async fn run<H: Handler>(
        &self,
        courier: &Arc<Courier<H>>,
        stop: &CancellationToken,
    ) {
        let deliveries = TaskTracker::new();
        let mut failures = 0;
        while let Some(reserve) = self.room(stop).await {
            match self.poll(&deliveries, stop).await {
                Ok(messages) => {
                    failures = 0;
                    self.start(messages, reserve, courier, &deliveries, stop);
                }
                Err(error) => {
                    failures += 1;
                    let pause = settle::backoff(failures, PAUSE_MAX, fastrand::f64());
                    warn!(error, failures, "could not receive");
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
        }
        deliveries.close();
        deliveries.wait().await;
    }

    /// Room for a full receive: places and bytes, taken before the messages are. None when told to stop.
    async fn room(&self, stop: &CancellationToken) -> Option<Reserve> {
        let room = async {
            self.turns.room().await;
            self.budget.reserve().await
        };
        stop.run_until_cancelled(room).await?
    }

    fn start<H: Handler>(
        &self,
        messages: Vec<(Message, String)>,
        mut reserve: Reserve,
        courier: &Arc<Courier<H>>,
        deliveries: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let expires = Instant::now() + self.visibility;
        for (message, receipt) in messages {
            self.metrics.received(&message, self.clock.now_ms());
            // A message for which there is nothing left comes again: SQS gives ten at most, and bytes were taken
            // for ten.
            let Some(share) = reserve.take(message.body.len()) else { break };
            let place = Place { _seat: self.turns.seat(), _share: share };
            let hold = self.held.hold(receipt, expires);
            let delivery = Arc::clone(courier).deliver(message, hold, place, stop.clone());
            deliveries.spawn(delivery.in_current_span());
        }
    }

    /// One long poll, cut short by a stop, but not so that an answer is dropped that SQS has given.
    async fn poll(
        &self,
        deliveries: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Vec<(Message, String)>, String> {
        let mut answer = pin!(self.ask());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            answer = &mut answer => return answer,
        }
        deliveries.close();
        let patience = async { tokio::join!(sleep(LAST_POLL), deliveries.wait()) };
        tokio::select! {
            biased;
            answer = answer => answer,
            _ = patience => Ok(Vec::new()),
        }
    }

    async fn ask(&self) -> Result<Vec<(Message, String)>, String> {
        let visibility = i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX);
        let wanted = [
            Attribute::ApproximateReceiveCount,
            Attribute::SentTimestamp,
            Attribute::MessageGroupId,
        ];
        let receive = self.sqs.receive_message().queue_url(&self.queue_url);
        let receive = receive
            .max_number_of_messages(i32::try_from(BATCH_MAX).unwrap_or(i32::MAX))
            .wait_time_seconds(POLL_S)
            .visibility_timeout(visibility)
            .message_attribute_names(ARM_ATTRIBUTE)
            .set_message_system_attribute_names(Some(wanted.into()));
        let reply = receive.send().await.map_err(|error| chassis::explain(&error))?;
        let messages = reply.messages.unwrap_or_default();
        Ok(messages.into_iter().filter_map(Message::from_sqs).collect())
    }
}
