//! Publishes onto the rapids.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry as Record;
use chassis::{Clock, Kit};
use event::{Draft, Event, MAX_HOPS, Origin, Producer};
use jiff::Timestamp;
use tokio::time::sleep;

use crate::handler::Failure;
use crate::metrics::Metrics;
use crate::pack;

/// Attempts at what Kinesis does not take at once: some seconds of trying, then the cause is retried.
const ATTEMPTS_MAX: u32 = 6;
const PAUSE_LEAST: Duration = Duration::from_millis(50);

/// The rapids, as one service writes onto them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rapids(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kinesis: Client,
    stream: String,
    author: Author,
    clock: Clock,
    metrics: Metrics,
}

/// Who writes.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) producer: Producer,
    pub(crate) domain: &'static str,
    /// Whether what it says is only to be compared.
    pub(crate) shadow: bool,
}

/// Before the type of what a shadow says.
const SHADOW: &str = "shadow.";
/// Before the type of what services say of themselves. A shadow is as real as any service.
const SYSTEM: &str = "system.";

/// The type under which an event goes onto the rapids.
pub(crate) fn said(event_type: &str, shadow: bool) -> Cow<'_, str> {
    if shadow && !event_type.starts_with(SYSTEM) {
        Cow::Owned(format!("{SHADOW}{event_type}"))
    } else {
        Cow::Borrowed(event_type)
    }
}

/// Events are not on the rapids, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// An event is too far from its root. Publishing it would keep a loop going.
    #[error(
        "{event_type} would be {hops} hops from the root of its conversation: events answer each other in a loop"
    )]
    Loop {
        /// Type of the event.
        event_type: String,
        /// Its distance.
        hops: u32,
    },
    /// Kinesis says that the request is wrong; sending it again cannot help.
    #[error("stream {stream} refuses the events: {reason}")]
    Refused {
        /// The stream.
        stream: String,
        /// What Kinesis said.
        reason: String,
    },
    /// Kinesis could not be made to take everything for now.
    #[error(
        "stream {stream} took no more than {accepted} of {events} events after {ATTEMPTS_MAX} attempts: {last}"
    )]
    NotAccepted {
        /// The stream.
        stream: String,
        /// Events it took, in the last request.
        accepted: usize,
        /// Events of that request.
        events: usize,
        /// What Kinesis said last.
        last: String,
    },
}

impl NotPublished {
    /// Whether the cause is to be retried or quarantined.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Loop { .. } => Failure::last("loop", self.to_string()),
            Self::Refused { .. } => Failure::last("refused", self.to_string()),
            Self::NotAccepted { .. } => Failure::from(self),
        }
    }
}

/// What a request left over.
struct Left {
    records: Vec<Record>,
    last_error: String,
}

impl Rapids {
    pub(crate) fn new(kit: &Kit, stream: String, author: Author, metrics: Metrics) -> Self {
        let (kinesis, clock) = (kit.kinesis(), *kit.clock());
        Self(Arc::new(Inner { kinesis, stream, author, clock, metrics }))
    }

    /// The event that `draft` becomes as an answer to `cause`: everything but publishing it.
    #[must_use]
    pub fn answer(&self, cause: &Event, draft: Draft) -> Event {
        let Author { producer, domain, .. } = &self.0.author;
        draft.answer(cause, Origin { producer, domain, at: now(&self.0.clock) })
    }

    /// Puts events onto the rapids. Once this has returned `Ok`, all of them are there; if it does not, some may
    /// be, and publishing all of them again is harmless: they have the same ids.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub async fn publish(&self, events: &[Event]) -> Result<(), NotPublished> {
        let result = self.put_all(events).await;
        let outcome = match &result {
            Ok(()) => "ok",
            Err(NotPublished::Loop { .. }) => "loop",
            Err(NotPublished::Refused { .. }) => "refused",
            Err(NotPublished::NotAccepted { .. }) => "failed",
        };
        for event in events {
            self.0.metrics.published(&event.event_type, outcome);
        }
        result
    }

    async fn put_all(&self, events: &[Event]) -> Result<(), NotPublished> {
        if let Some(far) = events.iter().find(|event| event.hops > MAX_HOPS) {
            let (event_type, hops) = (far.event_type.clone(), far.hops);
            return Err(NotPublished::Loop { event_type, hops });
        }
        let record = |event: &Event| match said(&event.event_type, self.0.author.shadow) {
            Cow::Borrowed(_) => record(event),
            Cow::Owned(event_type) => record(&Event { event_type, ..event.clone() }),
        };
        let records = events.iter().map(record).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|error| self.refused(error.to_string()))?;
        let sizes: Vec<_> = records.iter().map(size).collect();
        for run in pack::runs(&sizes) {
            self.put(records[run].to_vec()).await?;
        }
        Ok(())
    }

    async fn put(&self, records: Vec<Record>) -> Result<(), NotPublished> {
        let events = records.len();
        let mut left = Left { records, last_error: String::new() };
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                let ceiling = PAUSE_LEAST * 2u32.pow(attempt);
                sleep(ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            }
            left = self.attempt(left.records).await?;
            if left.records.is_empty() {
                return Ok(());
            }
        }
        let accepted = events - left.records.len();
        let stream = self.0.stream.clone();
        Err(NotPublished::NotAccepted { stream, accepted, events, last: left.last_error })
    }

    /// Puts the records, and returns those that Kinesis did not take.
    async fn attempt(&self, records: Vec<Record>) -> Result<Left, NotPublished> {
        let call = self.0.kinesis.put_records().stream_name(&self.0.stream);
        match call.set_records(Some(records.clone())).send().await {
            Ok(reply) => Ok(left_over(records, reply.records())),
            Err(error) if is_refusal(&error) => Err(self.refused(chassis::explain(&error))),
            Err(error) => Ok(Left { records, last_error: chassis::explain(&error) }),
        }
    }

    fn refused(&self, reason: String) -> NotPublished {
        NotPublished::Refused { stream: self.0.stream.clone(), reason }
    }
}

/// The reply has an entry for each record, in their order; one with an error code was not taken.
fn left_over(
    records: Vec<Record>,
    reply: &[aws_sdk_kinesis::types::PutRecordsResultEntry],
) -> Left {
    let failed = reply.iter().rfind(|entry| entry.error_code().is_some());
    let said = failed.map(|entry| (entry.error_code(), entry.error_message().unwrap_or_default()));
    let last_error = said.map(|(code, message)| format!("{}: {message}", code.unwrap_or_default()));
    let is_left = |index: usize| reply.get(index).is_none_or(|entry| entry.error_code().is_some());
    let records = records.into_iter().enumerate().filter(|(index, _)| is_left(*index));
    Left {
        records: records.map(|(_, record)| record).collect(),
        last_error: last_error.unwrap_or_default(),
    }
}

/// Whether the content was refused. A missing stream or permission is not the event's fault.
fn is_refusal(error: &SdkError<PutRecordsError>) -> bool {
    const CONTENT: [&str; 2] = ["InvalidArgumentException", "ValidationException"];
    let code = error.as_service_error().and_then(|error| error.code());
    code.is_some_and(|code| CONTENT.contains(&code))
}

fn record(event: &Event) -> Result<Record, aws_sdk_kinesis::error::BuildError> {
    let data = Blob::new(event.to_json());
    Record::builder().data(data).partition_key(event.partition_key()).build()
}

fn size(record: &Record) -> usize {
    record.data.as_ref().len() + record.partition_key.as_ref().map_or(0, String::len)
}

/// The time that events are stamped with.
pub(crate) fn now(clock: &Clock) -> Timestamp {
    Timestamp::try_from(clock.now()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::types::PutRecordsResultEntry as Entry;

    use super::*;

    fn record(name: &str) -> Record {
        Record::builder().data(Blob::new(name)).partition_key("k").build().unwrap()
    }

    #[test]
    fn what_kinesis_did_not_take_is_left_over() {
        let ok = Entry::builder().sequence_number("1").build();
        let code = "ProvisionedThroughputExceededException";
        let throttled = Entry::builder().error_code(code).error_message("slow down").build();
        let records = vec![record("a"), record("b"), record("c")];
        let left = left_over(records.clone(), &[ok.clone(), throttled, ok.clone()]);
        assert_eq!(left.records, [record("b")]);
        assert_eq!(left.last_error, format!("{code}: slow down"));
        // A reply that is too short has not said that it took the rest.
        assert_eq!(left_over(records, &[ok]).records, [record("b"), record("c")]);
    }

    #[test]
    fn only_a_retry_that_can_help_is_one() {
        use crate::handler::Kind;
        let stream = || "Rapids-dev".to_owned();
        let last = String::new();
        let busy = NotPublished::NotAccepted { stream: stream(), accepted: 0, events: 1, last };
        assert!(matches!(busy.into_failure().0, Kind::Retry(_)));
        let refused = NotPublished::Refused { stream: stream(), reason: "too large".into() };
        assert!(matches!(refused.into_failure().0, Kind::Final { kind: "refused", .. }));
        let turning = NotPublished::Loop { event_type: "A".into(), hops: 33 };
        assert!(matches!(turning.into_failure().0, Kind::Final { kind: "loop", .. }));
    }
}
