//! A message: its body, its attributes, and the digests that clients check them by.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::error::Error;

/// How many message attributes SQS takes.
const ATTRIBUTES_MAX: usize = 10;
const GROUP_LENGTH_MAX: usize = 128;

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeValue {
    /// `String`, `Number` or `Binary`, perhaps with a label of the sender's: `Number.int`.
    pub(crate) data_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) string_value: Option<String>,
    /// Base64, as the JSON protocol carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) binary_value: Option<String>,
}

/// The message attributes of one message, by name.
pub(crate) type MessageAttributes = BTreeMap<String, AttributeValue>;

/// What a sender sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) body: String,
    pub(crate) attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`, which costs no place among the ten.
    pub(crate) trace_header: Option<String>,
    /// Order on a FIFO queue, fairness on a standard one.
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
}

impl AttributeValue {
    fn bytes(&self) -> Option<(u8, Vec<u8>)> {
        if self.data_type.starts_with("Binary") {
            let bytes = BASE64_STANDARD.decode(self.binary_value.as_ref()?).ok()?;
            Some((2, bytes))
        } else {
            Some((1, self.string_value.clone()?.into_bytes()))
        }
    }
}

impl Message {
    /// What counts against the maximum message size: the body, and every attribute's name, type and value.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let value_bytes = value.bytes().map_or(0, |(_, bytes)| bytes.len());
            name.len() + value.data_type.len() + value_bytes
        });
        self.body.len() + attributes.sum::<usize>()
    }

    /// As the service checks a message before it takes it.
    pub(super) fn check(&self, size_max: u64) -> Result<(), Error> {
        if self.body.is_empty() {
            return Err(Error::MissingParameter("MessageBody".into()));
        }
        if !self.body.chars().all(allowed) {
            return Err(Error::InvalidMessageContents);
        }
        if self.group.as_deref().is_some_and(|group| !is_group(group)) {
            return Err(Error::InvalidParameterValue(
                "Value for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
                    .into(),
            ));
        }
        if self.attributes.len() > ATTRIBUTES_MAX {
            return Err(Error::InvalidParameterValue(format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
                self.attributes.len(),
            )));
        }
        for (name, value) in &self.attributes {
            check_attribute(name, value)?;
        }
        if self.size() as u64 > size_max {
            return Err(Error::InvalidParameterValue(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {size_max} bytes."
            )));
        }
        Ok(())
    }
}

fn check_attribute(name: &str, value: &AttributeValue) -> Result<(), Error> {
    let invalid = |reason: &str| {
        let message = format!("The message attribute '{name}' is invalid. Reason: {reason}");
        Err(Error::InvalidParameterValue(message))
    };
    let base = value.data_type.split('.').next().unwrap_or_default();
    if !matches!(base, "String" | "Number" | "Binary") {
        return invalid("the type is none of String, Number and Binary.");
    }
    match value.bytes() {
        Some((_, bytes)) if !bytes.is_empty() => Ok(()),
        _ => invalid("the value is empty or not of its type."),
    }
}

/// Whether this can be a message group id
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
pub(crate) fn is_group(text: &str) -> bool {
    (1..=GROUP_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The characters of XML 1.0, which are those that SQS takes.
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Of a body, in hexadecimal.
pub(super) fn md5_of_body(body: &str) -> String {
    hex(&Md5::digest(body))
}

/// Of attributes, as
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>
/// puts them together. `None` without attributes.
pub(super) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a AttributeValue)>,
) -> Option<String> {
    let mut digest = None;
    for (name, value) in attributes {
        let digest = digest.get_or_insert_with(Md5::new);
        let (transport, bytes) = value.bytes()?;
        update(digest, name.as_bytes());
        update(digest, value.data_type.as_bytes());
        digest.update([transport]);
        update(digest, &bytes);
    }
    digest.map(|digest| hex(&digest.finalize()))
}

fn update(digest: &mut Md5, part: &[u8]) {
    digest.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(part);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue {
            data_type: "String".into(),
            string_value: Some(value.into()),
            binary_value: None,
        }
    }

    #[test]
    fn a_body_has_the_digest_that_clients_expect() {
        assert_eq!(md5_of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
    }

    #[test]
    fn attributes_have_a_digest_and_none_have_none() {
        // Computed with Python's hashlib from the recipe.
        let attributes = MessageAttributes::from([("a".into(), text("1"))]);
        let digest = md5_of_attributes(&attributes);
        assert_eq!(digest.as_deref(), Some("314c77b249893c6b3c765a42cc08b245"));
        assert_eq!(md5_of_attributes(&MessageAttributes::new()), None);
    }

    #[test]
    fn attributes_count_against_the_size() {
        let attributes = MessageAttributes::from([("abc".into(), text("12345"))]);
        let message = Message { body: "xy".into(), attributes, ..Message::default() };
        assert_eq!(message.size(), 2 + 3 + "String".len() + 5);
        assert!(message.check(16).is_ok());
        assert!(message.check(15).is_err());
    }

    #[test]
    fn control_characters_are_refused() {
        let message = Message { body: "a\u{1}b".into(), ..Message::default() };
        assert_eq!(message.check(100), Err(Error::InvalidMessageContents));
    }

    #[test]
    fn a_group_is_of_letters_digits_and_punctuation() {
        for (group, taken) in [("a1-_.@{}", true), ("", false), ("a b", false), ("ä", false)] {
            let group = Some(group.to_owned());
            let message = Message { body: "b".into(), group, ..Message::default() };
            assert_eq!(message.check(100).is_ok(), taken, "{message:?}");
        }
        assert!(is_group(&"x".repeat(128)) && !is_group(&"x".repeat(129)));
    }

    #[test]
    fn an_attribute_without_a_value_is_refused() {
        let attributes = MessageAttributes::from([("a".into(), text(""))]);
        let message = Message { body: "b".into(), attributes, ..Message::default() };
        assert!(matches!(message.check(100), Err(Error::InvalidParameterValue(_))));
    }
}
