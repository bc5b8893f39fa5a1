//! Queues come, change and go.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::error::Error;
use super::queue::{Queue, is_fifo};
use super::state::State;

/// For this long after its deletion the name of a queue cannot be used again
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html>).
const NAME_REST_MS: u64 = 60_000;
/// A queue can be purged this often.
const PURGE_REST_MS: u64 = 60_000;
const NAME_LENGTH_MAX: usize = 80;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags", alias = "Tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByName {
    queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByUrl {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
    max_results: Option<usize>,
    #[serde(default)]
    next_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    queue_url: String,
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Untag {
    queue_url: String,
    tag_keys: Vec<String>,
}

impl State {
    pub(super) fn create_queue(&mut self, input: CreateQueue, now_ms: u64) -> Result<Value, Error> {
        let CreateQueue { queue_name: name, attributes: given, tags } = input;
        let url = self.url(&name);
        if let Some(existing) = self.queues.get(&name) {
            return match existing.attributes.conflict(&given) {
                Some(attribute) => Err(Error::QueueAlreadyExists { attribute }),
                None => Ok(json!({ "QueueUrl": url })),
            };
        }
        check_name(&name, given.get("FifoQueue").map(String::as_str))?;
        if self.deleted_ms.get(&name).is_some_and(|at| at + NAME_REST_MS > now_ms) {
            return Err(Error::QueueDeletedRecently);
        }
        let attributes = Attributes::create(is_fifo(&name), &given)?;
        self.check_redrive(&attributes, &given, is_fifo(&name))?;
        let arn = format!("{}{name}", self.arn_prefix);
        let mut queue = Queue::new(&name, arn, attributes, now_ms);
        queue.tags = tags;
        self.queues.insert(name, queue);
        Ok(json!({ "QueueUrl": url }))
    }

    pub(super) fn delete_queue(&mut self, input: &ByUrl, now_ms: u64) -> Result<Value, Error> {
        let name = self.at(&input.queue_url, now_ms)?.name.clone();
        if let Some(queue) = self.queues.remove(&name) {
            queue.changed.notify_waiters();
        }
        self.deleted_ms.insert(name, now_ms);
        Ok(json!({}))
    }

    pub(super) fn get_queue_url(&self, input: &ByName) -> Result<Value, Error> {
        let queue = self.queues.get(&input.queue_name).ok_or(Error::NonExistentQueue)?;
        Ok(json!({ "QueueUrl": self.url(&queue.name) }))
    }

    /// In pages if `MaxResults` asks for them; the token is the last name of the page before.
    pub(super) fn list_queues(&self, input: &ListQueues) -> Value {
        let wanted = |name: &&String| {
            name.starts_with(&input.queue_name_prefix) && **name > input.next_token
        };
        let mut names: Vec<&String> = self.queues.keys().filter(wanted).collect();
        let max = input.max_results.unwrap_or(1000);
        let more = names.len() > max;
        names.truncate(max);
        let token = names.last().filter(|_| more && input.max_results.is_some());
        let urls: Vec<String> = names.iter().map(|name| self.url(name)).collect();
        match token {
            Some(token) => json!({ "QueueUrls": urls, "NextToken": token }),
            None => json!({ "QueueUrls": urls }),
        }
    }

    pub(super) fn get_attributes(
        &mut self,
        input: &GetAttributes,
        now_ms: u64,
    ) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let all = input.attribute_names.iter().any(|name| name == "All");
        let wanted = |name: &str| all || input.attribute_names.iter().any(|wanted| wanted == name);
        let set = queue.attributes.iter().map(|(name, value)| (name, value.to_owned()));
        let known = set.chain(computed(queue)).filter(|(name, _)| wanted(name));
        let attributes: Map<String, Value> =
            known.map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        Ok(json!({ "Attributes": attributes }))
    }

    pub(super) fn set_attributes(
        &mut self,
        input: &SetAttributes,
        now_ms: u64,
    ) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        let name = queue.name.clone();
        let mut attributes = queue.attributes.clone();
        if input.attributes.contains_key("FifoQueue") {
            return Err(Error::InvalidAttributeName("FifoQueue".into()));
        }
        attributes.set(&input.attributes)?;
        self.check_redrive(&attributes, &input.attributes, is_fifo(&name))?;
        let queue = self.at(&input.queue_url, now_ms)?;
        queue.attributes = attributes;
        queue.modified_ms = now_ms;
        queue.changed.notify_waiters();
        Ok(json!({}))
    }

    pub(super) fn purge(&mut self, input: &ByUrl, now_ms: u64) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        if queue.purged_ms.is_some_and(|at| at + PURGE_REST_MS > now_ms) {
            return Err(Error::PurgeQueueInProgress(queue.name.clone()));
        }
        queue.purged_ms = Some(now_ms);
        queue.store.clear();
        Ok(json!({}))
    }

    pub(super) fn tag(&mut self, input: Tag, now_ms: u64) -> Result<Value, Error> {
        self.at(&input.queue_url, now_ms)?.tags.extend(input.tags);
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self, input: &Untag, now_ms: u64) -> Result<Value, Error> {
        let queue = self.at(&input.queue_url, now_ms)?;
        queue.tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(json!({}))
    }

    pub(super) fn list_tags(&mut self, input: &ByUrl, now_ms: u64) -> Result<Value, Error> {
        Ok(json!({ "Tags": self.at(&input.queue_url, now_ms)?.tags }))
    }

    pub(super) fn list_dead_letter_sources(
        &mut self,
        input: &ByUrl,
        now_ms: u64,
    ) -> Result<Value, Error> {
        let arn = self.at(&input.queue_url, now_ms)?.arn.clone();
        let sources = self.queues.values().filter(|queue| {
            queue.attributes.redrive().is_some_and(|redrive| redrive.target_arn == arn)
        });
        let urls: Vec<String> = sources.map(|queue| self.url(&queue.name)).collect();
        // The only member of the whole API that begins with a small letter.
        Ok(json!({ "queueUrls": urls }))
    }

    /// A dead-letter queue must be there, and of the same kind, when it is named.
    fn check_redrive(
        &self,
        attributes: &Attributes,
        given: &BTreeMap<String, String>,
        fifo: bool,
    ) -> Result<(), Error> {
        let Some(redrive) = attributes.redrive().filter(|_| given.contains_key("RedrivePolicy"))
        else {
            return Ok(());
        };
        let target = redrive.target_arn.strip_prefix(&self.arn_prefix);
        let reason = match target.and_then(|name| self.queues.get(name)) {
            Some(target) if target.is_fifo() == fifo => return Ok(()),
            Some(_) => "Dead-letter queue must be same type of queue as the source.",
            None => "Dead letter target does not exist.",
        };
        let policy = given.get("RedrivePolicy").map(String::as_str).unwrap_or_default();
        Err(Error::InvalidParameterValue(format!(
            "Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"
        )))
    }
}

/// Attributes that the service computes; they can be asked for, not set.
fn computed(queue: &Queue) -> [(&str, String); 6] {
    let store = &queue.store;
    [
        ("ApproximateNumberOfMessages", store.ready().to_string()),
        ("ApproximateNumberOfMessagesDelayed", store.delayed().to_string()),
        ("ApproximateNumberOfMessagesNotVisible", store.in_flight().to_string()),
        ("CreatedTimestamp", (queue.created_ms / 1000).to_string()),
        ("LastModifiedTimestamp", (queue.modified_ms / 1000).to_string()),
        ("QueueArn", queue.arn.clone()),
    ]
}

fn check_name(name: &str, fifo_attribute: Option<&str>) -> Result<(), Error> {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let letters = stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if stem.is_empty() || name.len() > NAME_LENGTH_MAX || !letters {
        let message =
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(Error::InvalidParameterValue(message.into()));
    }
    if is_fifo(name) != (fifo_attribute == Some("true")) {
        let message = "The name of a FIFO queue must end with the .fifo suffix, and its attribute FifoQueue must be true.";
        return Err(Error::InvalidParameterValue(message.into()));
    }
    Ok(())
}
