//! What a consumer is told.

use std::time::{Duration, SystemTime};

/// Where to start in a shard that has no checkpoint yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialPosition {
    /// At the oldest record that the stream still has.
    TrimHorizon,
    /// At the moment at which the lease was made. It is written down then, so that a crash before the first
    /// checkpoint loses nothing.
    Latest,
    /// At the first record that arrived at this time or later.
    AtTimestamp(SystemTime),
}

/// With whom the leases are shared. Chosen here, never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// With workers of this library alone: leases move by graceful hand-over.
    #[default]
    Native,
    /// With Java workers of KCL 2.x: leases move by being taken, and no other row is ever written.
    Compat2x,
    /// With Java workers of KCL 3.x, whose leader assigns the leases. This worker reports its metrics, takes
    /// what it is assigned and hands over what it is asked for; it never leads.
    Participant3x,
}

/// How records are fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retrieval {
    /// `GetRecords`: 5 reads and 2 MB a second for a shard, shared by all who read the stream so.
    #[default]
    Polling,
    /// `SubscribeToShard`: 2 MB a second for a shard and this consumer alone, pushed, and billed.
    FanOut {
        /// Name of the stream consumer, registered if it is not there.
        consumer: String,
        /// Whether shards are polled when the consumer does not become active within a minute. Decided once,
        /// at the start.
        fall_back: bool,
    },
}

/// What balances the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// As many leases for each. KCL: `LEASE_COUNT`.
    #[default]
    Count,
    /// As many bytes a second for each, by what the leases' owners measured.
    Throughput,
}

/// What becomes of the records of a KPL aggregate that lie outside the shard's part of the key space: the KPL
/// sends them again after a reshard, other aggregators do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutsideShard {
    /// They are delivered: maybe twice, never not at all.
    #[default]
    Deliver,
    /// They are dropped and counted, each one by itself. The KCL drops the whole aggregate.
    Drop,
}

/// In which order records are handed over, and how many batches of a shard at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lanes {
    /// One batch after the other, in the order of the shard.
    #[default]
    One,
    /// So many batches at once; records with one partition key keep their order.
    /// Lambda: `ParallelizationFactor`.
    ByKey(u16),
    /// So many batches at once, in any order.
    Unordered(u16),
}

/// How often and how long records are tried before they go to [`crate::Processor::dead_letter`].
/// The terms are those of Lambda's event source mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Most times that records are handed over; for ever if `None`. Lambda: `MaximumRetryAttempts` + 1.
    pub most: Option<u32>,
    /// Age after which a record is not handed over again; none if `None`. Lambda: `MaximumRecordAgeInSeconds`.
    pub age_max: Option<Duration>,
    /// Whether a batch that failed is halved until the record that fails is alone. Halving is no attempt.
    /// Lambda: `BisectBatchOnFunctionError`.
    pub bisect: bool,
}

/// What a consumer reads, who it is, and within which bounds it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the stream.
    pub stream: String,
    /// Name of the lease table; workers that share it share the stream's shards. KCL: `applicationName`.
    pub lease_table: String,
    /// Identity of this worker, unique among those that share the table.
    pub worker: String,
    /// With whom the leases are shared.
    pub mode: Mode,
    /// How records are fetched.
    pub retrieval: Retrieval,
    /// Where to start in a shard without checkpoint.
    pub initial_position: InitialPosition,
    /// How long a lease must stand still before another worker may take it. KCL: `failoverTimeMillis`.
    pub failover: Duration,
    /// What balances the workers.
    pub balance: Balance,
    /// Most leases for this worker. KCL: `maxLeasesForWorker`.
    pub leases_max: usize,
    /// How long records in flight may take when a lease is handed over or the consumer stops; then they are
    /// given up, to be delivered again by the next owner. KCL: `gracefulLeaseHandoffTimeoutMillis`.
    pub drain: Duration,
    /// Time between two reads of a shard while there is more to read. Kinesis allows five reads a second.
    pub read_interval: Duration,
    /// Time between two reads of a shard that was found empty again and again.
    pub idle_interval: Duration,
    /// Least time between two checkpoints of a shard.
    pub checkpoint_interval: Duration,
    /// Most records in one read, at most 10,000.
    pub records_max: u32,
    /// Most records in one batch.
    pub batch_records_max: usize,
    /// Order and parallelism within a shard.
    pub lanes: Lanes,
    /// How often and how long records are tried.
    pub attempts: Attempts,
    /// What becomes of aggregated records outside their shard.
    pub outside_shard: OutsideShard,
    /// Most bytes of records that the whole process holds. One read needs room for 10 MB.
    pub bytes_in_flight_max: usize,
    /// Whether leases are renewed on a thread of their own, so that a processor that blocks its threads cannot
    /// lose them. Off only where time is virtual.
    pub renewal_thread: bool,
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
            mode: Mode::default(),
            retrieval: Retrieval::default(),
            initial_position: InitialPosition::TrimHorizon,
            failover: Duration::from_secs(10),
            balance: Balance::default(),
            leases_max: usize::MAX,
            drain: Duration::from_secs(30),
            read_interval: Duration::from_millis(220),
            idle_interval: Duration::from_millis(500),
            checkpoint_interval: Duration::from_secs(1),
            records_max: 10_000,
            batch_records_max: 1_000,
            lanes: Lanes::default(),
            attempts: Attempts::default(),
            outside_shard: OutsideShard::default(),
            bytes_in_flight_max: 64 << 20,
            renewal_thread: true,
        }
    }
}
