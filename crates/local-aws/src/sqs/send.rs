//! Messages come in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::batch::{Entry, batch};
use super::error::Error;
use super::message::{AttributeValue, Message, MessageAttributes, md5_of_attributes, md5_of_body};
use super::queue::Queue;
use super::state::State;

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const BATCH_BYTES_MAX: usize = 1_048_576;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessageBatch {
    queue_url: String,
    #[serde(default)]
    entries: Vec<SendEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: String,
    #[serde(flatten)]
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    message_body: String,
    #[serde(default)]
    message_attributes: MessageAttributes,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, AttributeValue>,
    delay_seconds: Option<u64>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

impl Entry for SendEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Body {
    fn into_message(mut self) -> (Message, Option<u64>) {
        let trace = self.message_system_attributes.remove("AWSTraceHeader");
        let message = Message {
            body: self.message_body,
            attributes: self.message_attributes,
            trace_header: trace.and_then(|value| value.string_value),
            group: self.message_group_id,
            deduplication: self.message_deduplication_id,
        };
        (message, self.delay_seconds)
    }
}

impl State {
    pub(super) fn send(&mut self, input: SendMessage, now_ms: u64) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let (message, delay) = input.body.into_message();
        send(queue, message, delay, now_ms)
    }

    pub(super) fn send_batch(
        &mut self,
        input: SendMessageBatch,
        now_ms: u64,
    ) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let size = input.entries.iter().map(|entry| entry.body.message_body.len()).sum();
        if size > BATCH_BYTES_MAX {
            return Err(Error::BatchRequestTooLong(size));
        }
        batch(input.entries, |entry| {
            let (message, delay) = entry.body.into_message();
            send(queue, message, delay, now_ms)
        })
    }
}

fn send(
    queue: &mut Queue,
    message: Message,
    delay: Option<u64>,
    now_ms: u64,
) -> Result<Value, Error> {
    let mut answer = Map::new();
    answer.insert("MD5OfMessageBody".into(), md5_of_body(&message.body).into());
    if let Some(digest) = md5_of_attributes(&message.attributes) {
        answer.insert("MD5OfMessageAttributes".into(), digest.into());
    }
    if let Some(trace) = &message.trace_header {
        let value = AttributeValue {
            data_type: "String".into(),
            string_value: Some(trace.clone()),
            binary_value: None,
        };
        let digest = md5_of_attributes([(&"AWSTraceHeader".to_owned(), &value)]);
        answer.insert("MD5OfMessageSystemAttributes".into(), json!(digest));
    }
    let sent = queue.send(message, delay, now_ms)?;
    answer.insert("MessageId".into(), sent.id.into());
    if let Some(number) = sent.sequence_number {
        answer.insert("SequenceNumber".into(), number.into());
    }
    Ok(Value::Object(answer))
}
