//! A queue of SQS, by its name.

use anyhow::Context as _;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use crate::session::Session;

/// A queue that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// Its numbers, approximate as SQS says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Messages that can be received.
    pub(crate) visible: u64,
    /// Messages that somebody has received and not deleted yet.
    pub(crate) hidden: u64,
}

impl Queue {
    /// The queue, if there is one.
    pub(crate) async fn find(session: &Session, name: &str) -> anyhow::Result<Option<Self>> {
        let found = match session.aws.sqs.get_queue_url().queue_name(name).send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
                return Ok(None);
            }
            Err(error) => return Err(anyhow::Error::new(error).context(format!("queue {name}"))),
        };
        let url = found.queue_url.with_context(|| format!("SQS gave no URL of queue {name}"))?;
        Ok(Some(Self { name: name.to_owned(), url }))
    }

    /// How much is in it.
    pub(crate) async fn count(&self, session: &Session) -> anyhow::Result<Count> {
        let get = session.aws.sqs.get_queue_attributes().queue_url(&self.url);
        let get = get
            .attribute_names(Attribute::ApproximateNumberOfMessages)
            .attribute_names(Attribute::ApproximateNumberOfMessagesNotVisible);
        let got = get.send().await.with_context(|| format!("counting in queue {}", self.name))?;
        let number = |name| {
            let text = got.attributes().and_then(|all| all.get(&name));
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(Count {
            visible: number(Attribute::ApproximateNumberOfMessages),
            hidden: number(Attribute::ApproximateNumberOfMessagesNotVisible),
        })
    }

    /// Its ARN.
    pub(crate) async fn arn(&self, session: &Session) -> anyhow::Result<String> {
        let get = session.aws.sqs.get_queue_attributes().queue_url(&self.url);
        let got = get.attribute_names(Attribute::QueueArn).send().await;
        let got = got.with_context(|| format!("looking at queue {}", self.name))?;
        let arn = got.attributes.and_then(|mut all| all.remove(&Attribute::QueueArn));
        arn.with_context(|| format!("SQS gave no ARN of queue {}", self.name))
    }
}
