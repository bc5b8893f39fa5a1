//! Writes down what a command wants, and brings rivers to what is wanted.

use std::sync::Arc;

use chassis::Clock;
use event::Experiment;
use event::names::{River, Stage, Topic};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::act::Hands;
use crate::agenda::Agenda;
use crate::blueprint::Blueprint;
use crate::command::Command;
use crate::drift;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::observe::observe;
use crate::plan::{Plan, View, plan};
use crate::subscription::Listing;

/// Brings rivers to what the tables say of them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reconciler {
    pub(crate) blueprint: Blueprint,
    pub(crate) hands: Hands,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    pub(crate) agenda: Arc<Agenda>,
    pub(crate) metrics: Metrics,
    /// One river at a time in one process, so that a look before a command is not acted upon after it.
    pub(crate) turn: Arc<Semaphore>,
}

/// Looks at a river whose topics others change at the same time.
const LOOKS_MAX: u32 = 10;

/// Why a river is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion<'a> {
    /// Something about it was changed a moment ago.
    Change,
    /// It is its turn, with these subscriptions of the SNS topic.
    Round(&'a Listing),
}

impl Reconciler {
    /// Carries out a command that lies at `place` of the control stream, and says how many steps that took. Once what
    /// it wants is written down it is done: what AWS does not do now is done later, and the row says why.
    ///
    /// # Errors
    /// What cannot be written down, or what is refused for good.
    pub(crate) async fn apply(&self, command: &Command, place: &str) -> Result<usize, Error> {
        let tables = &self.hands.tables;
        match command {
            Command::Advertise { topic, advert } => self.advertise(topic, advert, place).await,
            Command::StartExperiment(experiment) => {
                tables.start(experiment, self.now()).await?;
                self.bring_all(experiment.rivers()).await
            }
            Command::StopExperiment { name } => {
                let stopped = tables.stop(name, self.now()).await?;
                self.bring_all(stopped.iter().flat_map(Experiment::rivers)).await
            }
            Command::Subscribe { river, topic, .. } => {
                self.write_down(command, river, place).await?;
                self.bring(river, Some(topic)).await
            }
            Command::Unsubscribe { river, .. }
            | Command::Route { river, .. }
            | Command::Remove { river, .. } => {
                self.write_down(command, river, place).await?;
                self.bring(river, None).await
            }
        }
    }

    /// Writes down what a command wants of its river, unless that was done before and overtaken since: a command that
    /// is read again after a crash is not to undo those behind it.
    async fn write_down(&self, command: &Command, river: &River, place: &str) -> Result<(), Error> {
        let tables = &self.hands.tables;
        if tables.is_past(river, place).await? {
            return Ok(());
        }
        match command {
            Command::Subscribe { topic, rules, .. } => {
                tables.keep(river).await?;
                tables.want(river, topic, rules, self.now()).await?;
            }
            Command::Unsubscribe { topic, .. } => tables.remove(river, topic).await?,
            Command::Route { routing, .. } => tables.set_routing(river, *routing).await?,
            Command::Remove { discard, .. } => {
                tables.set_removal(river, *discard, self.now()).await?;
                for topic in tables.wanted(river).await?.keys() {
                    tables.remove(river, topic).await?;
                }
            }
            Command::Advertise { .. }
            | Command::StartExperiment(_)
            | Command::StopExperiment { .. } => {}
        }
        tables.pass(river, place).await
    }

    async fn bring_all(&self, rivers: impl Iterator<Item = &str> + Send) -> Result<usize, Error> {
        let mut steps = 1;
        for river in rivers {
            // Names are checked before a command is written down.
            if let Ok(river) = River::parse(river, &self.stage) {
                steps += self.bring(&river, None).await?;
            }
        }
        Ok(steps)
    }

    /// Brings a river to what a command wants, which was about `topic`. What cannot be done now is on the agenda then.
    async fn bring(&self, river: &River, topic: Option<&Topic>) -> Result<usize, Error> {
        match self.reconcile(river, Occasion::Change).await {
            Ok(steps) => Ok(steps),
            Err(refused @ Error::Refused { .. }) => {
                self.degrade(river, topic, &refused).await?;
                Err(refused)
            }
            Err(error) => {
                self.put_off(river, topic, &error).await;
                Ok(0)
            }
        }
    }

    /// Looks at a river that could not be brought to what is wanted.
    pub(crate) async fn retry(&self, river: &River) {
        let brought = self.reconcile(river, Occasion::Change).await;
        self.take_note(river, brought).await;
    }

    /// Looks at every river.
    ///
    /// # Errors
    /// When they cannot be listed. What is wrong with one of them keeps nothing from the others.
    pub(crate) async fn pass(&self) -> Result<usize, Error> {
        let listing = self.hands.subscriptions.list().await?;
        let rivers = self.hands.tables.rivers(&self.stage).await?;
        for river in &rivers {
            let brought = self.reconcile(river, Occasion::Round(&listing)).await;
            self.take_note(river, brought).await;
        }
        self.metrics.rivers(rivers.len());
        Ok(rivers.len())
    }

    async fn take_note(&self, river: &River, brought: Result<usize, Error>) {
        let Err(error) = brought else { return };
        if error.is_refusal()
            && let Err(error) = self.degrade(river, None, &error).await
        {
            self.put_off(river, None, &error).await;
            return;
        }
        self.put_off(river, None, &error).await;
    }

    /// Says of the topics that are not delivered yet, or of this one, that they are not going to be.
    async fn degrade(
        &self,
        river: &River,
        topic: Option<&Topic>,
        refused: &Error,
    ) -> Result<(), Error> {
        let tables = &self.hands.tables;
        let reason = refused.to_string();
        if let Some(topic) = topic {
            return tables.degrade(river, topic, &reason, self.now()).await;
        }
        for topic in tables.wanted(river).await?.keys() {
            tables.degrade(river, topic, &reason, self.now()).await?;
        }
        tables.hindered(river, &reason).await
    }

    /// Has the river looked at again, and says why where people look.
    async fn put_off(&self, river: &River, topic: Option<&Topic>, error: &Error) {
        self.agenda.failed(river);
        let reason = error.explain();
        self.metrics.put_off();
        warn!(%river, reason, "a river is not what is wanted yet: it is tried again");
        let tables = &self.hands.tables;
        let noted = async {
            if let Some(topic) = topic {
                tables.hinder(river, topic, &reason).await?;
            }
            tables.hindered(river, &reason).await
        };
        if let Err(unnoted) = noted.await {
            let unnoted = unnoted.explain();
            warn!(%river, unnoted, "could not write down why");
        }
    }

    /// Looks at the river, decides, acts. Takes no hint about what has changed: one path for all cases. Another
    /// process may change what is wanted meanwhile, and be overtaken by what was decided here: so it is looked at
    /// again, until it is what it was.
    async fn reconcile(&self, river: &River, occasion: Occasion<'_>) -> Result<usize, Error> {
        let _turn = self.turn.acquire().await;
        let timer = self.metrics.reconciling();
        let mut steps = 0;
        let mut refused = None;
        for look in 0..LOOKS_MAX {
            let listing = match occasion {
                Occasion::Round(listing) if look == 0 => Some(listing),
                _ => None,
            };
            let mut view =
                observe(&self.hands, &self.blueprint, river, listing, self.now()).await?;
            view.in_doubt = listing.is_none();
            view.refused = refused.take();
            let plan = plan(&self.blueprint, river, &view)?;
            if !view.in_doubt {
                self.tell_drift(river, &view, &plan);
            }
            if let Err(error) = self.hands.act(river, &view, &plan.actions, view.now).await {
                match error.limit() {
                    // Now that it is known, there may be another way.
                    Some(limit) if view.refused.is_none() => refused = Some(limit.to_owned()),
                    _ => return Err(error),
                }
                continue;
            }
            steps += plan.actions.len();
            let tables = &self.hands.tables;
            let wanted = tables.wanted(river).await?;
            let is_nothing = view.row.is_nothing() && plan.actions.is_empty();
            let is_gone = wanted.is_empty() && (is_nothing || plan.is_the_end());
            if is_gone || view.is_about(&wanted, &tables.row(river).await?) {
                if !is_gone {
                    tables.checked(river, &plan, self.now()).await?;
                } else if view.row.hindered {
                    tables.unhindered(river).await?;
                }
                self.agenda.settled(river);
                timer.observe_duration();
                return Ok(steps);
            }
        }
        let (call, target) = ("reconciling", river.to_string());
        let source = format!("what is wanted changed {LOOKS_MAX} times meanwhile").into();
        Err(Error::Unavailable { call, target, source })
    }

    fn tell_drift(&self, river: &River, view: &View, plan: &Plan) {
        for drift in drift::of(view, plan) {
            self.metrics.drift(drift.kind());
            warn!(%river, drift = drift.kind(), step = ?drift.action, "repairing what was changed by other hands");
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::try_from(self.clock.now()).unwrap_or(Timestamp::MAX)
    }
}
