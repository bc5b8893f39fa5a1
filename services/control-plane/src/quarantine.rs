//! Where commands go that nobody can carry out: an SQS queue, with every byte and the reason.
//!
//! The messages are those of the rapids-reader's quarantine, attribute by attribute, so that one tool reads both.

use std::str;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kcl::Record;

use crate::error::Error;
use crate::queue::Queues;

/// Retention of the queue: the longest that SQS has, 14 days, in seconds.
const RETENTION_S: &str = "1209600";
/// Bytes of a record in one message. In base64 and with its attributes it stays below 256 KiB.
const PART_BYTES: usize = 180 << 10;
/// Attributes count towards the size of a message; nobody reads more of a reason.
const ATTRIBUTE_CHARS_MAX: usize = 1_000;

/// The quarantine queue of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    sqs: Client,
    queue_url: String,
}

/// Why a record is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// In one word, for counting.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) text: String,
}

/// A message of the quarantine.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    body: String,
    encoding: &'static str,
}

impl Quarantine {
    /// Finds the queue `name`, or makes it.
    pub(crate) async fn open(
        sqs: Client,
        name: &str,
        kms_key: Option<&str>,
    ) -> Result<Self, Error> {
        if let Some(found) = Queues(sqs.clone()).find(name).await? {
            return Ok(Self { sqs, queue_url: found.url });
        }
        let retention = QueueAttributeName::MessageRetentionPeriod;
        let mut create = sqs.create_queue().queue_name(name).attributes(retention, RETENTION_S);
        if let Some(key) = kms_key {
            create = create.attributes(QueueAttributeName::KmsMasterKeyId, key);
        }
        let made = create.send().await;
        let made = made.map_err(|error| Error::of_call("SQS CreateQueue", name, error))?;
        let url = made.queue_url;
        let queue_url =
            url.ok_or_else(|| Error::incomplete("SQS CreateQueue", name, "QueueUrl"))?;
        Ok(Self { sqs, queue_url })
    }

    /// Puts a record there. Once this has returned `Ok`, all of it lies there.
    pub(crate) async fn put(
        &self,
        shard: &str,
        record: &Record,
        reason: &Reason,
    ) -> Result<(), Error> {
        let parts = parts(&record.data);
        let count = parts.len().to_string();
        for (index, part) in parts.into_iter().enumerate() {
            let number = (index + 1).to_string();
            let attributes = [
                ("reason", reason.text.as_str()),
                ("kind", reason.kind),
                ("shard", shard),
                ("sequence_number", record.sequence_number.as_str()),
                ("partition_key", record.partition_key.as_deref().unwrap_or_default()),
                ("encoding", part.encoding),
                ("part", &number),
                ("parts", &count),
            ];
            let mut message = self.sqs.send_message().queue_url(&self.queue_url);
            for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
                message = message.message_attributes(name, attribute(value));
            }
            let sent = message.message_body(part.body).send().await;
            sent.map_err(|error| Error::of_call("SQS SendMessage", &self.queue_url, error))?;
        }
        Ok(())
    }
}

/// The messages that hold `data`: its text where SQS takes that, base64 otherwise, in parts where it is long.
fn parts(data: &[u8]) -> Vec<Part> {
    if data.is_empty() {
        // SQS takes no empty body.
        return vec![Part { body: "(empty)".to_owned(), encoding: "empty" }];
    }
    match str::from_utf8(data) {
        Ok(text) if data.len() <= PART_BYTES && text.chars().all(is_allowed) => {
            vec![Part { body: text.to_owned(), encoding: "text" }]
        }
        _ => {
            let encode = |part| Part { body: STANDARD.encode(part), encoding: "base64" };
            data.chunks(PART_BYTES).map(encode).collect()
        }
    }
}

/// Characters that SQS takes
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>).
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn attribute(value: &str) -> MessageAttributeValue {
    let replace = |c| if is_allowed(c) { c } else { char::REPLACEMENT_CHARACTER };
    let value: String = value.chars().take(ATTRIBUTE_CHARS_MAX).map(replace).collect();
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
    attribute.build().expect("a data type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_is_kept_readable() {
        let part = Part { body: "{oops".into(), encoding: "text" };
        assert_eq!(parts(b"{oops"), [part]);
    }

    #[test]
    fn what_sqs_would_refuse_travels_as_base64() {
        for data in [&b"\xff\xfe"[..], b"a\0b", "\u{ffff}".as_bytes()] {
            let [part] = &parts(data)[..] else { panic!("{data:?} in one part") };
            assert_eq!(part.encoding, "base64");
            assert_eq!(STANDARD.decode(&part.body).unwrap(), data);
        }
        assert_eq!(parts(b"")[0].encoding, "empty");
    }

    #[test]
    fn a_long_record_is_kept_whole_in_parts() {
        let data: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
        let parts = parts(&data);
        assert!(parts.iter().all(|part| part.body.len() < 250 << 10));
        let decoded = parts.iter().flat_map(|part| STANDARD.decode(&part.body).unwrap());
        assert!(decoded.eq(data));
    }
}
