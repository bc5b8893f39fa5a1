//! Carries out a command: writes down what is wanted, then brings the river there.

use chassis::Clock;
use event::names::River;

use crate::act::Hands;
use crate::blueprint::Blueprint;
use crate::command::Command;
use crate::error::Error;
use crate::plan::{View, plan};

/// Brings rivers to what the table says of them.
#[derive(Clone, Debug)]
pub(crate) struct Reconciler {
    pub(crate) blueprint: Blueprint,
    pub(crate) hands: Hands,
    pub(crate) clock: Clock,
}

impl Reconciler {
    /// Carries out a command, and says how many steps that took. Done again after a crash anywhere in it, it
    /// ends where it would have ended.
    pub(crate) async fn apply(&self, command: &Command) -> Result<usize, Error> {
        let tables = &self.hands.tables;
        match command {
            Command::Advertise { topic } => {
                tables.advertise(topic, self.clock.now_ms()).await?;
                Ok(1)
            }
            Command::Unsubscribe { river, topic } => {
                tables.remove(river, topic).await?;
                self.reconcile(river).await
            }
            Command::Subscribe { river, topic, rules } => {
                tables.want(river, topic, rules, self.clock.now_ms()).await?;
                let reconciled = self.reconcile(river).await;
                if let Err(Error::Refused { what, why }) = &reconciled {
                    let reason = format!("{what} is refused: {why}");
                    tables.degrade(river, topic, &reason, self.clock.now_ms()).await?;
                }
                reconciled
            }
        }
    }

    /// Looks at the river, decides, acts. Takes no hint about what has changed: one path for all cases.
    async fn reconcile(&self, river: &River) -> Result<usize, Error> {
        let view = self.observe(river).await?;
        let actions = plan(&self.blueprint, river, &view)?;
        self.hands.act(river, &view, &actions, self.clock.now_ms()).await?;
        Ok(actions.len())
    }

    pub(crate) async fn observe(&self, river: &River) -> Result<View, Error> {
        let endpoint = self.blueprint.arns.queue(&river.queue());
        let wanted = self.hands.tables.topics_of(river).await?;
        let statuses = wanted.iter().map(|(topic, wanted)| (topic.clone(), wanted.status));
        Ok(View {
            topics: statuses.collect(),
            filters: wanted.into_iter().map(|(topic, wanted)| (topic, wanted.filter)).collect(),
            dead_letter_queue: self.hands.queues.find(&river.dead_letter_queue()).await?,
            queue: self.hands.queues.find(&river.queue()).await?,
            subscription: self.hands.subscriptions.find(&endpoint).await?,
        })
    }
}
