//! Keeps held messages hidden, and ends that for those to be retried or released.
//!
//! One task does both, one call after the other: two calls about one message could overtake each other, and a
//! late extension would undo a release.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::change_message_visibility_batch::ChangeMessageVisibilityBatchOutput;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry as Entry;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{Instrument as _, warn};

use crate::gather::{self, BATCH_MAX, WAITING_MAX};
use crate::held::{Held, Hold};
use crate::metrics::Metrics;

/// Messages are extended when less than two thirds of their time are left, each third of it: two calls may fail
/// before one is lost.
const THIRDS: u32 = 3;

/// A wish to see a message again after a time, zero for at once.
#[derive(Debug)]
pub(crate) struct Return {
    receipt: String,
    after: Duration,
}

impl Return {
    /// Ends the hold, so that no extension can follow.
    pub(crate) fn of(hold: Hold, after: Duration) -> Self {
        Self { receipt: hold.receipt.clone(), after }
    }
}

/// The task that owns the visibility of a queue's messages.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) sqs: Client,
    pub(crate) queue_url: String,
    pub(crate) held: Held,
    pub(crate) visibility: Duration,
    pub(crate) metrics: Metrics,
}

impl Keeper {
    /// Starts the task. It ends when every sender is gone and every message is returned.
    pub(crate) fn start(self) -> (Sender<Return>, JoinHandle<()>) {
        let (sender, returns) = mpsc::channel(WAITING_MAX);
        (sender, tokio::spawn(self.run(returns).in_current_span()))
    }

    async fn run(self, mut returns: Receiver<Return>) {
        let mut ticks = interval(self.visibility / THIRDS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Both wait without holding anything: what is not taken stays in the channel.
            tokio::select! {
                biased;
                _ = ticks.tick() => self.extend().await,
                first = returns.recv() => match first {
                    Some(first) => self.give_back(gather::batch(first, &mut returns).await).await,
                    None => return,
                },
            }
        }
    }

    async fn extend(&self) {
        let soon = self.visibility - self.visibility / THIRDS;
        let expiring = self.held.expiring(Instant::now(), soon);
        for part in expiring.chunks(BATCH_MAX) {
            let now = Instant::now();
            let wishes = part.iter().map(|(_, receipt)| (receipt.as_str(), self.visibility));
            match self.change(wishes).await {
                Ok(reply) => self.extended(part, &reply, now + self.visibility),
                // The next tick tries again, as long as the messages are still ours.
                Err(error) => warn!(error, messages = part.len(), "could not keep messages"),
            }
        }
        let expired = self.held.lose_expired(Instant::now());
        self.metrics.lost(expired);
    }

    fn extended(
        &self,
        part: &[(u64, String)],
        reply: &ChangeMessageVisibilityBatchOutput,
        expires: Instant,
    ) {
        let of = |id: &str| id.parse::<usize>().ok().and_then(|index| part.get(index));
        for (id, _) in reply.successful().iter().filter_map(|entry| of(entry.id())) {
            self.held.extended(*id, expires);
            self.metrics.extended();
        }
        for failed in reply.failed() {
            // A fault of SQS is tried again at the next tick; ours means that the receipt is void.
            let Some((id, _)) = of(failed.id()).filter(|_| failed.sender_fault()) else { continue };
            if self.held.lose(*id) {
                self.metrics.lost(1);
                warn!(code = failed.code(), "lost a message to its visibility timeout");
            }
        }
    }

    async fn give_back(&self, returns: Vec<Return>) {
        let wishes = returns.iter().map(|wish| (wish.receipt.as_str(), wish.after));
        // Not retried beyond the SDK's own attempts: it comes back by itself when its time is over.
        if let Err(error) = self.change(wishes).await {
            warn!(error, messages = returns.len(), "could not return messages, they return later");
        }
    }

    async fn change(
        &self,
        wishes: impl Iterator<Item = (&str, Duration)>,
    ) -> Result<ChangeMessageVisibilityBatchOutput, String> {
        let entries = wishes.enumerate().filter_map(|(index, (receipt, after))| {
            let seconds = i32::try_from(after.as_secs()).unwrap_or(i32::MAX);
            let entry = Entry::builder().id(index.to_string()).receipt_handle(receipt);
            entry.visibility_timeout(seconds).build().ok()
        });
        let call = self.sqs.change_message_visibility_batch().queue_url(&self.queue_url);
        let call = call.set_entries(Some(entries.collect()));
        call.send().await.map_err(|error| chassis::explain(&error))
    }
}
