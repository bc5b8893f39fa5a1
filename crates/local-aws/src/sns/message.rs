//! A message on its way: what was published, and what a subscriber gets to see.

use std::collections::BTreeMap;

use event::filter::Attributes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::invalid;
use super::request::Request;
use crate::sqs::{AttributeValue, MessageAttributes, is_group};
use crate::wire::AwsError;

/// Most bytes of a message and of a batch together: bodies and attributes
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
pub(super) const BYTES_MAX: usize = 256 << 10;

/// A published message.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) subject: Option<String>,
    pub(super) attributes: BTreeMap<String, Attribute>,
    /// Order on a FIFO topic, fairness on a standard one; handed on to the queues.
    pub(super) group: Option<String>,
    pub(super) deduplication: Option<String>,
}

/// A message attribute, its value as text: base64 for `Binary`.
pub(super) struct Attribute {
    kind: String,
    value: String,
}

impl Message {
    /// Reads the message whose fields begin with `prefix`.
    pub(super) fn parse(request: &Request, prefix: &str, id: String) -> Result<Self, AwsError> {
        let field = |name: &str| request.get(&format!("{prefix}{name}"));
        let body = field("Message").unwrap_or_default();
        if body.is_empty() {
            return Err(invalid("Empty message"));
        }
        let mut attributes = BTreeMap::new();
        for member in request.members(&format!("{prefix}MessageAttributes.entry")) {
            let part = |name: &str| request.get(&format!("{member}.{name}"));
            let name = part("Name").unwrap_or_default();
            let kind = part("Value.DataType").unwrap_or_default();
            let value = part("Value.StringValue").or_else(|| part("Value.BinaryValue"));
            let value = value.unwrap_or_default();
            let known = ["String", "String.Array", "Number", "Binary"].contains(&kind);
            if name.is_empty() || value.is_empty() || !known {
                let problem = "must have a name, a known type and a value that is not empty";
                return Err(invalid(&format!("message attribute '{name}' {problem}")));
            }
            let attribute = Attribute { kind: kind.to_owned(), value: value.to_owned() };
            attributes.insert(name.to_owned(), attribute);
        }
        if field("MessageGroupId").is_some_and(|group| !is_group(group)) {
            return Err(invalid("MessageGroupId"));
        }
        let optional = |name: &str| field(name).map(str::to_owned);
        Ok(Self {
            id,
            body: body.to_owned(),
            subject: optional("Subject"),
            attributes,
            group: optional("MessageGroupId"),
            deduplication: optional("MessageDeduplicationId"),
        })
    }

    /// What counts towards the size limit.
    pub(super) fn bytes(&self) -> usize {
        let attribute = |(name, attribute): (&String, &Attribute)| {
            name.len() + attribute.kind.len() + attribute.value.len()
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    /// What a filter policy on attributes looks at.
    pub(super) fn filterable(&self) -> Attributes {
        let values = |attribute: &Attribute| match attribute.kind.as_str() {
            "String" => vec![Value::String(attribute.value.clone())],
            "Number" => serde_json::from_str(&attribute.value).into_iter().collect(),
            "String.Array" => serde_json::from_str(&attribute.value).unwrap_or_default(),
            _ => Vec::new(),
        };
        let attributes = self.attributes.iter();
        attributes.map(|(name, attribute)| (name.clone(), values(attribute))).collect()
    }

    /// The notification that a subscriber without raw delivery gets
    /// (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>).
    pub(super) fn notification(&self, topic: &str, subscription: &str, at: Timestamp) -> String {
        let region = topic.split(':').nth(3).unwrap_or_default();
        let host = format!("https://sns.{region}.amazonaws.com");
        let mut notification = json!({
            "Type": "Notification",
            "MessageId": self.id,
            "TopicArn": topic,
            "Message": self.body,
            "Timestamp": format!("{at:.3}"),
            "SignatureVersion": "1",
            "Signature": "local-aws-does-not-sign",
            "SigningCertURL": format!("{host}/SimpleNotificationService-local.pem"),
            "UnsubscribeURL": format!("{host}/?Action=Unsubscribe&SubscriptionArn={subscription}"),
        });
        if let Some(subject) = &self.subject {
            notification["Subject"] = json!(subject);
        }
        if !self.attributes.is_empty() {
            let attribute = |(name, attribute): (&String, &Attribute)| {
                (name.clone(), json!({ "Type": attribute.kind, "Value": attribute.value }))
            };
            let attributes: Map<_, _> = self.attributes.iter().map(attribute).collect();
            notification["MessageAttributes"] = Value::Object(attributes);
        }
        notification.to_string()
    }

    /// The attributes as SQS takes them, for raw delivery.
    pub(super) fn sqs_attributes(&self) -> MessageAttributes {
        let attribute = |(name, attribute): (&String, &Attribute)| {
            let value = Some(attribute.value.clone());
            let (string_value, binary_value) =
                if attribute.kind == "Binary" { (None, value) } else { (value, None) };
            let data_type = attribute.kind.clone();
            (name.clone(), AttributeValue { data_type, string_value, binary_value })
        };
        self.attributes.iter().map(attribute).collect()
    }
}
