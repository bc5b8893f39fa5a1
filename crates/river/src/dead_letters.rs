//! Where messages go that cannot be handled: the river's dead-letter queue, with the reason.
//!
//! A message goes there as it came, in one piece, so that it can be sent back: it has been a message of SQS
//! before, and fits. Nor is a missing queue made here, that is the control plane's to do.

use std::sync::Arc;

use aws_sdk_sqs::Client;
use event::names::River;
use quarantine::{Reason, attribute};
use tokio::sync::OnceCell;

use crate::message::Message;

/// The dead-letter queue of a river, looked up when it is first needed.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sqs: Client,
    service: String,
    river: River,
    queue_url: OnceCell<String>,
}

/// A message could not be put there, and stays where it is.
#[derive(Debug, thiserror::Error)]
#[error("dead-letter queue {queue} took no message: {reason}")]
pub(crate) struct NotQuarantined {
    queue: String,
    reason: String,
}

impl DeadLetters {
    pub(crate) fn new(sqs: Client, service: &str, river: River) -> Self {
        let service = service.to_owned();
        Self(Arc::new(Inner { sqs, service, river, queue_url: OnceCell::new() }))
    }

    /// Puts a message there, its body as it came. Once this has returned `Ok`, it lies there.
    pub(crate) async fn put(
        &self,
        message: &Message,
        reason: &Reason,
    ) -> Result<(), NotQuarantined> {
        let refused = |reason: String| {
            let queue = self.0.river.dead_letter_queue();
            NotQuarantined { queue, reason }
        };
        let queue_url = self.0.queue_url.get_or_try_init(|| self.look_up()).await;
        let mut send = self.0.sqs.send_message().queue_url(queue_url.map_err(refused)?);
        let receives = message.receives.to_string();
        let attributes = [
            ("reason", reason.text.as_str()),
            ("kind", reason.kind),
            ("river", self.0.river.as_str()),
            ("service", &self.0.service),
            ("receives", &receives),
        ];
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = attribute(value).map_err(|error| refused(error.to_string()))?;
            send = send.message_attributes(name, value);
        }
        // SQS takes no empty body, and has handed out none.
        let sent = send.message_body(&message.body).send().await;
        sent.map(drop).map_err(|error| refused(chassis::explain(&error)))
    }

    async fn look_up(&self) -> Result<String, String> {
        let name = self.0.river.dead_letter_queue();
        let found = self.0.sqs.get_queue_url().queue_name(&name).send().await;
        let found = found.map_err(|error| chassis::explain(&error))?;
        found.queue_url.ok_or_else(|| format!("SQS gave no URL for queue {name}"))
    }
}
