//! Does what a plan says, step by step. No decision is made here.

use std::collections::BTreeMap;

use event::names::River;
use event::route::Direct;
use jiff::Timestamp;

use crate::error::Error;
use crate::nudge::Nudges;
use crate::plan::{Action, View};
use crate::queue::Queues;
use crate::subscription::Subscriptions;
use crate::tables::Tables;

/// The services that steps are done with.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    pub(crate) queues: Queues,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) tables: Tables,
    pub(crate) nudges: Nudges,
}

impl Hands {
    /// Does the steps in their order, up to the first that fails.
    pub(crate) async fn act(
        &self,
        river: &River,
        view: &View,
        actions: &[Action],
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut urls = Urls::seen(river, view);
        for action in actions {
            match action {
                Action::CreateQueue { name } => {
                    let url = self.queues.create(name).await?;
                    urls.0.insert(name.clone(), url);
                }
                Action::SetQueue { name, attributes } => {
                    self.queues.set(urls.get(name)?, attributes).await?;
                }
                Action::Subscribe { endpoint, attributes } => {
                    self.subscriptions.create(endpoint, attributes).await?;
                }
                Action::SetSubscription { arn, name, value } => {
                    self.subscriptions.set(arn, name, value).await?;
                }
                Action::Unsubscribe { arn } => self.subscriptions.delete(arn).await?,
                Action::Route { lines } if lines.is_empty() => {
                    self.tables.route_directly(river, None).await?;
                }
                Action::Route { lines } => {
                    let queue_url = urls.get(&river.queue())?.to_owned();
                    let direct = Direct { queue_url, packets: lines.clone() };
                    self.tables.route_directly(river, Some(&direct)).await?;
                }
                Action::Nudge => {
                    let version = self.tables.versions().await?.version;
                    self.nudges.put(version, now).await?;
                    self.tables.nudged(version).await?;
                }
                Action::DeleteQueue { name } => self.queues.delete(urls.get(name)?).await?,
                Action::Forget => self.tables.forget(river).await?,
                Action::Activate { topic } => self.tables.activate(river, topic, now).await?,
            }
        }
        Ok(())
    }
}

/// URLs of the queues that were seen or made: a plan knows names only.
struct Urls(BTreeMap<String, String>);

impl Urls {
    fn seen(river: &River, view: &View) -> Self {
        let queue = view.queue.as_ref().map(|queue| (river.queue(), queue.url.clone()));
        let dead_letters = view.dead_letter_queue.as_ref();
        let dead_letters = dead_letters.map(|queue| (river.dead_letter_queue(), queue.url.clone()));
        Self(queue.into_iter().chain(dead_letters).collect())
    }

    fn get(&self, name: &str) -> Result<&str, Error> {
        let url = self.0.get(name).map(String::as_str);
        url.ok_or_else(|| Error::incomplete("SQS CreateQueue", name, "QueueUrl"))
    }
}
