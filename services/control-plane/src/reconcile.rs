//! Carries out a command: writes down what is wanted, then brings the river there.

use chassis::Clock;
use event::Experiment;
use event::names::{River, Stage};

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
    pub(crate) stage: Stage,
}

/// Looks at a river whose topics others change at the same time.
const LOOKS_MAX: u32 = 10;

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
            Command::StartExperiment(experiment) => {
                tables.start(experiment, self.clock.now_ms()).await?;
                self.reconcile_all(experiment.rivers()).await
            }
            Command::StopExperiment { name } => {
                let stopped = tables.stop(name, self.clock.now_ms()).await?;
                self.reconcile_all(stopped.iter().flat_map(Experiment::rivers)).await
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

    async fn reconcile_all(
        &self,
        rivers: impl Iterator<Item = &str> + Send,
    ) -> Result<usize, Error> {
        let mut steps = 1;
        for river in rivers {
            // Names are checked before a command is written down.
            if let Ok(river) = River::parse(river, &self.stage) {
                steps += self.reconcile(&river).await?;
            }
        }
        Ok(steps)
    }

    /// Looks at the river, decides, acts. Takes no hint about what has changed: one path for all cases. Another
    /// process may change what is wanted meanwhile, and be overtaken by what was decided here: so it is looked at
    /// again, until it is what it was.
    async fn reconcile(&self, river: &River) -> Result<usize, Error> {
        let mut steps = 0;
        for _ in 0..LOOKS_MAX {
            let view = self.observe(river).await?;
            let actions = plan(&self.blueprint, river, &view)?;
            self.hands.act(river, &view, &actions, self.clock.now_ms()).await?;
            steps += actions.len();
            let wanted = self.hands.tables.wanted(river).await?;
            if view.is_about(&wanted) {
                return Ok(steps);
            }
        }
        let (call, target) = ("reconciling", river.to_string());
        let source = format!("what is wanted changed {LOOKS_MAX} times meanwhile").into();
        Err(Error::Unavailable { call, target, source })
    }

    pub(crate) async fn observe(&self, river: &River) -> Result<View, Error> {
        let endpoint = self.blueprint.arns.queue(&river.queue());
        let wanted = self.hands.tables.wanted(river).await?;
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
