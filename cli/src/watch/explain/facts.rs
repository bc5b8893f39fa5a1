//! What is known about a river: what is wanted, and what AWS really has.

use anyhow::Context as _;
use aws_sdk_sns::Client;
use event::Experiment;
use event::names::River;
use jiff::Timestamp;

use crate::manage::state::{self, Row};
use crate::session::Session;
use crate::watch::queue::Queue;
use crate::watch::rows::{self, Subscription};

/// All that decides about a delivery.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The event's text.
    pub(super) json: Vec<u8>,
    /// What is wanted in the river.
    pub(super) rows: Vec<Subscription>,
    /// Every experiment, and whether it runs.
    pub(super) experiments: Vec<(Experiment, bool)>,
    /// Whether the river has a queue.
    pub(super) has_queue: bool,
    /// What SNS has of it.
    pub(super) filter: Option<Filter>,
    /// What the control plane says of it: how it is fed.
    pub(super) row: Row,
    /// When it was asked.
    pub(super) now: Timestamp,
}

/// The subscription of the river's queue, as SNS has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// None: everything is let through.
    pub(super) policy: Option<String>,
    /// Whether it looks at the event's text instead of its attributes.
    pub(super) of_body: bool,
}

impl Facts {
    /// Asks AWS.
    pub(super) async fn gather(
        session: &Session,
        river: &River,
        json: Vec<u8>,
    ) -> anyhow::Result<Self> {
        let rows = rows::of_river(session, river).await?;
        let experiments = rows::experiments(session).await?;
        let row = state::row(session, river).await?;
        let now = session.now()?;
        let Some(queue) = Queue::find(session, &river.queue()).await? else {
            return Ok(Self { json, rows, experiments, row, now, ..Self::default() });
        };
        let arn = queue.arn(session).await?;
        let filter =
            filter(&session.aws.sns, &topic(&arn, &session.names.stage.rapids())?, &arn).await?;
        Ok(Self { json, rows, experiments, has_queue: true, filter, row, now })
    }
}

/// The topic of the rapids, which lives where the queue does: `arn:aws:sqs:REGION:ACCOUNT:QUEUE`.
fn topic(queue: &str, rapids: &str) -> anyhow::Result<String> {
    let parts: Vec<_> = queue.split(':').collect();
    let [arn, partition, _, region, account, _] = parts[..] else {
        anyhow::bail!("SQS says that the river's queue is {queue:?}, which is no ARN");
    };
    Ok(format!("{arn}:{partition}:sns:{region}:{account}:{rapids}"))
}

async fn filter(sns: &Client, topic: &str, queue: &str) -> anyhow::Result<Option<Filter>> {
    let list = sns.list_subscriptions_by_topic().topic_arn(topic);
    let mut pages = list.into_paginator().send();
    let mut subscription = None;
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            // No topic, no subscription: nothing was ever carried.
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found_exception()) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context(format!("subscriptions of {topic}")));
            }
        };
        let mut listed = page.subscriptions.unwrap_or_default().into_iter();
        subscription = listed.find(|listed| listed.endpoint.as_deref() == Some(queue));
        if subscription.is_some() {
            break;
        }
    }
    let Some(arn) = subscription.and_then(|listed| listed.subscription_arn) else {
        return Ok(None);
    };
    let got = sns.get_subscription_attributes().subscription_arn(&arn).send().await;
    let got = got.with_context(|| format!("subscription {arn}"))?;
    let attribute = |name: &str| got.attributes().and_then(|all| all.get(name)).cloned();
    Ok(Some(Filter {
        policy: attribute("FilterPolicy"),
        of_body: attribute("FilterPolicyScope").as_deref() == Some("MessageBody"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_lives_where_the_queue_does() {
        let queue = "arn:aws-cn:sqs:cn-north-1:123456789012:r1-dev";
        let topic_arn = "arn:aws-cn:sns:cn-north-1:123456789012:Rapids-dev";
        assert_eq!(topic(queue, "Rapids-dev").unwrap(), topic_arn);
        assert!(topic("r1-dev", "Rapids-dev").is_err());
    }
}
