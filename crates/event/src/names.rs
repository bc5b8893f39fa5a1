//! Names of rivers, topics and stages, and of the AWS resources made from them.
//!
//! A queue is `{river}-{stage}`. A stage holds no hyphen, so the last hyphen of a queue name tells the two
//! apart and no two rivers can share a queue; `dlq` is no stage, so a dead-letter queue is nobody's river.

use std::fmt;

/// Longest queue name of SQS, in characters
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>).
pub const QUEUE_NAME_MAX: usize = 80;
/// Longest stage, so that river names keep room.
pub const STAGE_MAX: usize = 20;
/// Longest event type that can be subscribed to.
pub const TOPIC_MAX: usize = 256;
/// What a dead-letter queue adds to its queue's name.
pub const DEAD_LETTER_SUFFIX: &str = "-dlq";

/// The refusal of a name: which, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?} is refused: {rule}")]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    rule: String,
}

impl InvalidName {
    fn refused(kind: &'static str, name: &str, rule: impl Into<String>) -> Self {
        Self { kind, name: name.to_owned(), rule: rule.into() }
    }
}

/// A deployment; suffix of every resource. Letters and digits, at most [`STAGE_MAX`], not `dlq`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage(String);

impl Stage {
    /// Checks a stage's name.
    ///
    /// # Errors
    /// [`InvalidName`], with the rule.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let fits = (1..=STAGE_MAX).contains(&name.len());
        if !fits || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            let rule = format!("a stage is 1 to {STAGE_MAX} letters and digits, for example dev");
            return Err(InvalidName::refused("stage", name, rule));
        }
        if name.eq_ignore_ascii_case("dlq") {
            return Err(InvalidName::refused(
                "stage",
                name,
                "it is the suffix of dead-letter queues",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The stage's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Kinesis stream with every event, and the SNS topic that fans them out: `Rapids-{stage}`.
    #[must_use]
    pub fn rapids(&self) -> String {
        format!("Rapids-{self}")
    }

    /// The Kinesis stream of control commands: `Control-{stage}`.
    #[must_use]
    pub fn control(&self) -> String {
        format!("Control-{self}")
    }

    /// Quarantine of records that the rapids-reader could not carry: `Rapids-{stage}-dlq`.
    #[must_use]
    pub fn rapids_quarantine(&self) -> String {
        self.rapids() + DEAD_LETTER_SUFFIX
    }

    /// Quarantine of commands that the control plane refused: `Control-{stage}-dlq`.
    #[must_use]
    pub fn control_quarantine(&self) -> String {
        self.control() + DEAD_LETTER_SUFFIX
    }

    /// Table of who is subscribed to what: `Subscriptions-{stage}`.
    #[must_use]
    pub fn subscriptions_table(&self) -> String {
        format!("Subscriptions-{self}")
    }

    /// Table of advertised topics: `Topics-{stage}`.
    #[must_use]
    pub fn topics_table(&self) -> String {
        format!("Topics-{self}")
    }

    /// Table of experiments: `Experiments-{stage}`.
    #[must_use]
    pub fn experiments_table(&self) -> String {
        format!("Experiments-{self}")
    }

    /// Table of what the rapids-reader writes to rivers directly: `Rivers-{stage}`, see [`crate::route`].
    #[must_use]
    pub fn rivers_table(&self) -> String {
        format!("Rivers-{self}")
    }

    /// Lease table of a stream-reading application: `{application}-{stage}`.
    #[must_use]
    pub fn lease_table(&self, application: &str) -> String {
        format!("{application}-{self}")
    }

    /// Table of a service's ponds: `Pond-{service}-{stage}`.
    #[must_use]
    pub fn pond_table(&self, service: &str) -> String {
        format!("Pond-{service}-{self}")
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A themed queue that services hook into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct River {
    name: String,
    stage: Stage,
}

impl River {
    /// Checks a river's name against what SQS accepts, with stage and dead-letter suffix counted in.
    ///
    /// # Errors
    /// [`InvalidName`], with the rule.
    pub fn parse(name: &str, stage: &Stage) -> Result<Self, InvalidName> {
        let longest = QUEUE_NAME_MAX - "-".len() - stage.as_str().len() - DEAD_LETTER_SUFFIX.len();
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=longest).contains(&name.len()) || !name.bytes().all(legal) {
            let rule = format!(
                "a river of stage {stage} is 1 to {longest} letters, digits, hyphens and underscores (SQS)"
            );
            return Err(InvalidName::refused("river", name, rule));
        }
        if ["rapids", "control"].iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
            return Err(InvalidName::refused(
                "river",
                name,
                "the platform's own queues have this name",
            ));
        }
        Ok(Self { name: name.to_owned(), stage: stage.clone() })
    }

    /// The river's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Name of its queue: `{river}-{stage}`.
    #[must_use]
    pub fn queue(&self) -> String {
        format!("{}-{}", self.name, self.stage)
    }

    /// Name of its dead-letter queue: `{river}-{stage}-dlq`.
    #[must_use]
    pub fn dead_letter_queue(&self) -> String {
        self.queue() + DEAD_LETTER_SUFFIX
    }
}

impl fmt::Display for River {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An event type that can be advertised and subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

impl Topic {
    /// Checks a topic's name: it is the value of an SNS message attribute and a DynamoDB key.
    ///
    /// # Errors
    /// [`InvalidName`], with the rule.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let fits = (1..=TOPIC_MAX).contains(&name.chars().count());
        if !fits || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let rule = format!("a topic is 1 to {TOPIC_MAX} characters without blanks");
            return Err(InvalidName::refused("topic", name, rule));
        }
        Ok(Self(name.to_owned()))
    }

    /// The event type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether events of this type belong to the topic: `*` at its end stands for whatever follows, so that `*` is
    /// every type.
    #[must_use]
    pub fn covers(topic: &str, event_type: &str) -> bool {
        match topic.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => topic == event_type,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dev() -> Stage {
        Stage::parse("dev").unwrap()
    }

    #[test]
    fn resources_are_named_after_the_stage() {
        assert_eq!(dev().rapids(), "Rapids-dev");
        assert_eq!(dev().control(), "Control-dev");
        let river = River::parse("offer-engine", &dev()).unwrap();
        assert_eq!(river.queue(), "offer-engine-dev");
        assert_eq!(river.dead_letter_queue(), "offer-engine-dev-dlq");
    }

    #[test]
    fn a_refused_name_is_told_with_the_rule() {
        let error = Stage::parse("").unwrap_err().to_string();
        assert_eq!(
            error,
            "stage \"\" is refused: a stage is 1 to 20 letters and digits, for example dev"
        );
        assert!(Stage::parse("dev-eu").is_err());
        assert!(Stage::parse("DLQ").is_err());
        for river in ["", "a b", "r.fifo", "Rapids", "control", &"x".repeat(73)] {
            assert!(River::parse(river, &dev()).is_err(), "{river:?}");
        }
        assert!(River::parse(&"x".repeat(72), &dev()).is_ok());
        for topic in ["", "View Page", "a\nb", &"x".repeat(257)] {
            assert!(Topic::parse(topic).is_err(), "{topic:?}");
        }
    }

    proptest! {
        #[test]
        fn two_rivers_never_share_a_queue(
            a in "[a-z_-]{1,6}", b in "[a-z_-]{1,6}", s in "[a-z]{1,3}", t in "[a-z]{1,3}",
        ) {
            prop_assume!((&a, &s) != (&b, &t) && s != "dlq" && t != "dlq");
            let (s, t) = (Stage::parse(&s).unwrap(), Stage::parse(&t).unwrap());
            let (a, b) = (River::parse(&a, &s).unwrap(), River::parse(&b, &t).unwrap());
            let of = |river: &River| [river.queue(), river.dead_letter_queue()];
            prop_assert!(of(&a).iter().all(|queue| !of(&b).contains(queue)));
        }
    }
}
