//! `readfrom`: a batch of messages, removed from the river only after they were printed. The original removes
//! them first, and loses them when it fails in between.

use anyhow::{Context as _, anyhow};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use event::names::River;

use crate::args::watch::ReadFrom;
use crate::failure::Result;
use crate::notification::Body;
use crate::session::Session;
use crate::signals::Signals;

/// SQS hands out no more in one call.
const BATCH_MAX: i32 = 10;
/// Wait of a receive while following, in seconds.
const FOLLOW_WAIT_S: i32 = 20;

/// Prints messages as the settings say, after waiting at most so long for a first one.
pub(super) async fn run(session: &Session, settings: &ReadFrom) -> Result<()> {
    let river = River::parse(&settings.river, &session.names.stage)?;
    if settings.follow {
        return Ok(follow(session, &river, settings.max).await?);
    }
    let batch = Batch::gather(session, &river, settings.wait, settings.max).await?;
    let printed = session.output.print(&batch.bodies());
    if printed.is_err() || settings.peek {
        batch.put_back(session).await;
        return Ok(printed?);
    }
    Ok(batch.delete(session).await?)
}

/// Prints one message a line until Ctrl-C, or until there were so many.
async fn follow(session: &Session, river: &River, max: Option<u32>) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut left = max;
    while left != Some(0) {
        let most =
            left.map_or(BATCH_MAX, |left| BATCH_MAX.min(left.try_into().unwrap_or(i32::MAX)));
        // A receive that is given up may have hidden messages: they come again, which is why it is short.
        let batch = tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            batch = Batch::receive_at_most(session, river, FOLLOW_WAIT_S, most) => batch?,
        };
        for body in batch.bodies() {
            if let Err(unprinted) = session.output.say(&serde_json::to_string(&body)?) {
                batch.put_back(session).await;
                return Err(unprinted);
            }
        }
        let printed = u32::try_from(batch.messages.len()).unwrap_or(u32::MAX);
        left = left.map(|left| left.saturating_sub(printed));
        batch.delete(session).await?;
    }
    Ok(())
}

/// Messages that are hidden from others until they are deleted, or come again.
pub(crate) struct Batch {
    river: River,
    queue_url: String,
    messages: Vec<Message>,
}

impl Batch {
    /// Takes at most ten messages.
    ///
    /// # Errors
    /// When the river has no queue, or what AWS refuses.
    pub(crate) async fn receive(
        session: &Session,
        river: &River,
        wait: i32,
    ) -> anyhow::Result<Self> {
        Self::receive_at_most(session, river, wait, BATCH_MAX).await
    }

    /// Takes messages until there are `max`, or no more; without a number, those of one receive.
    async fn gather(
        session: &Session,
        river: &River,
        wait: i32,
        max: Option<u32>,
    ) -> anyhow::Result<Self> {
        let max = usize::try_from(max.unwrap_or(BATCH_MAX.unsigned_abs()))?;
        let most = |left: usize| BATCH_MAX.min(left.try_into().unwrap_or(i32::MAX));
        let mut batch = Self::receive_at_most(session, river, wait, most(max)).await?;
        let mut last = batch.messages.len();
        while max > batch.messages.len() && max > BATCH_MAX.unsigned_abs() as usize && last > 0 {
            let left = max - batch.messages.len();
            match Self::receive_at_most(session, river, wait, most(left)).await {
                Ok(more) => {
                    last = more.messages.len();
                    batch.messages.extend(more.messages);
                }
                Err(error) => {
                    batch.put_back(session).await;
                    return Err(error);
                }
            }
        }
        Ok(batch)
    }

    async fn receive_at_most(
        session: &Session,
        river: &River,
        wait: i32,
        most: i32,
    ) -> anyhow::Result<Self> {
        let sqs = &session.aws.sqs;
        let queue = river.queue();
        let found = sqs.get_queue_url().queue_name(&queue).send().await.map_err(|error| {
            if error.as_service_error().is_some_and(|error| error.is_queue_does_not_exist()) {
                return anyhow!(
                    "river {river} does not exist in stage {}: there is no queue {queue}; make it with \
                     `rapids subscribe {river} TOPIC`",
                    session.names.stage
                );
            }
            anyhow::Error::new(error).context(format!("queue {queue}"))
        })?;
        let queue_url = found.queue_url.with_context(|| format!("SQS gave no URL of {queue}"))?;
        let receive = sqs.receive_message().queue_url(&queue_url).max_number_of_messages(most);
        let received = receive.wait_time_seconds(wait).send().await;
        let received = received.with_context(|| format!("receiving from queue {queue}"))?;
        let messages = received.messages.unwrap_or_default();
        Ok(Self { river: river.clone(), queue_url, messages })
    }

    /// What the messages say.
    pub(crate) fn bodies(&self) -> Vec<Body> {
        self.messages.iter().map(|message| Body::read(message.body().unwrap_or_default())).collect()
    }

    /// Shows the messages to others at once. Where that fails, they come again when their time is over.
    async fn put_back(self, session: &Session) {
        for message in self.messages {
            let change = session.aws.sqs.change_message_visibility().queue_url(&self.queue_url);
            let change = change.set_receipt_handle(message.receipt_handle).visibility_timeout(0);
            change.send().await.ok();
        }
    }

    /// Removes the messages from the river.
    ///
    /// # Errors
    /// When some could not be removed: they come again.
    pub(crate) async fn delete(self, session: &Session) -> anyhow::Result<()> {
        let mut failed = Vec::new();
        for messages in self.messages.chunks(BATCH_MAX.unsigned_abs() as usize) {
            let entries = messages.iter().enumerate().map(|(index, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(message.receipt_handle().unwrap_or_default())
                    .build()
            });
            let entries = entries.collect::<std::result::Result<Vec<_>, _>>()?;
            let delete = session.aws.sqs.delete_message_batch().queue_url(&self.queue_url);
            let deleted = delete.set_entries(Some(entries)).send().await;
            let again = "the messages that were printed will come again";
            let deleted =
                deleted.with_context(|| format!("deleting from river {}: {again}", self.river))?;
            failed.extend(deleted.failed);
        }
        match &failed[..] {
            [] => Ok(()),
            [first, ..] => Err(anyhow!(
                "{} of {} messages could not be deleted from river {} and will come again: {}",
                failed.len(),
                self.messages.len(),
                self.river,
                first.message().unwrap_or(first.code())
            )),
        }
    }
}
