//! What an operator may set.

use std::time::Duration;

use chassis::{Problems, Validate};
use event::names::Stage;
use jiff::Timestamp;
use kcl::{InitialPosition, Mode, Retrieval};
use serde::{Deserialize, Serialize};

/// Settings of the rapids-reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Deployment; suffix of every resource.
    pub stage: String,
    /// The stream to read, `Rapids-{stage}` where not given.
    pub rapids: Option<String>,
    /// The SNS topic to publish to. Where not given, the topic `Rapids-{stage}` is looked up, and made if it
    /// is missing.
    pub topic_arn: Option<String>,
    /// Whether that topic is published to at all. Off only in a stage in which every river is fed directly: then what
    /// nobody subscribed to costs nothing.
    pub sns: bool,
    /// Time between two looks at the version of the direct routes. A change that the rapids tell of
    /// (`system.RoutesChanged`) is looked up at once.
    #[serde(with = "chassis::duration")]
    pub routes_every: Duration,
    /// How long a river that is fed directly may take nothing, counted from the first delivery that failed, while its
    /// shard waits for it. After that its events go into the quarantine until it takes one again.
    #[serde(with = "chassis::duration")]
    pub undeliverable_after: Duration,
    /// Name of the lease table, `rapids-reader-{stage}` where not given. Readers with the same table share
    /// the stream's shards.
    pub lease_table: Option<String>,
    /// With whom the leases are shared: `native` for rapids-readers alone; beside Java readers `compat2x`
    /// (KCL 2.x) or `participant3x` (KCL 3.x).
    pub mode: String,
    /// Name of a stream consumer to read through by enhanced fan-out: pushed, 2 MB a second of its own for each
    /// shard, and billed. Registered if it is not there. Where not given, shards are polled.
    pub fan_out: Option<String>,
    /// Whether shards are polled when that consumer does not become active within a minute.
    pub fan_out_fall_back: bool,
    /// Where to begin in a shard without checkpoint: `trim_horizon`, `latest`, or a time such as
    /// `2026-11-23T00:00:00Z`.
    pub initial_position: String,
    /// How long a reader must be silent before another takes its shards.
    #[serde(with = "chassis::duration")]
    pub failover: Duration,
    /// Time between two reads of a shard. Kinesis allows five a second.
    #[serde(with = "chassis::duration")]
    pub read_interval: Duration,
    /// Whether the subject of an event becomes the message group of its messages, by which SQS serves quiet customers
    /// before a noisy one (fair queues). Requests with a group cost a quarter more. An event without a subject has no
    /// group: its conversation would be one, but is too small to be noisy and would be paid for all the same.
    pub fair: bool,
    /// Most bytes of records that the process holds at once.
    pub bytes_in_flight_max: usize,
    /// Time between two looks at the table of experiments.
    #[serde(with = "chassis::duration")]
    pub experiments_every: Duration,
    /// Whether leases are renewed on a thread of their own; no setting for users. Off only where time is
    /// virtual: that thread's is not.
    #[serde(skip)]
    pub renewal_thread: bool,
}

impl Default for Config {
    fn default() -> Self {
        let kcl = kcl::Settings::new("", "", "");
        Self {
            stage: "dev".to_owned(),
            rapids: None,
            topic_arn: None,
            sns: true,
            routes_every: Duration::from_secs(5),
            undeliverable_after: Duration::from_secs(60),
            lease_table: None,
            mode: NATIVE.to_owned(),
            fan_out: None,
            fan_out_fall_back: false,
            initial_position: TRIM_HORIZON.to_owned(),
            failover: kcl.failover,
            read_interval: kcl.read_interval,
            fair: true,
            bytes_in_flight_max: kcl.bytes_in_flight_max,
            experiments_every: Duration::from_secs(5),
            renewal_thread: kcl.renewal_thread,
        }
    }
}

const TRIM_HORIZON: &str = "trim_horizon";
const LATEST: &str = "latest";
const NATIVE: &str = "native";
/// Below this, an ordinary pause of DynamoDB would cost a reader its leases.
const FAILOVER_LEAST: Duration = Duration::from_secs(1);
/// One read may return 10 MB.
const BYTES_IN_FLIGHT_LEAST: usize = 11 << 20;

impl Validate for Config {
    fn validate(&self, problems: &mut Problems) {
        if let Err(error) = Stage::parse(&self.stage) {
            problems.report("stage", error.to_string());
        }
        if let Err(error) = self.initial_position() {
            problems.report("initial_position", error);
        }
        if let Err(error) = self.mode() {
            problems.report("mode", error);
        }
        if self.fan_out.as_deref().is_some_and(|name| !is_consumer_name(name)) {
            problems.report(
                "fan_out",
                "must be 1 to 128 characters out of letters, digits, `_`, `.` and `-`",
            );
        }
        if self.failover < FAILOVER_LEAST {
            problems.report("failover", "must be at least 1s");
        }
        if self.read_interval < Duration::from_millis(200) {
            problems
                .report("read_interval", "must be at least 200ms: a shard allows 5 reads a second");
        }
        for (name, value) in [
            ("experiments_every", self.experiments_every),
            ("routes_every", self.routes_every),
            ("undeliverable_after", self.undeliverable_after),
        ] {
            if value < Duration::from_secs(1) {
                problems.report(name, "must be at least 1s");
            }
        }
        if !self.sns && self.topic_arn.is_some() {
            problems.report("topic_arn", "is not published to with `sns = false`");
        }
        if self.bytes_in_flight_max < BYTES_IN_FLIGHT_LEAST {
            problems.report(
                "bytes_in_flight_max",
                format!("must be at least {BYTES_IN_FLIGHT_LEAST}: one read may return 10 MB"),
            );
        }
    }
}

impl Config {
    /// What the client library is told, for the worker `instance`.
    pub(crate) fn kcl(&self, stage: &Stage, instance: &str) -> kcl::Settings {
        let stream = self.rapids.clone().unwrap_or_else(|| stage.rapids());
        let table = self.lease_table.clone();
        let table = table.unwrap_or_else(|| stage.lease_table("rapids-reader"));
        kcl::Settings {
            // Validated before any service is built.
            initial_position: self.initial_position().unwrap_or(InitialPosition::TrimHorizon),
            mode: self.mode().unwrap_or_default(),
            retrieval: self.fan_out.clone().map_or(Retrieval::Polling, |consumer| {
                Retrieval::FanOut { consumer, fall_back: self.fan_out_fall_back }
            }),
            failover: self.failover,
            read_interval: self.read_interval,
            bytes_in_flight_max: self.bytes_in_flight_max,
            renewal_thread: self.renewal_thread,
            ..kcl::Settings::new(stream, table, instance)
        }
    }

    fn initial_position(&self) -> Result<InitialPosition, String> {
        match self.initial_position.as_str() {
            TRIM_HORIZON => return Ok(InitialPosition::TrimHorizon),
            LATEST => return Ok(InitialPosition::Latest),
            _ => {}
        }
        let at = self.initial_position.parse::<Timestamp>();
        at.map(|at| InitialPosition::AtTimestamp(at.into())).map_err(|_| {
            format!(
                "{:?} is neither {TRIM_HORIZON} nor {LATEST} nor a time such as 2026-11-23T00:00:00Z",
                self.initial_position
            )
        })
    }

    fn mode(&self) -> Result<Mode, String> {
        match self.mode.as_str() {
            NATIVE => Ok(Mode::Native),
            "compat2x" => Ok(Mode::Compat2x),
            "participant3x" => Ok(Mode::Participant3x),
            other => Err(format!("{other:?} is not one of {NATIVE}, compat2x, participant3x")),
        }
    }
}

/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html>
fn is_consumer_name(name: &str) -> bool {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    (1..=128).contains(&name.len()) && name.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order() {
        assert!(Problems::of(&Config::default()).is_empty());
    }

    #[test]
    fn every_mistake_is_told_with_the_values_that_would_do() {
        let config = Config {
            mode: "java".into(),
            fan_out: Some("my consumer".into()),
            initial_position: "newest".into(),
            failover: Duration::from_millis(10),
            read_interval: Duration::ZERO,
            bytes_in_flight_max: 1,
            experiments_every: Duration::ZERO,
            routes_every: Duration::ZERO,
            undeliverable_after: Duration::ZERO,
            sns: false,
            topic_arn: Some("arn".into()),
            ..Config::default()
        };
        let problems = Problems::of(&config).to_string();
        for part in [
            "native, compat2x, participant3x",
            "letters, digits",
            "nor latest nor a time",
            "at least 1s",
            "5 reads a second",
            "10 MB",
            "routes_every",
            "undeliverable_after",
            "sns = false",
        ] {
            assert!(problems.contains(part), "{part:?} is not in {problems}");
        }
    }

    #[test]
    fn the_library_is_told_how_to_read_and_with_whom() {
        let config = Config {
            mode: "compat2x".into(),
            fan_out: Some("rapids".into()),
            initial_position: "latest".into(),
            ..Config::default()
        };
        let stage = Stage::parse("dev").unwrap();
        let settings = config.kcl(&stage, "reader-1");
        assert_eq!(settings.mode, Mode::Compat2x);
        assert_eq!(settings.initial_position, InitialPosition::Latest);
        let fan_out = Retrieval::FanOut { consumer: "rapids".into(), fall_back: false };
        assert_eq!(settings.retrieval, fan_out);
        assert_eq!(
            (settings.stream.as_str(), settings.worker.as_str()),
            ("Rapids-dev", "reader-1")
        );
    }
}
