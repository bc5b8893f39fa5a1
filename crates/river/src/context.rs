//! What a handler is built from.

use chassis::Kit;
use event::Producer;
use event::names::{River, Stage};
use jiff::Timestamp;

use crate::Alarm;
use crate::rapids::{self, Rapids};

/// The place of a service in the world: its clients, its stage, its river.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) kit: Kit,
    pub(crate) producer: Producer,
    pub(crate) stage: Stage,
    pub(crate) river: River,
    pub(crate) rapids: Rapids,
    pub(crate) alarm: Alarm,
}

impl Context {
    /// Clients, metrics registry, readiness.
    #[must_use]
    pub fn kit(&self) -> &Kit {
        &self.kit
    }

    /// Name of the service, with that of the variant: the author of its events, and part of their ids.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.producer.service
    }

    /// The deployment.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The river it drinks from.
    #[must_use]
    pub fn river(&self) -> &River {
        &self.river
    }

    /// For publishing outside of an answer.
    #[must_use]
    pub fn rapids(&self) -> Rapids {
        self.rapids.clone()
    }

    /// For events to itself, later.
    #[must_use]
    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    /// Name of the table with the service's ponds: `Pond-{service}-{stage}`.
    #[must_use]
    pub fn pond_table(&self) -> String {
        self.stage.pond_table(self.service())
    }

    /// The wall clock, as the source of time for ponds and timers.
    pub fn time(&self) -> impl Fn() -> Timestamp + Clone + Send + Sync + use<> {
        let clock = *self.kit.clock();
        move || rapids::now(&clock)
    }
}
