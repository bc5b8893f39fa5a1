//! Where bytes go that nobody can take: an SQS queue, with every byte and the reason.
//!
//! A message says in its attributes why it is there (`kind` in one word, `reason` for people), where it came
//! from, and how its body is to be read: `encoding` is `text`, `base64` or `empty`; what is larger than one
//! message lies in several, `part` 1 to `parts`.

mod part;
mod text;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::QueueAttributeName;

pub use text::attribute;

/// Retention of a quarantine: the longest that SQS has, 14 days, in seconds.
pub const RETENTION_S: &str = "1209600";

/// A quarantine queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Quarantine {
    sqs: Client,
    name: String,
    queue_url: String,
}

/// Why something is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In one word, for counting.
    pub kind: &'static str,
    /// For people.
    pub text: String,
}

/// SQS did not do as it was asked: nothing may be taken for quarantined, try again.
#[derive(Debug, thiserror::Error)]
#[error("quarantine {queue}: SQS {operation} failed")]
pub struct Error {
    queue: String,
    operation: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Quarantine {
    /// Finds the queue `name`, or makes it, encrypted with `kms_key` where one is given.
    ///
    /// # Errors
    /// When SQS refuses or cannot be reached.
    pub async fn open(sqs: Client, name: &str, kms_key: Option<&str>) -> Result<Self, Error> {
        let failed = |operation, source| Error { queue: name.to_owned(), operation, source };
        let found = match sqs.get_queue_url().queue_name(name).send().await {
            Ok(found) => found.queue_url,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
                let retention = QueueAttributeName::MessageRetentionPeriod;
                let create = sqs.create_queue().queue_name(name).attributes(retention, RETENTION_S);
                let create = match kms_key {
                    Some(key) => create.attributes(QueueAttributeName::KmsMasterKeyId, key),
                    None => create,
                };
                let made = create.send().await;
                made.map_err(|error| failed("CreateQueue", error.into()))?.queue_url
            }
            Err(error) => return Err(failed("GetQueueUrl", error.into())),
        };
        let queue_url =
            found.ok_or_else(|| failed("GetQueueUrl", "no URL in the answer".into()))?;
        Ok(Self { sqs, name: name.to_owned(), queue_url })
    }

    /// Puts `bytes` there. Once this has returned `Ok`, all of them lie there. `origin` names where they came
    /// from; empty values are left out.
    ///
    /// # Errors
    /// When SQS refuses or cannot be reached.
    pub async fn put(
        &self,
        bytes: &[u8],
        reason: &Reason,
        origin: &[(&str, &str)],
    ) -> Result<(), Error> {
        let parts = part::parts(bytes);
        let count = parts.len().to_string();
        for (index, part) in parts.into_iter().enumerate() {
            let number = (index + 1).to_string();
            let own = [
                ("reason", reason.text.as_str()),
                ("kind", reason.kind),
                ("encoding", part.encoding),
                ("part", &number),
                ("parts", &count),
            ];
            let mut message = self.sqs.send_message().queue_url(&self.queue_url);
            for (name, value) in own.iter().chain(origin).filter(|(_, value)| !value.is_empty()) {
                let value = attribute(value).map_err(|error: BuildError| self.failed(error))?;
                message = message.message_attributes(*name, value);
            }
            message.message_body(part.body).send().await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let (queue, operation) = (self.name.clone(), "SendMessage");
        Error { queue, operation, source: source.into() }
    }
}
