//! What a consumer is told.

use std::time::{Duration, SystemTime};

/// Where to start in a shard that has no checkpoint yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialPosition {
    /// At the oldest record that the stream still has.
    TrimHorizon,
    /// At the first record that arrived at this time or later. All workers must be told the same.
    AtTimestamp(SystemTime),
}

/// What a consumer reads, who it is, and within which bounds it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the stream.
    pub stream: String,
    /// Name of the lease table; workers that share it share the stream's shards.
    pub lease_table: String,
    /// Identity of this worker, unique among those that share the table.
    pub worker: String,
    /// Where to start in a shard without checkpoint.
    pub initial_position: InitialPosition,
    /// How long a lease must stand still before another worker may take it. KCL: `failoverTimeMillis`.
    pub failover: Duration,
    /// Time between two reads of a shard. Kinesis allows five reads a second on a shard.
    pub read_interval: Duration,
    /// Least time between two checkpoints of a shard.
    pub checkpoint_interval: Duration,
    /// Most records in a batch, at most 10,000.
    pub records_max: u32,
    /// Most bytes of records that the whole process holds. One read needs room for 10 MB.
    pub bytes_in_flight_max: usize,
}

impl Settings {
    /// The defaults of the KCL, but for reads, which come at the edge of what Kinesis allows.
    #[must_use]
    pub fn new(
        stream: impl Into<String>,
        lease_table: impl Into<String>,
        worker: impl Into<String>,
    ) -> Self {
        Self {
            stream: stream.into(),
            lease_table: lease_table.into(),
            worker: worker.into(),
            initial_position: InitialPosition::TrimHorizon,
            failover: Duration::from_secs(10),
            read_interval: Duration::from_millis(220),
            checkpoint_interval: Duration::from_secs(1),
            records_max: 1_000,
            bytes_in_flight_max: 64 << 20,
        }
    }
}
