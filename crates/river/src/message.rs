//! A message as it lies in the queue.

use aws_sdk_sqs::types::{Message as SqsMessage, MessageSystemAttributeName as Attribute};
use event::{Event, Malformed};
use serde::Deserialize;

/// A received message, before anyone has looked into it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: String,
    /// How often SQS has handed it out, this time included.
    pub(crate) receives: u32,
    /// Whose it is, where its sender said so.
    pub(crate) group: Option<String>,
    /// When SQS took it, in milliseconds since the Unix epoch.
    pub(crate) sent_ms: Option<u64>,
}

/// What SNS puts around an event where a subscription has no raw delivery
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    r#type: String,
    message: String,
}

impl Message {
    /// The message and its receipt handle. None without a handle: such a message cannot be settled.
    pub(crate) fn from_sqs(message: SqsMessage) -> Option<(Self, String)> {
        let mut attributes = message.attributes.unwrap_or_default();
        let mut take = |name| attributes.remove(&name);
        let receives = take(Attribute::ApproximateReceiveCount).and_then(|text| text.parse().ok());
        let body = message.body.unwrap_or_default();
        let read = Self {
            body,
            receives: receives.unwrap_or(1),
            group: take(Attribute::MessageGroupId),
            sent_ms: take(Attribute::SentTimestamp).and_then(|text| text.parse().ok()),
        };
        Some((read, message.receipt_handle?))
    }

    /// The event in it, whether it came raw or inside of a notification.
    ///
    /// # Errors
    /// Why it is not an event.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        let refused = match Event::parse(self.body.as_bytes()) {
            Ok(event) => return Ok(event),
            Err(refused) => refused,
        };
        match serde_json::from_str::<Notification>(&self.body) {
            Ok(outer) if outer.r#type == "Notification" => Event::parse(outer.message.as_bytes()),
            _ => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALLY: &str = r#"{"eventType":"ViewPage","eventDomain":"TheSource","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":"7dcf"}"#;

    fn event(body: impl Into<String>) -> Result<Event, Malformed> {
        Message { body: body.into(), receives: 1, group: None, sent_ms: None }.event()
    }

    #[test]
    fn a_notification_and_a_raw_message_hold_the_same_event() {
        let raw = event(SALLY).unwrap();
        let notification = serde_json::json!({"Type": "Notification", "Message": SALLY});
        assert_eq!(event(notification.to_string()).unwrap(), raw);
    }

    #[test]
    fn an_event_that_looks_like_a_notification_is_an_event() {
        let body = SALLY.replacen('{', r#"{"Type":"Notification","Message":"hello","#, 1);
        assert_eq!(event(body).unwrap().event_type, "ViewPage");
    }

    #[test]
    fn what_is_wrong_is_told_of_the_inner_event() {
        let notification = r#"{"Type":"Notification","Message":"hello"}"#;
        assert_eq!(event(notification).unwrap_err().kind(), "not_json");
        assert_eq!(
            event(r#"{"Type":"Other","Message":"hello"}"#).unwrap_err().kind(),
            "not_an_event"
        );
        assert_eq!(event("").unwrap_err().kind(), "not_json");
    }

    #[test]
    fn what_sqs_says_beside_a_message_is_read() {
        let message = SqsMessage::builder()
            .body("x")
            .receipt_handle("r")
            .attributes(Attribute::ApproximateReceiveCount, "7")
            .attributes(Attribute::MessageGroupId, "acme")
            .attributes(Attribute::SentTimestamp, "1700000000000")
            .build();
        let (message, receipt) = Message::from_sqs(message).unwrap();
        assert_eq!((message.receives, &*receipt), (7, "r"));
        assert_eq!(
            (message.group.as_deref(), message.sent_ms),
            (Some("acme"), Some(1_700_000_000_000))
        );
        assert!(Message::from_sqs(SqsMessage::builder().body("x").build()).is_none());
    }
}
