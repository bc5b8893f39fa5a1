//! What a consumer tells of itself, for whoever counts.

use std::time::Duration;

use crate::processor::Ended;

/// Takes the figures of a consumer. Every method does nothing unless implemented; none may block.
///
/// Names in parentheses are those of the same figure in the KCL, where it has one.
pub trait Metrics: Send + Sync + 'static {
    /// Records that met a fate, with their bytes (`RecordsProcessed`, `DataBytesProcessed`).
    fn records(&self, _fate: Fate, _records: u64, _bytes: u64) {}

    /// Distance of the last read from the tip of a shard (`MillisBehindLatest`).
    fn behind(&self, _shard: &str, _behind: Duration) {}

    /// Age of the newest record that a shard's checkpoint has passed, when it was passed.
    fn checkpoint_age(&self, _shard: &str, _age: Duration) {}

    /// A shard is not read here any more: gauges that name it should go.
    fn shard_ended(&self, _shard: &str, _why: Ended) {}

    /// What one look at the lease table showed.
    fn looked(&self, _look: &Look) {}

    /// A lease was got, and how (`TakenLeases`, `NewLeasesDiscovered`).
    fn lease_got(&self, _how: Got) {}

    /// A lease was lost, and why (`LostLeases`).
    fn lease_lost(&self, _why: Loss) {}

    /// A lease came from another worker that released it; from that to the first read here, as far as it was
    /// seen.
    fn handed_over(&self, _took: Duration) {}

    /// Bytes of records held by the whole process, and the most it may hold.
    fn bytes_in_flight(&self, _bytes: usize, _most: usize) {}

    /// A call was refused because there were too many.
    fn throttled(&self, _api: Api) {}

    /// A call was made: how long it took and whether it was answered (`*.Time`, `*.Success`).
    fn called(&self, _api: Api, _took: Duration, _ok: bool) {}

    /// DynamoDB capacity units that a call used.
    fn capacity(&self, _access: Access, _units: f64) {}
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl Metrics for NoMetrics {}

/// What became of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Handed to the processor for the first time.
    Delivered,
    /// Accepted by it.
    Acknowledged,
    /// Handed over again.
    Retried,
    /// Put away by the dead-letter hook.
    DeadLettered,
    /// Acknowledged too late: the lease was lost, another worker delivers it again.
    Late,
    /// Not delivered, as it lies outside the shard's part of the key space and the settings say so.
    OutsideShard,
    /// An aggregated record that could not be taken apart, delivered whole.
    Damaged,
}

/// What one look at the lease table showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Leases that this worker holds (`CurrentLeases`).
    pub held: usize,
    /// Leases of shards that are not processed to their end (`TotalLeases`).
    pub open: usize,
    /// Open leases that nobody holds or whose owner is silent (`ExpiredLeases`).
    pub expired: usize,
    /// Workers that hold leases (`NumWorkers`).
    pub workers: usize,
    /// Leases that nobody may take because of `leases_max` (`LeaseSpillover`).
    pub spillover: usize,
    /// For how long some part of the key space has had no lease; `None` while all of it has.
    pub hole: Option<Duration>,
}

/// How a lease was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Got {
    /// It was free.
    Free,
    /// Its owner was silent for too long.
    Expired,
    /// Its owner had more than its share and was not asked, as in KCL 2.x.
    Stolen,
    /// Its owner handed it over, or the leader assigned it.
    HandedOver,
}

/// Why a lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// Another worker took it.
    Taken,
    /// It could not be renewed in time: DynamoDB did not answer, or this process stood still.
    Expired,
}

/// An API operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are named after the operations")]
pub enum Api {
    GetRecords,
    GetShardIterator,
    ListShards,
    SubscribeToShard,
    DescribeStreamConsumer,
    DynamoDbScan,
    DynamoDbQuery,
    DynamoDbGet,
    DynamoDbUpdate,
    DynamoDbDelete,
}

/// Reading or writing, as DynamoDB bills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Read capacity units.
    Read,
    /// Write capacity units.
    Write,
}

/// A bounded label for each variant, in the words of `snake_case`.
macro_rules! names {
    ($($kind:ident { $($variant:ident => $name:literal),+ $(,)? })+) => {$(
        impl $kind {
            /// Its name, as a label of a metric.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    )+};
}

names! {
    Fate {
        Delivered => "delivered",
        Acknowledged => "acknowledged",
        Retried => "retried",
        DeadLettered => "dead_lettered",
        Late => "late",
        OutsideShard => "outside_shard",
        Damaged => "damaged",
    }
    Got {
        Free => "free",
        Expired => "expired",
        Stolen => "stolen",
        HandedOver => "handed_over",
    }
    Loss { Taken => "taken", Expired => "expired" }
    Access { Read => "read", Write => "write" }
    Api {
        GetRecords => "GetRecords",
        GetShardIterator => "GetShardIterator",
        ListShards => "ListShards",
        SubscribeToShard => "SubscribeToShard",
        DescribeStreamConsumer => "DescribeStreamConsumer",
        DynamoDbScan => "Scan",
        DynamoDbQuery => "Query",
        DynamoDbGet => "GetItem",
        DynamoDbUpdate => "UpdateItem",
        DynamoDbDelete => "DeleteItem",
    }
}
