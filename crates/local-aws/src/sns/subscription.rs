//! Operations on subscriptions.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use event::filter::{FilterPolicy, Scope};

use super::request::Request;
use super::state::{Filter, Past, State, Subscription};
use super::{Sns, invalid, not_found, xml};
use crate::wire::{AwsError, request_id};

/// Subscriptions on a page
/// (<https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html>).
const PAGE: usize = 100;
/// Filter policies on a topic
/// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
const POLICIES_MAX: usize = 200;
const SETTABLE: [&str; 4] =
    ["FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"];

impl Sns {
    pub(super) fn subscribe(&self, request: &Request) -> Result<String, AwsError> {
        let topic = request.required("TopicArn")?;
        if request.required("Protocol")? != "sqs" {
            return Err(invalid("Protocol Reason: local-aws delivers to sqs only"));
        }
        let endpoint = request.required("Endpoint")?;
        if !endpoint.starts_with("arn:aws:sqs:") || endpoint.split(':').count() != 6 {
            return Err(invalid("SQS endpoint ARN"));
        }
        let attributes = request.entries("Attributes");
        let filter = filter(&attributes)?;
        check(&attributes)?;
        let mut state = self.state();
        if !state.topics.contains_key(topic) {
            return Err(not_found("Topic"));
        }
        if let Some(existing) = state.of_topic(topic).find(|known| known.endpoint == endpoint) {
            if attributes
                .iter()
                .any(|(name, value)| existing.attribute(name) != Some(value.as_str()))
            {
                let reason = "Subscription already exists with different attributes";
                return Err(invalid(&format!("Attributes Reason: {reason}")));
            }
            return Ok(xml::element("SubscriptionArn", &existing.arn));
        }
        within_policy_limit(&state, topic, filter.is_some())?;
        let arn = format!("{topic}:{}", request_id());
        let subscription = Subscription {
            arn: arn.clone(),
            topic: topic.to_owned(),
            endpoint: endpoint.to_owned(),
            attributes,
            filter,
            past: self.past(None),
        };
        state.subscriptions.insert(arn.clone(), subscription);
        Ok(xml::element("SubscriptionArn", &arn))
    }

    pub(super) fn unsubscribe(&self, request: &Request) -> Result<String, AwsError> {
        let arn = request.required("SubscriptionArn")?;
        self.state().subscriptions.remove(arn);
        Ok(String::new())
    }

    pub(super) fn list_subscriptions_by_topic(
        &self,
        request: &Request,
    ) -> Result<String, AwsError> {
        let topic = request.required("TopicArn")?;
        if !self.state().topics.contains_key(topic) {
            return Err(not_found("Topic"));
        }
        self.list_subscriptions(request, Some(topic))
    }

    pub(super) fn list_subscriptions(
        &self,
        request: &Request,
        topic: Option<&str>,
    ) -> Result<String, AwsError> {
        let after = request.get("NextToken").unwrap_or_default();
        let state = self.state();
        let all = state.subscriptions.values();
        let wanted = all.filter(|known| topic.is_none_or(|topic| known.topic == topic));
        let page: Vec<_> =
            wanted.filter(|known| known.arn.as_str() > after).take(PAGE + 1).collect();
        let mut result = "<Subscriptions>".to_owned();
        for known in page.iter().take(PAGE) {
            let fields = [
                ("SubscriptionArn", known.arn.as_str()),
                ("Owner", &self.0.account),
                ("Protocol", "sqs"),
                ("Endpoint", &known.endpoint),
                ("TopicArn", &known.topic),
            ];
            let fields = fields.map(|(name, text)| xml::element(name, text)).concat();
            result += &format!("<member>{fields}</member>");
        }
        result += "</Subscriptions>";
        if page.len() > PAGE {
            result += &xml::element("NextToken", &page[PAGE - 1].arn);
        }
        Ok(result)
    }

    pub(super) fn get_subscription_attributes(
        &self,
        request: &Request,
    ) -> Result<String, AwsError> {
        let arn = request.required("SubscriptionArn")?;
        let state = self.state();
        let known = state.subscriptions.get(arn).ok_or_else(|| not_found("Subscription"))?;
        let mut attributes: BTreeMap<&str, String> =
            known.attributes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        attributes.insert("SubscriptionArn", known.arn.clone());
        attributes.insert("TopicArn", known.topic.clone());
        attributes.insert("Endpoint", known.endpoint.clone());
        attributes.insert("Protocol", "sqs".to_owned());
        attributes.insert("Owner", self.0.account.clone());
        attributes.insert("PendingConfirmation", "false".to_owned());
        attributes.entry("RawMessageDelivery").or_insert_with(|| "false".to_owned());
        if known.filter.is_some() {
            attributes.entry("FilterPolicyScope").or_insert_with(|| "MessageAttributes".to_owned());
        }
        Ok(xml::attributes(attributes))
    }

    pub(super) fn set_subscription_attributes(
        &self,
        request: &Request,
    ) -> Result<String, AwsError> {
        let arn = request.required("SubscriptionArn")?;
        let name = request.required("AttributeName")?;
        let value = request.get("AttributeValue").unwrap_or_default();
        let mut state = self.state();
        let known = state.subscriptions.get(arn).ok_or_else(|| not_found("Subscription"))?;
        let mut changed = known.clone();
        if value.is_empty() || (name == "FilterPolicy" && value == "{}") {
            changed.attributes.remove(name);
        } else {
            changed.attributes.insert(name.to_owned(), value.to_owned());
        }
        check(&changed.attributes)?;
        changed.filter = filter(&changed.attributes)?;
        changed.past = self.past(known.filter_at(self.0.clock.now_ms()).cloned());
        if changed.filter.is_some() && known.filter.is_none() {
            within_policy_limit(&state, &changed.topic, true)?;
        }
        state.subscriptions.insert(arn.to_owned(), changed);
        Ok(String::new())
    }

    /// What counts until a change that is made now has found its way.
    fn past(&self, filter: Option<Filter>) -> Option<Past> {
        let lag_ms = self.0.filter_lag_ms.load(Ordering::Relaxed);
        (lag_ms > 0).then(|| Past { until_ms: self.0.clock.now_ms() + lag_ms, filter })
    }
}

fn check(attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
    if let Some(unknown) = attributes.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        return Err(invalid(&format!("AttributeName: {unknown}")));
    }
    let raw = attributes.get("RawMessageDelivery");
    if raw.is_some_and(|raw| raw != "true" && raw != "false") {
        return Err(invalid("RawMessageDelivery Reason: expected true or false"));
    }
    let target = |policy: &String| {
        let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
        policy["deadLetterTargetArn"].as_str().map(|arn| arn.starts_with("arn:aws:sqs:"))
    };
    match attributes.get("RedrivePolicy").map(target) {
        None | Some(Some(true)) => Ok(()),
        _ => Err(invalid("RedrivePolicy Reason: deadLetterTargetArn must be a queue's ARN")),
    }
}

fn filter(attributes: &BTreeMap<String, String>) -> Result<Filter, AwsError> {
    let scope = match attributes.get("FilterPolicyScope").map(String::as_str) {
        None | Some("MessageAttributes") => Scope::Attributes,
        Some("MessageBody") => Scope::Body,
        Some(other) => return Err(invalid(&format!("FilterPolicyScope: {other}"))),
    };
    let Some(policy) = attributes.get("FilterPolicy") else { return Ok(None) };
    let policy = FilterPolicy::parse(policy, scope)
        .map_err(|error| invalid(&format!("FilterPolicy: {error}")))?;
    Ok(Some((scope, policy)))
}

fn within_policy_limit(state: &State, topic: &str, one_more: bool) -> Result<(), AwsError> {
    let policies = state.of_topic(topic).filter(|known| known.filter.is_some()).count();
    if one_more && policies >= POLICIES_MAX {
        return Err(AwsError {
            status: http::StatusCode::FORBIDDEN,
            code: "FilterPolicyLimitExceeded".to_owned(),
            message: format!("Filter policy limit of {POLICIES_MAX} per topic exceeded"),
        });
    }
    Ok(())
}
