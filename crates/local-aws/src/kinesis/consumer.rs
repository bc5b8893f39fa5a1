//! Consumers of enhanced fan-out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{
    invalid_argument, legal_name, limit_exceeded, not_found, parse, reply, resource_in_use,
    seconds, within,
};
use super::shard::ShardId;
use super::stream::{Stream, millis};
use super::token::{self, Page};
use super::{Kinesis, Reply, StreamRef};
use crate::wire::AwsError;

/// Consumers of a stream, and those of them that may be CREATING
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html>).
const CONSUMERS_MAX: usize = 20;
const CREATING_MAX: usize = 5;
/// Consumers on a page at the most
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListStreamConsumers.html>).
const PAGE: usize = 100;
const MAX_RESULTS: usize = 10_000;

/// A registered consumer of enhanced fan-out.
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) subscriptions: BTreeMap<ShardId, Subscribed>,
    created_ms: u64,
    active_from_ms: u64,
}

/// The latest subscription of a consumer to a shard.
#[derive(Clone, Copy)]
pub(super) struct Subscribed {
    pub(super) at_ms: u64,
    /// A later subscription has a higher number.
    pub(super) number: u64,
}

#[derive(Deserialize)]
struct ConsumerRef {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ConsumerName")]
    name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListConsumers {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

impl Kinesis {
    pub(super) fn register_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        let name = legal_name("consumerName", request.name.as_deref().unwrap_or_default())?;
        self.with_stream(&request.stream()?, |stream, now_ms| {
            stream.check_created(now_ms)?;
            if stream.consumers.contains_key(name) {
                let message = format!("Consumer {name} of stream {} exists.", stream.title());
                return Err(resource_in_use(message));
            }
            let creating =
                stream.consumers.values().filter(|consumer| !consumer.is_active(now_ms)).count();
            if stream.consumers.len() == CONSUMERS_MAX || creating == CREATING_MAX {
                let message = format!(
                    "Stream {} has {} consumers, {creating} of them CREATING: more are not allowed.",
                    stream.title(),
                    stream.consumers.len()
                );
                return Err(limit_exceeded(message));
            }
            let consumer = Consumer {
                arn: format!("{}/consumer/{name}:{}", stream.arn, now_ms / 1_000),
                name: name.to_owned(),
                subscriptions: BTreeMap::new(),
                created_ms: now_ms,
                active_from_ms: now_ms + millis(self.0.settings.updating),
            };
            // The answer to a registration always says CREATING.
            let mut answer = consumer.describe(now_ms);
            answer["ConsumerStatus"] = json!("CREATING");
            stream.consumers.insert(name.to_owned(), consumer);
            reply(&json!({ "Consumer": answer }))
        })
    }

    pub(super) fn deregister_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        self.with_stream(&request.stream()?, |stream, _| {
            let name = request.find(stream)?.name.clone();
            stream.consumers.remove(&name);
            stream.changed.send_replace(());
            Ok("{}".to_owned())
        })
    }

    pub(super) fn describe_consumer(&self, body: &[u8]) -> Reply {
        let request: ConsumerRef = parse(body)?;
        self.with_stream(&request.stream()?, |stream, now_ms| {
            let mut description = request.find(stream)?.describe(now_ms);
            description["StreamARN"] = json!(stream.arn);
            reply(&json!({ "ConsumerDescription": description }))
        })
    }

    pub(super) fn list_consumers(&self, body: &[u8]) -> Reply {
        let request: ListConsumers = parse(body)?;
        let max = request.max_results;
        let max = max.map_or(Ok(PAGE), |max| within("maxResults", max, 1, MAX_RESULTS))?.min(PAGE);
        let page =
            |token: &String| Page::read(token, self.now_ms(), self.0.settings.iterator_lifetime);
        let page = request.next_token.as_ref().map(page).transpose()?;
        let after = page.map(|page| page.after).unwrap_or_default();
        self.with_stream(&StreamRef::of_arn(&request.stream_arn), |stream, now_ms| {
            let mut listed = stream.consumers.values().filter(|consumer| consumer.name > after);
            let page: Vec<_> = listed.by_ref().take(max).collect();
            let more = listed.next().is_some();
            let described: Vec<_> = page.iter().map(|consumer| consumer.describe(now_ms)).collect();
            let mut answer = json!({ "Consumers": described });
            if let Some(last) = page.last().filter(|_| more) {
                let (stream, after) = (stream.name.clone(), last.name.clone());
                let page = Page { stream, after, filter: None, issued_ms: now_ms };
                answer["NextToken"] = json!(token::encode(&page));
            }
            reply(&answer)
        })
    }
}

impl ConsumerRef {
    fn stream(&self) -> Result<StreamRef, AwsError> {
        let arn = self.stream_arn.as_deref().or(self.arn.as_deref());
        arn.map(StreamRef::of_arn).ok_or_else(|| {
            invalid_argument("Either StreamARN and ConsumerName or ConsumerARN should be provided.")
        })
    }

    fn find<'s>(&self, stream: &'s Stream) -> Result<&'s Consumer, AwsError> {
        let is_meant = |known: &&Consumer| match &self.arn {
            Some(arn) => *arn == known.arn,
            None => self.name.as_ref() == Some(&known.name),
        };
        stream.consumers.values().find(is_meant).ok_or_else(|| {
            let name = self.arn.as_ref().or(self.name.as_ref()).map_or("", String::as_str);
            not_found(format!("Consumer {name} of stream {} not found.", stream.title()))
        })
    }
}

impl Consumer {
    pub(super) fn is_active(&self, now_ms: u64) -> bool {
        now_ms >= self.active_from_ms
    }

    fn describe(&self, now_ms: u64) -> Value {
        let status = if self.is_active(now_ms) { "ACTIVE" } else { "CREATING" };
        json!({
            "ConsumerName": self.name,
            "ConsumerARN": self.arn,
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": seconds(self.created_ms),
        })
    }
}
