//! What an operator may set of any service on a river.

use std::time::Duration;

use chassis::{Problems, Validate};
use event::names::{River, Stage};
use serde::{Deserialize, Serialize};

use crate::budget::RECEIVE_MAX;
use crate::limit::Limiter;
use crate::settle::Limits;

/// Settings of the kit; those of the handler, `C`, stand beside them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config<C: Default> {
    /// Deployment; suffix of every resource.
    pub stage: String,
    /// The river to drink from; the service's own where not given. Two versions of a service on two rivers each
    /// get every event, on one river they share them.
    pub river: Option<String>,
    /// Name of this version where it runs beside another one with other answers. It is a service of its own then,
    /// `{service}-{variant}`: with its own river, ponds, and ids of events.
    pub variant: Option<String>,
    /// Whether what it says is only to be compared: its events go onto the rapids as `shadow.{type}`, which nobody
    /// hears who did not ask for it. A shadow is a variant, `shadow` where no other name is given.
    pub shadow: bool,
    /// The stream to publish to, `Rapids-{stage}` where not given.
    pub rapids: Option<String>,
    /// The control stream, `Control-{stage}` where not given.
    pub control: Option<String>,
    /// Whether to subscribe the river at every start. Switch it off where others decide about subscriptions.
    pub subscribe: bool,
    /// Whether to advertise the service's events at every start, as topics that others may consume.
    pub advertise: bool,
    /// Most events handled at once. How many it is at a time is decided by how they fare: one more after a window of
    /// good outcomes, half as many when something behind the handler is throttled, runs out of time or becomes slow.
    pub concurrency: u16,
    /// Fewest events handled at once, however bad it looks; as many as `concurrency` to have always so many.
    pub concurrency_least: u16,
    /// Most bytes of messages in the process, received and not settled. A receive may bring ten of 1 MiB, and is only
    /// made when that much is left.
    pub bytes_in_flight_max: usize,
    /// How long a received message stays hidden from others. It is kept hidden for as long as it is worked on;
    /// after a crash it comes again when this time is over.
    #[serde(with = "chassis::duration")]
    pub visibility: Duration,
    /// Longest time that one event may take to handle before it is given up and retried.
    #[serde(with = "chassis::duration")]
    pub handle_limit: Duration,
    /// Longest pause between two attempts at an event.
    #[serde(with = "chassis::duration")]
    pub retry_pause_max: Duration,
    /// Attempts at an event before it goes to the dead-letter queue; fewer where the queue allows fewer. The
    /// default spans some forty minutes.
    pub attempts_max: u32,
    /// What the service says about itself on the rapids.
    pub report: Report,
    /// Time between two looks at the table of experiments.
    #[serde(with = "chassis::duration")]
    pub experiments_every: Duration,
    /// The handler's own settings.
    #[serde(flatten)]
    pub handler: C,
}

/// What a service says about itself on the rapids, as events of types `system.…`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Whether it reports at all: up, ready, stopping, down, heartbeats, messages that it could not use, and answers
    /// to pings.
    pub lifecycle: bool,
    /// Time between two heartbeats.
    #[serde(with = "chassis::duration")]
    pub heartbeat: Duration,
    /// Most messages in a minute that it could not use and tells of, and most lines of its logs; the others are
    /// counted.
    pub rejected_per_minute: u32,
    /// Whether what it logs as a warning or an error goes onto the rapids too, as `system.Logged`. Only where it has the
    /// process to itself.
    pub logs: bool,
}

impl Report {
    /// Nothing at all.
    pub const OFF: Self = Self {
        lifecycle: false,
        heartbeat: Duration::from_secs(15),
        rejected_per_minute: 0,
        logs: false,
    };
}

impl Default for Report {
    fn default() -> Self {
        let heartbeat = Duration::from_secs(15);
        Self { lifecycle: true, heartbeat, rejected_per_minute: 30, logs: false }
    }
}

/// For a handler without settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoConfig {}

impl Validate for NoConfig {
    fn validate(&self, _: &mut Problems) {}
}

impl<C: Default> Default for Config<C> {
    fn default() -> Self {
        Self {
            stage: "dev".to_owned(),
            river: None,
            variant: None,
            shadow: false,
            rapids: None,
            control: None,
            subscribe: true,
            advertise: false,
            concurrency: 10,
            concurrency_least: 1,
            bytes_in_flight_max: 64 << 20,
            visibility: Duration::from_secs(30),
            handle_limit: Duration::from_secs(60),
            retry_pause_max: Duration::from_secs(300),
            attempts_max: 20,
            report: Report::default(),
            experiments_every: Duration::from_secs(5),
            handler: C::default(),
        }
    }
}

/// The keeper asks for more time at a third of this; below, an ordinary pause of SQS would lose messages.
const VISIBILITY_LEAST: Duration = Duration::from_secs(3);
/// SQS keeps a message hidden for 12 hours in all
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>).
pub(crate) const VISIBILITY_MOST: Duration = Duration::from_secs(11 * 3_600);
/// Names of queues and tables hold it beside service and stage.
const VARIANT_MAX: usize = 20;
/// More would be noise.
const HEARTBEAT_LEAST: Duration = Duration::from_secs(1);
/// A thousand handlers in one process is where a second process is the better idea.
const CONCURRENCY_MAX: u16 = 1_000;

impl<C: Default + Validate> Validate for Config<C> {
    fn validate(&self, problems: &mut Problems) {
        if let Some(variant) = &self.variant {
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if variant.is_empty() || variant.len() > VARIANT_MAX || !variant.chars().all(allowed) {
                let rule = format!("must be 1 to {VARIANT_MAX} of letters, digits, `-` and `_`");
                problems.report("variant", rule);
            }
        }
        match (Stage::parse(&self.stage), &self.river) {
            (Err(error), _) => problems.report("stage", error.to_string()),
            (Ok(stage), Some(river)) => {
                if let Err(error) = River::parse(river, &stage) {
                    problems.report("river", error.to_string());
                }
            }
            (Ok(_), None) => {}
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            problems.report("concurrency", format!("must be 1 to {CONCURRENCY_MAX}"));
        }
        if !(1..=self.concurrency).contains(&self.concurrency_least) {
            problems.report("concurrency_least", "must be 1 to what concurrency is");
        }
        if self.bytes_in_flight_max < RECEIVE_MAX {
            let why = "one receive may bring ten messages of 1 MiB";
            problems
                .report("bytes_in_flight_max", format!("must be at least {RECEIVE_MAX}: {why}"));
        }
        if !(VISIBILITY_LEAST..=VISIBILITY_MOST).contains(&self.visibility) {
            problems.report("visibility", "must be 3s to 11h");
        }
        if self.handle_limit.is_zero() || self.handle_limit > VISIBILITY_MOST {
            problems.report("handle_limit", "must be 1ms to 11h");
        }
        if !(Duration::from_secs(1)..=VISIBILITY_MOST).contains(&self.retry_pause_max) {
            problems.report("retry_pause_max", "must be 1s to 11h");
        }
        if self.attempts_max == 0 {
            problems.report("attempts_max", "must be at least 1");
        }
        if self.experiments_every < HEARTBEAT_LEAST {
            problems.report("experiments_every", "must be at least 1s");
        }
        if self.report.heartbeat < HEARTBEAT_LEAST {
            problems.report("report.heartbeat", "must be at least 1s");
        }
        self.handler.validate(problems);
    }
}

impl<C: Default> Config<C> {
    /// The name of `service`, or of its river, as this version has it.
    pub(crate) fn named(&self, service: &str) -> String {
        match (self.variant.as_deref(), self.shadow) {
            (Some(variant), _) => format!("{service}-{variant}"),
            (None, true) => format!("{service}-shadow"),
            (None, false) => service.to_owned(),
        }
    }

    /// Decides how many events are handled at once.
    pub(crate) fn limiter(&self) -> Limiter {
        Limiter::new(self.concurrency_least.into(), self.concurrency.into())
    }

    /// The limits of a queue from which SQS removes messages after `receives_max` receives: the last attempt has
    /// to come before that, or nobody could say why a message was given up.
    pub(crate) fn limits(&self, receives_max: Option<u32>) -> Limits {
        let attempts_max = receives_max.map_or(self.attempts_max, |max| max.min(self.attempts_max));
        Limits { attempts_max, pause_max: self.retry_pause_max }
    }
}
