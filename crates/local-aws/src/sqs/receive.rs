//! Messages are handed out, hidden for longer, and deleted.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::futures::OwnedNotified;

use crate::ACCOUNT;

use super::batch::{Entry, batch};
use super::error::Error;
use super::message::{md5_of_attributes, md5_of_body};
use super::state::State;
use super::store::{Receipt, Stored, Take};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReceiveMessage {
    pub(super) queue_url: String,
    max_number_of_messages: Option<u64>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteMessage {
    queue_url: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChangeVisibility {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Batch {
    queue_url: String,
    #[serde(default)]
    entries: Vec<SettleEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SettleEntry {
    id: String,
    receipt_handle: String,
    visibility_timeout: Option<u64>,
}

impl Entry for SettleEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a receive finds, and what tells it when to look again.
pub(super) struct Found {
    pub(super) messages: Vec<Value>,
    pub(super) changed: OwnedNotified,
    pub(super) next_change_ms: Option<u64>,
}

impl State {
    /// How long a receive waits for a first message.
    pub(super) fn wait_seconds(
        &mut self,
        input: &ReceiveMessage,
        now_ms: u64,
    ) -> Result<u64, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let queue_wait = queue.attributes.number("ReceiveMessageWaitTimeSeconds");
        within("WaitTimeSeconds", input.wait_time_seconds.unwrap_or(queue_wait), 0, 20)
    }

    pub(super) fn receive(&mut self, input: &ReceiveMessage, now_ms: u64) -> Result<Found, Error> {
        let max = within("MaxNumberOfMessages", input.max_number_of_messages.unwrap_or(1), 1, 10)?;
        let redrive = self.at(&input.queue_url, now_ms)?.attributes.redrive();
        // A queue whose dead-letter queue is gone keeps handing its messages out.
        let redrive = redrive.filter(|redrive| self.named(&redrive.target_arn, now_ms).is_some());

        let queue = self.at(&input.queue_url, now_ms)?;
        let visibility = input
            .visibility_timeout
            .unwrap_or_else(|| queue.attributes.number("VisibilityTimeout"));
        let how = Take {
            max: usize::try_from(max).unwrap_or(1),
            visibility_ms: within("VisibilityTimeout", visibility, 0, 43_200)? * 1000,
            receives_max: redrive.as_ref().map(|redrive| redrive.receives_max),
        };
        let taken = queue.store.take(how, now_ms)?;
        let describe = |(receipt, stored): &(Receipt, Stored)| {
            describe(stored, &handle(&queue.name, *receipt), input)
        };
        let found = Found {
            messages: taken.received.iter().map(describe).collect(),
            changed: Arc::clone(&queue.changed).notified_owned(),
            next_change_ms: queue.store.next_change_ms(),
        };
        let source = queue.arn.clone();
        if let Some(target) = redrive.and_then(|redrive| self.named(&redrive.target_arn, now_ms)) {
            for stored in taken.given_up {
                target.adopt(stored, Some(source.clone()), now_ms);
            }
        }
        Ok(found)
    }

    pub(super) fn delete(&mut self, input: &DeleteMessage, now_ms: u64) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let deleted = queue.store.delete(receipt(&queue.name, &input.receipt_handle)?);
        if deleted {
            // A FIFO group may be free again.
            queue.changed.notify_waiters();
        }
        Ok(json!({}))
    }

    pub(super) fn delete_batch(&mut self, input: Batch, now_ms: u64) -> Result<Value, Error> {
        self.at(&input.queue_url, now_ms)?;
        batch(input.entries, |entry| {
            let queue_url = input.queue_url.clone();
            self.delete(&DeleteMessage { queue_url, receipt_handle: entry.receipt_handle }, now_ms)
        })
    }

    pub(super) fn change_visibility(
        &mut self,
        input: &ChangeVisibility,
        now_ms: u64,
    ) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let seconds = within("VisibilityTimeout", input.visibility_timeout, 0, 43_200)?;
        let receipt = receipt(&queue.name, &input.receipt_handle)?;
        queue.store.change_visibility(receipt, seconds * 1000, now_ms)?;
        queue.changed.notify_waiters();
        Ok(json!({}))
    }

    pub(super) fn change_visibility_batch(
        &mut self,
        input: Batch,
        now_ms: u64,
    ) -> Result<Value, Error> {
        self.at(&input.queue_url, now_ms)?;
        batch(input.entries, |entry| {
            let Some(visibility_timeout) = entry.visibility_timeout else {
                return Err(Error::MissingParameter("VisibilityTimeout".into()));
            };
            let queue_url = input.queue_url.clone();
            let receipt_handle = entry.receipt_handle;
            self.change_visibility(
                &ChangeVisibility { queue_url, receipt_handle, visibility_timeout },
                now_ms,
            )
        })
    }
}

fn within(parameter: &str, value: u64, min: u64, max: u64) -> Result<u64, Error> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(Error::InvalidParameterValue(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: Must be >= {min} and <= {max}, if provided."
    )))
}

fn handle(queue: &str, receipt: Receipt) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{queue} {} {}", receipt.number, receipt.receives))
}

fn receipt(queue: &str, handle: &str) -> Result<Receipt, Error> {
    let read = || {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
        let mut parts = text.strip_prefix(queue)?.strip_prefix(' ')?.split(' ');
        let number = parts.next()?.parse().ok()?;
        let receives = parts.next()?.parse().ok()?;
        Some(Receipt { number, receives })
    };
    read().ok_or(Error::ReceiptHandleIsInvalid)
}

/// A message as a receiver sees it, with the attributes that it asked for.
fn describe(stored: &Stored, handle: &str, input: &ReceiveMessage) -> Value {
    let mut described = json!({
        "MessageId": stored.id,
        "ReceiptHandle": handle,
        "Body": stored.message.body,
        "MD5OfBody": md5_of_body(&stored.message.body),
    });
    let asked = input.attribute_names.iter().chain(&input.message_system_attribute_names);
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    let system = system_attributes(stored, &asked);
    if !system.is_empty() {
        described["Attributes"] = system.into();
    }
    let wanted = |name: &str| input.message_attribute_names.iter().any(|asked| meets(asked, name));
    let attributes: Vec<_> =
        stored.message.attributes.iter().filter(|(name, _)| wanted(name)).collect();
    if !attributes.is_empty() {
        described["MD5OfMessageAttributes"] = json!(md5_of_attributes(attributes.iter().copied()));
        let attributes: Map<String, Value> =
            attributes.into_iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        described["MessageAttributes"] = attributes.into();
    }
    described
}

/// `All`, `.*`, `prefix.*` or the name itself.
fn meets(asked: &str, name: &str) -> bool {
    match asked.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => asked == "All" || asked == name,
    }
}

fn system_attributes(stored: &Stored, asked: &[&str]) -> Map<String, Value> {
    let message = &stored.message;
    let known = [
        ("SenderId", Some(ACCOUNT.to_owned())),
        ("SentTimestamp", Some(stored.sent_ms.to_string())),
        ("ApproximateReceiveCount", Some(stored.receives.to_string())),
        ("ApproximateFirstReceiveTimestamp", stored.first_received_ms.map(|ms| ms.to_string())),
        ("AWSTraceHeader", message.trace_header.clone()),
        ("MessageGroupId", message.group.clone()),
        ("MessageDeduplicationId", message.deduplication.clone()),
        ("SequenceNumber", stored.sequence_number.clone()),
        ("DeadLetterQueueSourceArn", stored.source_arn.clone()),
    ];
    let wanted = |name: &str| asked.iter().any(|asked| *asked == "All" || *asked == name);
    let wanted = known.into_iter().filter(|(name, _)| wanted(name));
    wanted.filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_handle_says_what_it_is_for_and_garbage_says_nothing() {
        let given = Receipt { number: 7, receives: 2 };
        assert_eq!(receipt("q", &handle("q", given)), Ok(given));
        assert_eq!(receipt("other", &handle("q", given)), Err(Error::ReceiptHandleIsInvalid));
        assert_eq!(receipt("q", "garbage"), Err(Error::ReceiptHandleIsInvalid));
    }

    #[test]
    fn attributes_are_asked_for_by_name_by_prefix_or_all() {
        assert!(meets("All", "a.b") && meets(".*", "a.b") && meets("a.*", "a.b"));
        assert!(meets("a.b", "a.b") && !meets("a", "a.b") && !meets("b.*", "a.b"));
    }
}
