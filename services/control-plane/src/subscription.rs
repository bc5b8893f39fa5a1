//! The one SNS subscription of a river: what it should be, what it is, and the calls that change it.

use std::collections::BTreeMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::operation::get_subscription_attributes::GetSubscriptionAttributesError;
use event::names::River;

use crate::blueprint::Blueprint;
use crate::error::Error;
use crate::policy::{self, Topics};

/// Values that a filter policy may hold, over all its keys
/// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
pub(crate) const FILTER_VALUES_MAX: usize = 150;

/// The attribute that lists the topics.
pub(crate) const FILTER_POLICY: &str = "FilterPolicy";

/// Attributes of a subscription, by the names of the SNS API.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Subscriptions of a topic: ARNs by endpoint.
pub(crate) type Listing = BTreeMap<String, String>;

/// A subscription as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) arn: String,
    pub(crate) attributes: Attributes,
}

/// What the attributes of a river's subscription should be.
pub(crate) fn wanted(blueprint: &Blueprint, river: &River, topics: &Topics) -> Attributes {
    let redrive = policy::subscription_redrive(&blueprint.arns, &river.dead_letter_queue());
    let attributes = [
        (FILTER_POLICY, policy::filter(topics)),
        ("FilterPolicyScope", "MessageAttributes".to_owned()),
        ("RawMessageDelivery", blueprint.raw_delivery.to_string()),
        ("RedrivePolicy", redrive),
    ];
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The subscriptions of the rapids topic.
#[derive(Clone, Debug)]
pub(crate) struct Subscriptions {
    pub(crate) sns: Client,
    pub(crate) topic_arn: String,
}

impl Subscriptions {
    /// Every subscription of the topic: ARNs by endpoint. SNS has no look-up by endpoint. A topic has at most 200
    /// filter policies, so this is two pages at most unless others subscribe to the topic as well.
    pub(crate) async fn list(&self) -> Result<Listing, Error> {
        let list = self.sns.list_subscriptions_by_topic().topic_arn(&self.topic_arn);
        let mut pages = list.into_paginator().send();
        let mut listing = Listing::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                Error::of_call("SNS ListSubscriptionsByTopic", &self.topic_arn, error)
            })?;
            let subscriptions = page.subscriptions.unwrap_or_default().into_iter();
            listing.extend(
                subscriptions.filter_map(|one| Some((one.endpoint?, one.subscription_arn?))),
            );
        }
        Ok(listing)
    }

    /// The listed subscription of the queue with the ARN `endpoint`, if there is one.
    pub(crate) async fn find(
        &self,
        listing: &Listing,
        endpoint: &str,
    ) -> Result<Option<Subscription>, Error> {
        let Some(arn) = listing.get(endpoint).cloned() else { return Ok(None) };
        let found = self.sns.get_subscription_attributes().subscription_arn(&arn).send().await;
        let error = match found {
            Ok(found) => {
                let attributes = found.attributes.unwrap_or_default().into_iter().collect();
                return Ok(Some(Subscription { arn, attributes }));
            }
            Err(error) => error,
        };
        // Listed, but gone: the list lags behind.
        let known = error.as_service_error();
        if known.is_some_and(GetSubscriptionAttributesError::is_not_found_exception) {
            return Ok(None);
        }
        Err(Error::of_call("SNS GetSubscriptionAttributes", &arn, error))
    }

    /// Subscribes the queue with the ARN `endpoint`. With its filter from the start: a subscription without one
    /// delivers everything.
    pub(crate) async fn create(
        &self,
        endpoint: &str,
        attributes: &Attributes,
    ) -> Result<(), Error> {
        let mut subscribe = self
            .sns
            .subscribe()
            .topic_arn(&self.topic_arn)
            .protocol("sqs")
            .endpoint(endpoint)
            .return_subscription_arn(true);
        for (name, value) in attributes {
            subscribe = subscribe.attributes(name, value);
        }
        let made = subscribe.send().await;
        made.map_err(|error| Error::of_call("SNS Subscribe", endpoint, error))?;
        Ok(())
    }

    /// Sets one attribute; SNS takes no more in a call.
    pub(crate) async fn set(&self, arn: &str, name: &str, value: &str) -> Result<(), Error> {
        let set = self.sns.set_subscription_attributes().subscription_arn(arn);
        let set = set.attribute_name(name).attribute_value(value).send().await;
        set.map_err(|error| Error::of_call("SNS SetSubscriptionAttributes", arn, error))?;
        Ok(())
    }

    /// Ends the subscription. One that is gone is no error to SNS.
    pub(crate) async fn delete(&self, arn: &str) -> Result<(), Error> {
        let deleted = self.sns.unsubscribe().subscription_arn(arn).send().await;
        deleted.map_err(|error| Error::of_call("SNS Unsubscribe", arn, error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use event::names::{Stage, Topic};
    use event::packet::AttributeFilter;

    use super::*;

    #[test]
    fn undeliverable_messages_go_to_the_rivers_dead_letter_queue() {
        let river = River::parse("r1", &Stage::parse("dev").unwrap()).unwrap();
        let topics =
            Topics::from([(Topic::parse("ViewPage").unwrap(), AttributeFilter::default())]);
        let attributes = wanted(&Blueprint::test(), &river, &topics);
        assert_eq!(attributes["FilterPolicy"], r#"{"event_type":["ViewPage"]}"#);
        assert_eq!(attributes["FilterPolicyScope"], "MessageAttributes");
        assert_eq!(attributes["RawMessageDelivery"], "false");
        let dead_letters = "arn:aws:sqs:us-east-1:123456789012:r1-dev-dlq";
        assert_eq!(
            attributes["RedrivePolicy"],
            format!(r#"{{"deadLetterTargetArn":"{dead_letters}"}}"#)
        );
    }
}
