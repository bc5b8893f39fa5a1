//! Where messages go that cannot be handled: the river's dead-letter queue, with the reason.

use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::MessageAttributeValue;
use event::names::River;
use tokio::sync::OnceCell;

use crate::message::Message;
use crate::settle::Reason;

/// The dead-letter queue of a river, looked up when it is first needed.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sqs: Client,
    service: &'static str,
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

impl Quarantine {
    pub(crate) fn new(sqs: Client, service: &'static str, river: River) -> Self {
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
            ("service", self.0.service),
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

fn attribute(value: &str) -> Result<MessageAttributeValue, BuildError> {
    /// Attributes count towards the size of a message; nobody reads more of a reason.
    const CHARS_MAX: usize = 1_000;
    let replace = |c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER };
    let value: String = value.chars().take(CHARS_MAX).map(replace).collect();
    MessageAttributeValue::builder().data_type("String").string_value(value).build()
}

/// Characters that SQS takes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_fit_for_an_attribute() {
        let value = |text: &str| attribute(text).unwrap().string_value.unwrap();
        assert_eq!(value("a\0b\u{ffff}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(value(&"x".repeat(2_000)).len(), 1_000);
    }
}
