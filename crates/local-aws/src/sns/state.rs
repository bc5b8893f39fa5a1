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
    pub(super) filter: Option<(Scope, FilterPolicy)>,
}

impl State {
    pub(super) fn of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions.values().filter(move |subscription| subscription.topic == topic)
    }
}

impl Subscription {
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
