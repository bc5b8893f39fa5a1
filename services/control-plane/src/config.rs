//! What an operator may set.

use std::time::Duration;

use chassis::{Problems, Validate};
use event::names::Stage;
use serde::{Deserialize, Serialize};

use crate::arn::Arns;

/// Settings of the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Deployment; suffix of every resource.
    pub stage: String,
    /// The stream with the commands, `Control-{stage}` where not given.
    pub control: Option<String>,
    /// The SNS topic that rivers subscribe to. Where not given, the topic `Rapids-{stage}` is looked up, and
    /// made if it is missing.
    pub topic_arn: Option<String>,
    /// Name of the lease table, `control-plane-{stage}` where not given.
    pub lease_table: Option<String>,
    /// How long a control plane must be silent before another takes its shards.
    #[serde(with = "chassis::duration")]
    pub failover: Duration,
    /// Time between two reads of a shard. Kinesis allows five a second.
    #[serde(with = "chassis::duration")]
    pub read_interval: Duration,
    /// Id, ARN or alias of the KMS key for queues and tables. Its policy must allow `sns.amazonaws.com` to
    /// decrypt and to generate data keys. Where not given, SQS and DynamoDB encrypt with keys of their own.
    pub kms_key: Option<String>,
    /// Whether a river gets the event alone, instead of the notification of SNS that holds it.
    pub raw_delivery: bool,
    /// Time between two looks at all rivers, which find and repair what was changed by hand.
    #[serde(with = "chassis::duration")]
    pub reconcile_every: Duration,
    /// How long the rapids-reader writes events to a river itself after its subscription has changed: SNS may
    /// take up to 15 minutes to deliver by a new filter. Their copies are dropped by inboxes. `0s` where SNS
    /// delivers at once, as emulators do.
    #[serde(with = "chassis::duration")]
    pub bridge: Duration,
    /// The stream with every event, `Rapids-{stage}` where not given: readers are told of new routes on it.
    pub rapids: Option<String>,
    /// The rivers' queues.
    pub queue: Queue,
    /// The rivers' dead-letter queues.
    pub dead_letter: DeadLetter,
    /// What AWS asks for requests; `rapids plan` computes with it, nothing else does.
    pub prices: Prices,
    /// Whether leases are renewed on a thread of their own; no setting for users. Off only where time is
    /// virtual: that thread's is not.
    #[serde(skip)]
    pub renewal_thread: bool,
}

/// Settings of a river's queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// How long a received message is hidden from other receivers: whole seconds, at most 12 hours.
    #[serde(with = "chassis::duration")]
    pub visibility: Duration,
    /// How long a message waits to be received: whole seconds, from 60 to 14 days.
    #[serde(with = "chassis::duration")]
    pub retention: Duration,
}

/// Settings of a river's dead-letter queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetter {
    /// How often a message is received before SQS moves it there: 1 to 1,000. The default lies above the 20
    /// attempts of the river kit, so that it is the kit that gives up, with the reason.
    pub max_receive_count: u16,
}

/// Prices of AWS, in dollars per million requests of up to 64 KB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// `PublishBatch` of SNS (<https://aws.amazon.com/sns/pricing/>).
    pub sns: f64,
    /// Any request to a standard queue of SQS (<https://aws.amazon.com/sqs/pricing/>).
    pub sqs: f64,
}

impl Default for Config {
    fn default() -> Self {
        let kcl = kcl::Settings::new("", "", "");
        Self {
            stage: "dev".to_owned(),
            control: None,
            topic_arn: None,
            lease_table: None,
            failover: kcl.failover,
            read_interval: kcl.read_interval,
            kms_key: None,
            raw_delivery: false,
            reconcile_every: Duration::from_secs(60),
            bridge: Duration::from_secs(16 * 60),
            rapids: None,
            queue: Queue::default(),
            dead_letter: DeadLetter::default(),
            prices: Prices::default(),
            renewal_thread: kcl.renewal_thread,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        // SQS's own defaults, written down so that a queue changed by hand is brought back to them.
        Self { visibility: Duration::from_secs(30), retention: days(4) }
    }
}

impl Default for Prices {
    fn default() -> Self {
        // us-east-1, November 2026.
        Self { sns: 0.50, sqs: 0.40 }
    }
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self { max_receive_count: 25 }
    }
}

/// Below this, an ordinary pause of DynamoDB would cost a control plane its leases.
const FAILOVER_LEAST: Duration = Duration::from_secs(1);
/// More often than this, a few hundred rivers would meet the quotas of SNS.
const RECONCILE_LEAST: Duration = Duration::from_secs(5);
/// Four times what SNS promises.
const BRIDGE_MOST: Duration = Duration::from_secs(3_600);
/// A shard allows five reads a second.
const READ_INTERVAL_LEAST: Duration = Duration::from_millis(200);
/// Bounds of SQS
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3_600);
const RETENTION_LEAST: Duration = Duration::from_secs(60);
const RETENTION_MAX: Duration = days(14);
const RECEIVE_COUNT_MAX: u16 = 1_000;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if let Err(error) = Stage::parse(&self.stage) {
            problems.report("stage", error.to_string());
        }
        if let Some(Err(error)) = self.topic_arn.as_deref().map(Arns::of_topic) {
            problems.report("topic_arn", error.to_string());
        }
        if self.kms_key.as_deref() == Some("") {
            problems.report("kms_key", "must name a key, or not be given");
        }
        if self.failover < FAILOVER_LEAST {
            problems.report("failover", "must be at least 1s");
        }
        if self.read_interval < READ_INTERVAL_LEAST {
            let rule = "must be at least 200ms: a shard allows 5 reads a second";
            problems.report("read_interval", rule);
        }
        if self.reconcile_every < RECONCILE_LEAST {
            problems
                .report("reconcile_every", "must be at least 5s: a look at a river is five calls");
        }
        if self.bridge > BRIDGE_MOST {
            problems.report("bridge", "must be at most 1h: SNS takes 15 minutes");
        }
        problems.section("queue", &self.queue);
        problems.section("dead_letter", &self.dead_letter);
        problems.section("prices", &self.prices);
    }
}

impl Validate for Prices {
    fn validate(&self, problems: &mut Problems) {
        for (name, price) in [("sns", self.sns), ("sqs", self.sqs)] {
            if !price.is_finite() || price < 0.0 {
                problems.report(name, "must be dollars per million requests, 0 or more");
            }
        }
    }
}

impl Validate for Queue {
    fn validate(&self, problems: &mut Problems) {
        let whole = |duration: Duration| duration.subsec_nanos() == 0;
        if self.visibility > VISIBILITY_MAX || !whole(self.visibility) {
            problems.report("visibility", "must be whole seconds, at most 12h");
        }
        let allowed = RETENTION_LEAST..=RETENTION_MAX;
        if !allowed.contains(&self.retention) || !whole(self.retention) {
            problems.report("retention", "must be whole seconds, from 60s to 14d");
        }
    }
}

impl Validate for DeadLetter {
    fn validate(&self, problems: &mut Problems) {
        if !(1..=RECEIVE_COUNT_MAX).contains(&self.max_receive_count) {
            problems.report("max_receive_count", "must be 1 to 1000");
        }
    }
}

impl Config {
    /// What the client library is told, for the worker `instance`.
    pub(crate) fn kcl(&self, stage: &Stage, instance: &str) -> kcl::Settings {
        let stream = self.control.clone().unwrap_or_else(|| stage.control());
        let table = self.lease_table.clone();
        let table = table.unwrap_or_else(|| stage.lease_table("control-plane"));
        kcl::Settings {
            failover: self.failover,
            read_interval: self.read_interval,
            renewal_thread: self.renewal_thread,
            ..kcl::Settings::new(stream, table, instance)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order() {
        let problems = Problems::of(&Config::default());
        assert!(problems.is_empty(), "{problems}");
    }

    #[test]
    fn every_rule_is_checked() {
        let wrong = Config {
            stage: String::new(),
            topic_arn: Some("Rapids-dev".to_owned()),
            failover: Duration::ZERO,
            read_interval: Duration::from_millis(199),
            kms_key: Some(String::new()),
            reconcile_every: Duration::from_secs(4),
            bridge: Duration::from_secs(3_601),
            queue: Queue { visibility: Duration::from_millis(1_500), retention: days(15) },
            dead_letter: DeadLetter { max_receive_count: 0 },
            prices: Prices { sns: -1.0, sqs: f64::NAN },
            ..Config::default()
        };
        let problems = Problems::of(&wrong);
        assert_eq!(problems.len(), 12, "{problems}");
    }

    #[test]
    fn names_follow_the_stage_unless_given() {
        let stage = Stage::parse("eu").unwrap();
        let derived = Config::default().kcl(&stage, "me");
        assert_eq!((&*derived.stream, &*derived.lease_table), ("Control-eu", "control-plane-eu"));
        let given = Config { control: Some("Commands".to_owned()), ..Config::default() };
        assert_eq!(given.kcl(&stage, "me").stream, "Commands");
    }
}
