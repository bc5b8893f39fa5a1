//! Delivery of a message to the queues of a topic.

use std::sync::atomic::Ordering;

use event::filter::Scope;
use jiff::Timestamp;

use super::Sns;
use super::message::Message;
use super::state::Subscription;
use crate::sqs::{self, MessageAttributes};

/// Attributes that raw delivery carries; a message with more is a client fault
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html>).
const RAW_ATTRIBUTES_MAX: usize = 10;

impl Sns {
    /// Delivers to every subscription whose filter lets the message pass.
    pub(super) fn deliver(&self, topic: &str, message: &Message) {
        let state = self.state();
        let now_ms = self.0.clock.now_ms();
        for subscription in state.of_topic(topic).filter(|known| known.wants(message, now_ms)) {
            if !self.deliver_to(subscription, message) {
                self.0.undeliverable.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Delivers to a queue, or where that is not there, to the dead-letter queue of the subscription.
    fn deliver_to(&self, subscription: &Subscription, message: &Message) -> bool {
        let at = i64::try_from(self.0.clock.now_ms()).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
        let raw = subscription.is_raw();
        let (body, attributes) = if raw {
            (message.body.clone(), message.sqs_attributes())
        } else {
            let notification = message.notification(&subscription.topic, &subscription.arn, at);
            (notification, MessageAttributes::new())
        };
        let letter = sqs::Message {
            body,
            attributes,
            trace_header: None,
            group: message.group.clone(),
            deduplication: message.deduplication.clone(),
        };
        let too_many = letter.attributes.len() > RAW_ATTRIBUTES_MAX;
        if !too_many && self.0.sqs.deliver(&subscription.endpoint, letter.clone()).is_ok() {
            return true;
        }
        let attributes =
            if too_many { MessageAttributes::new() } else { letter.attributes.clone() };
        subscription.dead_letter_queue().is_some_and(|queue| {
            self.0.sqs.deliver(&queue, sqs::Message { attributes, ..letter }).is_ok()
        })
    }
}

impl Subscription {
    fn wants(&self, message: &Message, now_ms: u64) -> bool {
        let Some(filter) = self.filter_at(now_ms) else { return false };
        match filter {
            None => true,
            Some((Scope::Attributes, policy)) => policy.matches_attributes(&message.filterable()),
            Some((Scope::Body, policy)) => {
                serde_json::from_str(&message.body).is_ok_and(|body| policy.matches_body(&body))
            }
        }
    }
}
