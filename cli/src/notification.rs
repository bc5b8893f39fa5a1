//! What lies in a river: the notification that SNS wraps around an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message of a river.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Body {
    /// As SNS delivers it.
    Notification(Box<Notification>),
    /// Other JSON, such as an event that was delivered raw.
    Json(Value),
    /// Anything else.
    Text(String),
}

/// The object that SNS delivers to SQS, its fields in the order in which SNS writes them
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Notification {
    r#type: String,
    message_id: String,
    topic_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The event's JSON text.
    pub(crate) message: String,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(rename = "SigningCertURL", skip_serializing_if = "Option::is_none")]
    signing_cert_url: Option<String>,
    #[serde(rename = "UnsubscribeURL", skip_serializing_if = "Option::is_none")]
    unsubscribe_url: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, Value>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

impl Body {
    /// Reads a message, whatever it is: nothing that lies in a river is kept from its reader.
    pub(crate) fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::Text(text.to_owned()))
    }

    /// The text that was published: the event, in or without its wrapping.
    pub(crate) fn published(&self) -> String {
        match self {
            Self::Notification(notification) => notification.message.clone(),
            Self::Json(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFICATION: &str = r#"{"Type":"Notification","MessageId":"m","TopicArn":"t","Message":"{\"eventType\":\"ViewPage\"}","Timestamp":"2019-05-11T23:14:31.604Z","SignatureVersion":"1","Signature":"s","SigningCertURL":"c","UnsubscribeURL":"u","MessageAttributes":{"event_type":{"Type":"String","Value":"ViewPage"}}}"#;

    #[test]
    fn a_notification_is_shown_as_sns_wrote_it() {
        let body = Body::read(NOTIFICATION);
        assert_eq!(serde_json::to_string(&body).unwrap(), NOTIFICATION);
        assert_eq!(body.published(), r#"{"eventType":"ViewPage"}"#);
    }

    #[test]
    fn a_field_that_sns_adds_one_day_is_kept() {
        let more = NOTIFICATION.replacen('{', r#"{"SequenceNumber":"1","#, 1);
        assert!(serde_json::to_string(&Body::read(&more)).unwrap().contains("SequenceNumber"));
    }

    #[test]
    fn what_is_no_notification_is_shown_as_it_is() {
        let raw = r#"{"eventType":"ViewPage"}"#;
        assert_eq!(serde_json::to_string(&Body::read(raw)).unwrap(), raw);
        assert_eq!(serde_json::to_string(&Body::read("hello")).unwrap(), r#""hello""#);
    }
}
