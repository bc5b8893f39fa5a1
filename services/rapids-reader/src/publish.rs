//! Publishes events in batches, entry by entry until SNS has accepted or refused each.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish_batch::{PublishBatchError, PublishBatchOutput};
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use event::{Header, message_group};
use tokio::time::sleep;

use crate::attributes::{self, Attribute};
use crate::metrics::Metrics;
use crate::pack::ENTRIES_MAX;

/// Attempts before what is left is given back, to be handed over again: some seconds of trying.
const ATTEMPTS_MAX: u32 = 6;
const RETRY_LEAST: Duration = Duration::from_millis(50);

/// Publishes to one SNS topic.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) sns: Client,
    pub(crate) topic_arn: String,
    /// Whether the subject becomes the message group.
    pub(crate) fair: bool,
    pub(crate) metrics: Metrics,
}

/// An event that SNS will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Index of the event in the request.
    pub(crate) index: usize,
    /// SNS's code and message.
    pub(crate) reason: String,
}

/// What a request, or the part of it that is left, came to. What is in neither list was accepted.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Entries that were neither accepted nor refused.
    pub(crate) left: Vec<usize>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) last_error: String,
}

impl Publisher {
    /// Publishes at most ten events, trying again for some seconds what SNS did not accept at first.
    pub(crate) async fn publish(&self, events: &[Header<'_>]) -> Attempt {
        self.metrics.batch_fill.observe(ratio(events.len()));
        let mut result = Attempt { left: (0..events.len()).collect(), ..Attempt::default() };
        for attempt in 0..ATTEMPTS_MAX {
            let outcome = self.attempt(events, &result.left).await;
            (result.left, result.last_error) = (outcome.left, outcome.last_error);
            result.refused.extend(outcome.refused);
            if result.left.is_empty() {
                break;
            }
            self.metrics.retried("entry", result.left.len());
            let ceiling = RETRY_LEAST * 2u32.pow(attempt);
            sleep(ceiling.mul_f64(0.5 + fastrand::f64())).await;
        }
        result
    }

    async fn attempt(&self, events: &[Header<'_>], left: &[usize]) -> Attempt {
        let entries =
            left.iter().filter_map(|&index| entry(index, &events[index], self.fair)).collect();
        let batch = self.sns.publish_batch().topic_arn(&self.topic_arn);
        match batch.set_publish_batch_request_entries(Some(entries)).send().await {
            Ok(reply) => told_apart(left, &reply),
            Err(error) => self.whole_request_failed(events, left, &error).await,
        }
    }

    /// A request that is refused as a whole is sent again entry by entry, so that the bad one stands alone.
    async fn whole_request_failed(
        &self,
        events: &[Header<'_>],
        left: &[usize],
        error: &SdkError<PublishBatchError>,
    ) -> Attempt {
        let reason = chassis::explain(error);
        if !is_refusal(error) {
            return Attempt { left: left.to_vec(), last_error: reason, ..Attempt::default() };
        }
        if let [index] = *left {
            return Attempt { refused: vec![Refused { index, reason }], ..Attempt::default() };
        }
        let mut attempt = Attempt::default();
        for &index in left {
            let single = Box::pin(self.attempt(events, &[index])).await;
            attempt.left.extend(single.left);
            attempt.refused.extend(single.refused);
            attempt.last_error = single.last_error;
        }
        attempt
    }
}

/// Accepted is only what SNS lists as successful: an entry that an answer does not mention is sent again.
fn told_apart(sent: &[usize], reply: &PublishBatchOutput) -> Attempt {
    let accepted: BTreeSet<_> = reply.successful().iter().filter_map(|entry| entry.id()).collect();
    let mut attempt = Attempt::default();
    for &index in sent {
        let id = index.to_string();
        if accepted.contains(id.as_str()) {
            continue;
        }
        let failed = reply.failed().iter().find(|failed| failed.id() == id);
        let reason = failed.map_or("not in the answer".to_owned(), |failed| {
            format!("{}: {}", failed.code(), failed.message().unwrap_or("no message"))
        });
        if failed.is_some_and(|failed| failed.sender_fault()) {
            attempt.refused.push(Refused { index, reason });
        } else {
            attempt.left.push(index);
            attempt.last_error = reason;
        }
    }
    attempt
}

/// Whether the content was refused, so that sending it again cannot help. A missing topic or permission is
/// not the event's fault.
fn is_refusal(error: &SdkError<PublishBatchError>) -> bool {
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
    use aws_sdk_sns::types::{BatchResultErrorEntry, PublishBatchResultEntry};

    use super::*;

    fn failed(id: &str, sender_fault: bool) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id).code("Code").sender_fault(sender_fault);
        entry.build().unwrap()
    }

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

    #[test]
    fn only_what_the_answer_lists_as_successful_is_accepted() {
        let reply = PublishBatchOutput::builder()
            .successful(PublishBatchResultEntry::builder().id("0").build())
            .failed(failed("1", true))
            .failed(failed("2", false))
            .build();
        let attempt = told_apart(&[0, 1, 2, 3], &reply);
        let reason = "Code: no message".to_owned();
        assert_eq!(attempt.refused, [Refused { index: 1, reason }]);
        assert_eq!(attempt.left, [2, 3], "an entry that is not mentioned is sent again");
    }
}
