//! Operations on topics.

use std::collections::BTreeMap;

use super::request::Request;
use super::state::Topic;
use super::{Sns, invalid, not_found, xml};
use crate::wire::AwsError;

/// Topics on a page of `ListTopics`.
const PAGE: usize = 100;

impl Sns {
    pub(super) fn create_topic(&self, request: &Request) -> Result<String, AwsError> {
        let name = request.required("Name")?;
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if stem.is_empty() || name.len() > 256 || !stem.bytes().all(legal) {
            return Err(invalid("Topic Name"));
        }
        let arn = self.topic_arn(name);
        let attributes = request.entries("Attributes");
        let mut state = self.state();
        let topic = state
            .topics
            .entry(arn.clone())
            .or_insert_with(|| Topic { attributes: attributes.clone() });
        let differs = |(key, value)| topic.attributes.get(key) != Some(value);
        if attributes.iter().any(differs) {
            let reason = "Attributes Reason: Topic already exists with different attributes";
            return Err(invalid(reason));
        }
        Ok(xml::element("TopicArn", &arn))
    }

    pub(super) fn delete_topic(&self, request: &Request) -> Result<String, AwsError> {
        let arn = request.required("TopicArn")?;
        let mut state = self.state();
        state.topics.remove(arn);
        state.subscriptions.retain(|_, subscription| subscription.topic != arn);
        Ok(String::new())
    }

    pub(super) fn list_topics(&self, request: &Request) -> Result<String, AwsError> {
        let after = request.get("NextToken").unwrap_or_default();
        let state = self.state();
        let rest = state.topics.keys().filter(|arn| arn.as_str() > after);
        let page: Vec<_> = rest.take(PAGE + 1).collect();
        let mut result = "<Topics>".to_owned();
        for arn in page.iter().take(PAGE) {
            result += &format!("<member>{}</member>", xml::element("TopicArn", arn));
        }
        result += "</Topics>";
        if page.len() > PAGE {
            result += &xml::element("NextToken", page[PAGE - 1]);
        }
        Ok(result)
    }

    pub(super) fn get_topic_attributes(&self, request: &Request) -> Result<String, AwsError> {
        let arn = request.required("TopicArn")?;
        let state = self.state();
        let topic = state.topics.get(arn).ok_or_else(|| not_found("Topic"))?;
        let mut attributes: BTreeMap<&str, String> =
            topic.attributes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        attributes.insert("TopicArn", arn.to_owned());
        attributes.insert("Owner", self.0.account.clone());
        attributes.insert("SubscriptionsConfirmed", state.of_topic(arn).count().to_string());
        Ok(xml::attributes(attributes))
    }

    pub(super) fn set_topic_attributes(&self, request: &Request) -> Result<String, AwsError> {
        let arn = request.required("TopicArn")?;
        let name = request.required("AttributeName")?.to_owned();
        let value = request.get("AttributeValue").unwrap_or_default().to_owned();
        let mut state = self.state();
        let topic = state.topics.get_mut(arn).ok_or_else(|| not_found("Topic"))?;
        topic.attributes.insert(name, value);
        Ok(String::new())
    }
}
