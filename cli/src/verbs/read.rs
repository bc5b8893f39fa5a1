//! `readfrom`: a batch of messages, removed from the river only after they were printed. The original removes
//! them first, and loses them when it fails in between.

use anyhow::{Context as _, anyhow};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use event::names::River;

use crate::failure::Result;
use crate::notification::Body;
use crate::session::Session;

/// SQS hands out no more in one call.
const BATCH_MAX: i32 = 10;

/// Prints one batch, after waiting at most `wait` seconds for a first message.
pub(super) async fn run(session: &Session, river: &str, wait: i32) -> Result<()> {
    let river = River::parse(river, &session.names.stage)?;
    let batch = Batch::receive(session, &river, wait).await?;
    if let Err(unprinted) = session.output.print(&batch.bodies()) {
        batch.put_back(session).await;
        return Err(unprinted.into());
    }
    Ok(batch.delete(session).await?)
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
        let receive = sqs.receive_message().queue_url(&queue_url).max_number_of_messages(BATCH_MAX);
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
        if self.messages.is_empty() {
            return Ok(());
        }
        let entries = self.messages.iter().enumerate().map(|(index, message)| {
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
        match deleted.failed() {
            [] => Ok(()),
            [first, ..] => Err(anyhow!(
                "{} of {} messages could not be deleted from river {} and will come again: {}",
                deleted.failed().len(),
                self.messages.len(),
                self.river,
                first.message().unwrap_or(first.code())
            )),
        }
    }
}
