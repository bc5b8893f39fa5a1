//! What an operator may set.

use std::time::Duration;

use chassis::{Problems, Validate};
use event::names::Stage;
use jiff::Timestamp;
use kcl::InitialPosition;
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
    /// Name of the lease table, `rapids-reader-{stage}` where not given. Readers with the same table share
    /// the stream's shards.
    pub lease_table: Option<String>,
    /// Where to begin in a shard without checkpoint: `trim_horizon`, or a time such as
    /// `2026-11-23T00:00:00Z`.
    pub initial_position: String,
    /// How long a reader must be silent before another takes its shards.
    #[serde(with = "chassis::duration")]
    pub failover: Duration,
    /// Time between two reads of a shard. Kinesis allows five a second.
    #[serde(with = "chassis::duration")]
    pub read_interval: Duration,
    /// Most bytes of records that the process holds at once.
    pub bytes_in_flight_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let kcl = kcl::Settings::new("", "", "");
        Self {
            stage: "dev".to_owned(),
            rapids: None,
            topic_arn: None,
            lease_table: None,
            initial_position: TRIM_HORIZON.to_owned(),
            failover: kcl.failover,
            read_interval: kcl.read_interval,
            bytes_in_flight_max: kcl.bytes_in_flight_max,
        }
    }
}

const TRIM_HORIZON: &str = "trim_horizon";
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
        if self.failover < FAILOVER_LEAST {
            problems.report("failover", "must be at least 1s");
        }
        if self.read_interval < Duration::from_millis(200) {
            problems
                .report("read_interval", "must be at least 200ms: a shard allows 5 reads a second");
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
            failover: self.failover,
            read_interval: self.read_interval,
            bytes_in_flight_max: self.bytes_in_flight_max,
            ..kcl::Settings::new(stream, table, instance)
        }
    }

    fn initial_position(&self) -> Result<InitialPosition, String> {
        if self.initial_position == TRIM_HORIZON {
            return Ok(InitialPosition::TrimHorizon);
        }
        let at = self.initial_position.parse::<Timestamp>();
        at.map(|at| InitialPosition::AtTimestamp(at.into())).map_err(|_| {
            format!(
                "{:?} is neither {TRIM_HORIZON} nor a time such as 2026-11-23T00:00:00Z",
                self.initial_position
            )
        })
    }
}
