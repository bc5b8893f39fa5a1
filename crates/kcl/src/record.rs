//! A record of a stream, as a producer put it.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use crate::checkpoint::{Position, SequenceNumber};

/// A record of a shard. Cheap to clone: its bytes are shared with the answer they came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard. With the stream and the shard it names the record for ever: an idempotency key.
    pub position: Position,
    /// The producer's partition key; absent where the service distributes records itself
    /// (`RecordDistributionStrategy` is `AUTO`).
    pub partition_key: Option<PartitionKey>,
    /// The hash key that the producer chose instead of the partition key's. Known only for a record that came
    /// inside an aggregated one: Kinesis does not tell it of others.
    pub explicit_hash_key: Option<u128>,
    /// The payload, as it was put.
    pub data: Bytes,
    /// When Kinesis received it, by the service's clock.
    pub arrived_at: Option<SystemTime>,
}

impl Record {
    /// The sequence number of the Kinesis record, that an aggregated record shares with others.
    #[must_use]
    pub fn sequence_number(&self) -> SequenceNumber {
        self.position.sequence
    }

    /// What it holds in memory, its own size among it: a million empty ones are not free.
    pub(crate) fn bytes_held(&self) -> usize {
        let key = self.partition_key.as_ref().map_or(0, |key| key.as_bytes().len());
        size_of::<Self>() + self.data.len() + key
    }
}

/// What a producer keeps together: records with one key lie in one shard, in order. 1 to 256 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(Bytes);

impl PartitionKey {
    /// The key, from a part of an answer: nothing is copied. `None` when it is not UTF-8.
    #[must_use]
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).is_ok().then_some(Self(bytes))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made: the default is never seen.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The key's bytes, of which Kinesis takes the MD5 to choose the shard.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for PartitionKey {
    fn from(key: String) -> Self {
        Self(Bytes::from(key))
    }
}

impl From<&str> for PartitionKey {
    fn from(key: &str) -> Self {
        Self(Bytes::copy_from_slice(key.as_bytes()))
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
