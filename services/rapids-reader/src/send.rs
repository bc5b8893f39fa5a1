//! The queues of rivers that are fed directly.

use std::borrow::Cow;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use event::{Header, message_group};
use tokio::sync::Semaphore;

use crate::attributes::{self, Attribute};
use crate::metrics::{Metrics, Mode};
use crate::outlet::{Answer, Failed, Outlet, Rejection};
use crate::target::Target;

/// Requests to SQS under way in the process, all shards and rivers together. Each holds a copy of up to 1 MiB of
/// events, so this bounds memory as well.
const UNDER_WAY_MAX: usize = 64;

/// Sends to queues.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    sqs: Client,
    fair: bool,
    metrics: Metrics,
    under_way: Arc<Semaphore>,
}

/// The queue of one river.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue<'a> {
    sender: &'a Sender,
    url: &'a str,
}

impl Sender {
    /// `fair`: whether the subject becomes the message group.
    pub(crate) fn new(sqs: Client, fair: bool, metrics: Metrics) -> Self {
        Self { sqs, fair, metrics, under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)) }
    }

    pub(crate) fn queue<'a>(&'a self, target: &'a Target) -> Queue<'a> {
        Queue { sender: self, url: &target.queue_url }
    }
}

impl Outlet for Queue<'_> {
    const MODE: Mode = Mode::Direct;
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
    const BYTES_MAX: usize = 1 << 20;

    async fn request(&self, events: &[(usize, &Header<'_>)]) -> Result<Answer, Rejection> {
        // Never closed: without a permit at worst more memory is used.
        let _permit = self.sender.under_way.acquire().await.ok();
        let entries = events.iter();
        let entries = entries.filter_map(|&(index, header)| entry(index, header, self.sender.fair));
        let batch = self.sender.sqs.send_message_batch().queue_url(self.url);
        let sent = batch.set_entries(Some(entries.collect())).send().await;
        sent.map(|reply| answer(&reply)).map_err(|error| Rejection {
            for_content: is_for_content(&error),
            reason: chassis::explain(&error),
        })
    }

    fn metrics(&self) -> &Metrics {
        &self.sender.metrics
    }
}

fn answer(reply: &SendMessageBatchOutput) -> Answer {
    let accepted = reply.successful().iter().filter_map(|entry| entry.id().parse().ok());
    let failed = reply.failed().iter().filter_map(|failed| {
        let reason = format!("{}: {}", failed.code(), failed.message().unwrap_or("no message"));
        Some(Failed {
            index: failed.id().parse().ok()?,
            sender_fault: failed.sender_fault(),
            reason,
        })
    });
    Answer { accepted: accepted.collect(), failed: failed.collect() }
}

/// Codes by the JSON protocol, and by the query protocol, whose last part it is.
fn is_for_content(error: &SdkError<SendMessageBatchError>) -> bool {
    const CONTENT: [&str; 3] =
        ["BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue"];
    let code = error.as_service_error().and_then(|error| error.code());
    code.and_then(|code| code.rsplit('.').next()).is_some_and(|code| CONTENT.contains(&code))
}

fn entry(index: usize, header: &Header<'_>, fair: bool) -> Option<SendMessageBatchRequestEntry> {
    let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
    let mut entry = entry.message_body(header.json);
    for Attribute { name, data_type, value } in attributes::of(header) {
        let attribute = MessageAttributeValue::builder().data_type(data_type).string_value(value);
        entry = entry.message_attributes(name, attribute.build().ok()?);
    }
    let group = header.subject.as_deref().filter(|_| fair).and_then(message_group);
    entry.set_message_group_id(group.map(Cow::into_owned)).build().ok()
}
