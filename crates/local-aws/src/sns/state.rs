//! Topics and their subscriptions.

use std::collections::BTreeMap;

use event::filter::{FilterPolicy, Scope};

/// Everything that SNS keeps.
#[derive(Default)]
pub(super) struct State {
    /// By ARN.
    pub(super) topics: BTreeMap<String, Topic>,
    /// By ARN. A subscription's ARN begins with its topic's.
    pub(super) subscriptions: BTreeMap<String, Subscription>,
}

#[derive(Default)]
pub(super) struct Topic {
    pub(super) attributes: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) arn: String,
    pub(super) topic: String,
    /// ARN of the queue.
    pub(super) endpoint: String,
    /// As they were set.
    pub(super) attributes: BTreeMap<String, String>,
    /// Read from the attributes.
    pub(super) filter: Filter,
    /// What counts in its place until a change has found its way.
    pub(super) past: Option<Past>,
}

/// A filter policy, if there is one.
pub(super) type Filter = Option<(Scope, FilterPolicy)>;

/// What a subscription was before its last change.
#[derive(Clone)]
pub(super) struct Past {
    pub(super) until_ms: u64,
    /// Nothing is delivered to one that was not there.
    pub(super) filter: Option<Filter>,
}

impl State {
    pub(super) fn of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions.values().filter(move |subscription| subscription.topic == topic)
    }
}

impl Subscription {
    /// The filter that counts at a time; none while nothing is delivered.
    pub(super) fn filter_at(&self, now_ms: u64) -> Option<&Filter> {
        match &self.past {
            Some(past) if now_ms < past.until_ms => past.filter.as_ref(),
            _ => Some(&self.filter),
        }
    }

    /// An attribute as it counts: one that was not set has its default.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let default = || (name == "RawMessageDelivery").then_some("false");
        self.attributes.get(name).map(String::as_str).or_else(default)
    }

    pub(super) fn is_raw(&self) -> bool {
        self.attribute("RawMessageDelivery") == Some("true")
    }

    /// ARN of the queue for what cannot be delivered.
    pub(super) fn dead_letter_queue(&self) -> Option<String> {
        let policy: serde_json::Value =
            serde_json::from_str(self.attributes.get("RedrivePolicy")?).ok()?;
        policy["deadLetterTargetArn"].as_str().map(str::to_owned)
    }
}
