//! Publishing, one by one and in batches.

use std::collections::BTreeSet;

use super::message::{BYTES_MAX, Message};
use super::request::Request;
use super::{Sns, invalid, not_found, xml};
use crate::wire::{AwsError, request_id};

/// Entries in a batch (<https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>).
const ENTRIES_MAX: usize = 10;

impl Sns {
    pub(super) fn publish(&self, request: &Request) -> Result<String, AwsError> {
        let topic = request.get("TopicArn").or_else(|| request.get("TargetArn"));
        let topic = topic.ok_or_else(|| invalid("TopicArn or TargetArn"))?;
        self.require_topic(topic)?;
        let message = Message::parse(request, "", request_id())?;
        if message.bytes() > BYTES_MAX {
            return Err(invalid("Message too long"));
        }
        self.deliver(topic, &message);
        Ok(xml::element("MessageId", &message.id))
    }

    /// Answers entry by entry; what is wrong with the batch as a whole refuses all of it.
    pub(super) fn publish_batch(&self, request: &Request) -> Result<String, AwsError> {
        let topic = request.required("TopicArn")?;
        self.require_topic(topic)?;
        let entries = read_entries(request)?;
        let (mut successful, mut failed) = (String::new(), String::new());
        for (id, message) in entries {
            let id = xml::element("Id", &id);
            match message {
                Ok(message) => {
                    self.deliver(topic, &message);
                    let message_id = xml::element("MessageId", &message.id);
                    successful += &format!("<member>{id}{message_id}</member>");
                }
                Err(error) => {
                    let code = xml::element("Code", &error.code);
                    let text = xml::element("Message", &error.message);
                    let fault = "<SenderFault>true</SenderFault>";
                    failed += &format!("<member>{id}{code}{text}{fault}</member>");
                }
            }
        }
        Ok(format!("<Successful>{successful}</Successful><Failed>{failed}</Failed>"))
    }

    fn require_topic(&self, arn: &str) -> Result<(), AwsError> {
        let known = self.state().topics.contains_key(arn);
        known.then_some(()).ok_or_else(|| not_found("Topic"))
    }
}

type Entry = (String, Result<Message, AwsError>);

fn read_entries(request: &Request) -> Result<Vec<Entry>, AwsError> {
    let members = request.members("PublishBatchRequestEntries.member");
    let refused = |code, message: &str| Err(AwsError::bad_request(code, message));
    if members.is_empty() {
        return refused("EmptyBatchRequest", "The batch request doesn't contain any entries.");
    }
    if members.len() > ENTRIES_MAX {
        let message = "The batch request contains more entries than permissible.";
        return refused("TooManyEntriesInBatchRequest", message);
    }
    let mut ids = BTreeSet::new();
    let mut entries = Vec::new();
    for member in members {
        let id = request.required(&format!("{member}.Id"))?.to_owned();
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if id.len() > 80 || !id.bytes().all(legal) {
            return refused(
                "InvalidBatchEntryId",
                "The Id of a batch entry doesn't abide by the specification.",
            );
        }
        if !ids.insert(id.clone()) {
            let message = "Two or more batch entries in the request have the same Id.";
            return refused("BatchEntryIdsNotDistinct", message);
        }
        entries.push((id, Message::parse(request, &format!("{member}."), request_id())));
    }
    let messages = entries.iter().filter_map(|(_, message)| message.as_ref().ok());
    if messages.map(Message::bytes).sum::<usize>() > BYTES_MAX {
        let message = "The length of all the batch messages put together is more than the limit.";
        return refused("BatchRequestTooLong", message);
    }
    Ok(entries)
}
