//! One queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use tokio::sync::Notify;

use crate::wire::request_id;

use super::attributes::Attributes;
use super::error::Error;
use super::message::Message;
use super::store::{Store, Stored};

/// Within this time a FIFO queue takes a message only once
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html>).
const DEDUPLICATION_MS: u64 = 5 * 60 * 1000;

/// A queue: what is set on it and what is in it.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) store: Store,
    pub(super) created_ms: u64,
    pub(super) modified_ms: u64,
    pub(super) purged_ms: Option<u64>,
    /// Told of everything that a receive which waits might care for.
    pub(super) changed: Arc<Notify>,
    sent: BTreeMap<String, Sent>,
    sequence: u64,
}

/// What the sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) sequence_number: Option<String>,
    at_ms: u64,
}

impl Queue {
    pub(super) fn new(name: &str, arn: String, attributes: Attributes, now_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            arn,
            attributes,
            tags: BTreeMap::new(),
            store: Store::new(is_fifo(name)),
            created_ms: now_ms,
            modified_ms: now_ms,
            purged_ms: None,
            changed: Arc::default(),
            sent: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub(super) fn is_fifo(&self) -> bool {
        is_fifo(&self.name)
    }

    /// Lets time pass before anything else is done.
    pub(super) fn tick(&mut self, now_ms: u64) {
        self.store.tick(now_ms, self.attributes.number("MessageRetentionPeriod") * 1000);
    }

    /// Takes a message, or recognises one that it has taken already.
    pub(super) fn send(
        &mut self,
        mut message: Message,
        delay_seconds: Option<u64>,
        now_ms: u64,
    ) -> Result<Sent, Error> {
        message.check(self.attributes.number("MaximumMessageSize"))?;
        let key = if self.is_fifo() { self.deduplication(&mut message)? } else { None };
        self.check_delay(delay_seconds)?;
        if !self.is_fifo() && message.deduplication.is_some() {
            return Err(unfit("MessageDeduplicationId"));
        }
        self.sent.retain(|_, sent| sent.at_ms + DEDUPLICATION_MS > now_ms);
        if let Some(sent) = key.as_ref().and_then(|key| self.sent.get(key)) {
            return Ok(sent.clone());
        }
        let sent = Sent { id: request_id(), sequence_number: self.next_sequence(), at_ms: now_ms };
        if let Some(key) = key {
            self.sent.insert(key, sent.clone());
        }
        let delay = delay_seconds.unwrap_or_else(|| self.attributes.number("DelaySeconds"));
        let stored = Stored {
            id: sent.id.clone(),
            message,
            sent_ms: now_ms,
            receives: 0,
            first_received_ms: None,
            sequence_number: sent.sequence_number.clone(),
            source_arn: None,
        };
        self.store.put(stored, now_ms + delay * 1000, now_ms);
        self.changed.notify_waiters();
        Ok(sent)
    }

    /// Takes a message from another queue, with the age that it has. `source_arn` is the queue that gave it up.
    pub(super) fn adopt(&mut self, stored: Stored, source_arn: Option<String>, now_ms: u64) {
        let sequence_number = self.next_sequence();
        let stored =
            Stored { receives: 0, first_received_ms: None, sequence_number, source_arn, ..stored };
        self.store.put(stored, now_ms, now_ms);
        self.changed.notify_waiters();
    }

    fn check_delay(&self, delay_seconds: Option<u64>) -> Result<(), Error> {
        match delay_seconds {
            Some(delay) if delay > 900 => Err(Error::InvalidParameterValue(format!(
                "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            ))),
            Some(delay) if delay > 0 && self.is_fifo() => Err(unfit("DelaySeconds")),
            _ => Ok(()),
        }
    }

    /// Under which key a FIFO queue remembers the message; fills in the id that is made from its body.
    fn deduplication(&self, message: &mut Message) -> Result<Option<String>, Error> {
        let Some(group) = message.group.clone() else {
            return Err(Error::MissingParameter("MessageGroupId".into()));
        };
        if message.deduplication.is_none()
            && self.attributes.get("ContentBasedDeduplication") == Some("true")
        {
            // AWS takes SHA-256; nothing but the sender's own copy is compared with it.
            let digest = Md5::digest(&message.body);
            message.deduplication = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        let Some(id) = &message.deduplication else {
            return Err(Error::InvalidParameterValue(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
                    .into(),
            ));
        };
        let by_group = self.attributes.get("DeduplicationScope") == Some("messageGroup");
        Ok(Some(if by_group { format!("{group}\n{id}") } else { id.clone() }))
    }

    fn next_sequence(&mut self) -> Option<String> {
        self.is_fifo().then(|| {
            self.sequence += 1;
            format!("{:020}", self.sequence)
        })
    }
}

/// By its name, as AWS has it.
pub(super) fn is_fifo(name: &str) -> bool {
    name.ends_with(".fifo")
}

fn unfit(parameter: &str) -> Error {
    Error::InvalidParameterValue(format!(
        "Value for parameter {parameter} is invalid. Reason: The request include parameter that is not valid for this queue type."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, given: &[(&str, &str)]) -> Queue {
        let given = given.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let attributes = Attributes::create(is_fifo(name), &given).unwrap();
        Queue::new(name, "arn".into(), attributes, 0)
    }

    fn message(body: &str, group: Option<&str>, deduplication: Option<&str>) -> Message {
        Message {
            body: body.into(),
            group: group.map(Into::into),
            deduplication: deduplication.map(Into::into),
            ..Message::default()
        }
    }

    #[test]
    fn a_fifo_queue_takes_the_same_message_once_in_five_minutes() {
        let mut queue = queue("q.fifo", &[]);
        let send = |queue: &mut Queue, now| {
            queue.send(message("m", Some("g"), Some("d")), None, now).unwrap()
        };
        let first = send(&mut queue, 0);
        assert_eq!(send(&mut queue, DEDUPLICATION_MS - 1), first);
        assert_eq!(queue.store.ready(), 1);
        assert_ne!(send(&mut queue, DEDUPLICATION_MS).id, first.id);
        assert_eq!(queue.store.ready(), 2);
    }

    #[test]
    fn the_scope_of_deduplication_can_be_the_group() {
        let mut queue = queue("q.fifo", &[("DeduplicationScope", "messageGroup")]);
        for group in ["a", "b", "a"] {
            queue.send(message("m", Some(group), Some("d")), None, 0).unwrap();
        }
        assert_eq!(queue.store.ready(), 2);
    }

    #[test]
    fn equal_bodies_are_one_message_when_the_queue_compares_content() {
        let mut queue = queue("q.fifo", &[("ContentBasedDeduplication", "true")]);
        for body in ["m", "m", "n"] {
            queue.send(message(body, Some("g"), None), None, 0).unwrap();
        }
        assert_eq!(queue.store.ready(), 2);
    }

    #[test]
    fn a_fifo_message_needs_a_group_and_an_id() {
        let mut queue = queue("q.fifo", &[]);
        let send = |queue: &mut Queue, message| queue.send(message, None, 0).unwrap_err();
        let error = send(&mut queue, message("m", None, Some("d")));
        assert_eq!(error, Error::MissingParameter("MessageGroupId".into()));
        let error = send(&mut queue, message("m", Some("g"), None));
        assert!(matches!(error, Error::InvalidParameterValue(_)));
    }

    #[test]
    fn a_standard_queue_takes_a_group_and_no_deduplication_id() {
        let mut queue = queue("q", &[]);
        queue.send(message("m", Some("tenant"), None), None, 0).unwrap();
        assert!(queue.send(message("m", None, Some("d")), None, 0).is_err());
    }

    #[test]
    fn the_delay_of_a_message_goes_before_that_of_the_queue() {
        let mut queue = queue("q", &[("DelaySeconds", "7")]);
        queue.send(message("a", None, None), None, 0).unwrap();
        queue.send(message("b", None, None), Some(0), 0).unwrap();
        assert_eq!((queue.store.ready(), queue.store.next_change_ms()), (1, Some(7000)));
        assert!(queue.send(message("c", None, None), Some(901), 0).is_err());
    }
}
