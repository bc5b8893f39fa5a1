//! The SNS topic that feeds rivers by their filter policies.

use std::borrow::Cow;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish_batch::{PublishBatchError, PublishBatchOutput};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use event::{Header, message_group};

use crate::attributes::{self, Attribute};
use crate::metrics::{Metrics, Mode};
use crate::outlet::{Answer, Failed, Outlet, Rejection};
use crate::pack::ENTRIES_MAX;

/// Publishes to one SNS topic.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) sns: Client,
    pub(crate) topic_arn: String,
    /// Whether the subject becomes the message group.
    pub(crate) fair: bool,
    pub(crate) metrics: Metrics,
}

impl Outlet for Publisher {
    const MODE: Mode = Mode::Sns;
    /// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
    const BYTES_MAX: usize = 256 << 10;

    async fn request(&self, events: &[(usize, &Header<'_>)]) -> Result<Answer, Rejection> {
        self.metrics.batch_fill.observe(ratio(events.len()));
        let entries =
            events.iter().filter_map(|&(index, header)| entry(index, header, self.fair)).collect();
        let batch = self.sns.publish_batch().topic_arn(&self.topic_arn);
        let sent = batch.set_publish_batch_request_entries(Some(entries)).send().await;
        sent.map(|reply| answer(&reply)).map_err(|error| Rejection {
            for_content: is_for_content(&error),
            reason: chassis::explain(&error),
        })
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn answer(reply: &PublishBatchOutput) -> Answer {
    let accepted = reply.successful().iter().filter_map(|entry| entry.id()?.parse().ok());
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

fn is_for_content(error: &SdkError<PublishBatchError>) -> bool {
    const CONTENT: [&str; 5] = [
        "InvalidParameter",
        "InvalidParameterValue",
        "ParameterValueInvalid",
        "ValidationException",
        "BatchRequestTooLong",
    ];
    let code = error.as_service_error().and_then(|error| error.code());
    code.is_some_and(|code| CONTENT.contains(&code))
}

fn entry(index: usize, header: &Header<'_>, fair: bool) -> Option<PublishBatchRequestEntry> {
    let mut entry = PublishBatchRequestEntry::builder().id(index.to_string()).message(header.json);
    for Attribute { name, data_type, value } in attributes::of(header) {
        let attribute = MessageAttributeValue::builder().data_type(data_type).string_value(value);
        entry = entry.message_attributes(name, attribute.build().ok()?);
    }
    let group = header.subject.as_deref().filter(|_| fair).and_then(message_group);
    entry.set_message_group_id(group.map(Cow::into_owned)).build().ok()
}

#[expect(clippy::cast_precision_loss, reason = "at most ten")]
fn ratio(entries: usize) -> f64 {
    entries as f64 / ENTRIES_MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_group_where_there_is_one_and_it_is_wanted() {
        let group = |json: &str, fair| {
            let header = Header::parse(json.as_bytes()).unwrap();
            entry(0, &header, fair).unwrap().message_group_id
        };
        let sally = r#"{"eventType":"A","subject":"sally","correlationId":"c"}"#;
        assert_eq!(group(sally, true).as_deref(), Some("sally"));
        assert_eq!(group(sally, false), None);
        assert_eq!(group(r#"{"eventType":"A","correlationId":"c"}"#, true), None);
        let odd = group(r#"{"eventType":"A","subject":"Sally Ride"}"#, true).unwrap();
        assert!(odd.bytes().all(|byte| byte.is_ascii_graphic()), "{odd}");
    }
}
