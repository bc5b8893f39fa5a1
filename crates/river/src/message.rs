//! A message as it lies in the queue.

use aws_sdk_sqs::types::{Message as SqsMessage, MessageSystemAttributeName as Attribute};
use event::packet::ARM_ATTRIBUTE;
use event::{Event, Malformed};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A received message, before anyone has looked into it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) body: String,
    /// The attribute `arm`, where the message came raw: a list of texts, as JSON.
    pub(crate) arms: Option<String>,
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
    #[serde(default)]
    message_attributes: Map<String, Value>,
}

impl Message {
    /// The message and its receipt handle. None without a handle: such a message cannot be settled.
    pub(crate) fn from_sqs(message: SqsMessage) -> Option<(Self, String)> {
        let arms = message.message_attributes.as_ref().and_then(|all| all.get(ARM_ATTRIBUTE));
        let arms = arms.and_then(|arms| arms.string_value.clone());
        let mut attributes = message.attributes.unwrap_or_default();
        let mut take = |name| attributes.remove(&name);
        let receives = take(Attribute::ApproximateReceiveCount).and_then(|text| text.parse().ok());
        let body = message.body.unwrap_or_default();
        let read = Self {
            body,
            arms,
            receives: receives.unwrap_or(1),
            group: take(Attribute::MessageGroupId),
            sent_ms: take(Attribute::SentTimestamp).and_then(|text| text.parse().ok()),
        };
        Some((read, message.receipt_handle?))
    }

    /// The event in it, whether it came raw or inside of a notification, with the arms that the reader gave it.
    ///
    /// # Errors
    /// Why it is not an event.
    pub(crate) fn event(&self) -> Result<Event, Malformed> {
        let refused = match Event::parse(self.body.as_bytes()) {
            Ok(event) => return Ok(assigned(event, self.arms.as_deref())),
            Err(refused) => refused,
        };
        match serde_json::from_str::<Notification>(&self.body) {
            Ok(outer) if outer.r#type == "Notification" => {
                let arms = outer.message_attributes.get(ARM_ATTRIBUTE);
                let arms = arms.and_then(|arms| arms["Value"].as_str());
                Ok(assigned(Event::parse(outer.message.as_bytes())?, arms))
            }
            _ => Err(refused),
        }
    }
}

/// Each arm is `experiment:arm`; what the event itself says counts more.
fn assigned(mut event: Event, arms: Option<&str>) -> Event {
    let arms = arms.and_then(|arms| serde_json::from_str::<Vec<String>>(arms).ok());
    for arm in arms.unwrap_or_default() {
        if let Some((experiment, arm)) = arm.split_once(':') {
            event.experiments.entry(experiment.to_owned()).or_insert_with(|| arm.to_owned());
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALLY: &str = r#"{"eventType":"ViewPage","eventDomain":"TheSource","payload":{"name":"Sally"},"timestamp":"2019-05-11T23:14:31.550Z","eventId":"7dcf"}"#;

    fn message(body: impl Into<String>, arms: Option<String>) -> Message {
        Message { body: body.into(), arms, receives: 1, group: None, sent_ms: None }
    }

    fn event(body: impl Into<String>) -> Result<Event, Malformed> {
        message(body, None).event()
    }

    #[test]
    fn a_notification_and_a_raw_message_hold_the_same_event() {
        let raw = event(SALLY).unwrap();
        let notification = serde_json::json!({"Type": "Notification", "Message": SALLY});
        assert_eq!(event(notification.to_string()).unwrap(), raw);
    }

    #[test]
    fn the_arms_beside_an_event_are_read_and_those_in_it_count_more() {
        let arms = r#"["ranking:bold","colour:red","odd"]"#;
        let body = SALLY.replacen('{', r#"{"experiments":{"colour":"blue"},"#, 1);
        let raw = message(body.clone(), Some(arms.into()));
        let attributes = serde_json::json!({"arm": {"Type": "String.Array", "Value": arms}});
        let notification = serde_json::json!({
            "Type": "Notification", "Message": body, "MessageAttributes": attributes,
        });
        for event in [raw.event().unwrap(), event(notification.to_string()).unwrap()] {
            let arms = event.experiments.iter().map(|(name, arm)| format!("{name}:{arm}"));
            assert_eq!(arms.collect::<Vec<_>>(), ["colour:blue", "ranking:bold"]);
        }
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

    #[test]
    fn every_conformance_vector_is_read_or_refused_as_it_says() {
        let vectors = include_str!("../../event/schema/vectors/messages.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let text = |field: &str| vector[field].as_str().map(str::to_owned);
            let (body, arms) = (text("body").unwrap(), text("arms"));
            let event = message(body, arms).event();
            let read = event.map_or_else(
                |refused| serde_json::json!({"refused": refused.kind()}),
                |event| serde_json::from_str(&event.to_json()).unwrap(),
            );
            assert_eq!(read, vector["event"], "{}", vector["name"]);
        }
    }
}
