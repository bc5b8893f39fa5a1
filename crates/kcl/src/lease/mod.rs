//! A lease, and its row in the table of the Kinesis Client Library.
//!
//! Attribute names and types are those of `DynamoDBLeaseSerializer` in KCL 2.x and 3.x, so that Java workers
//! can read our rows and we theirs.

pub(crate) mod held;
pub(crate) mod table;
pub mod transition;
pub(crate) mod validity;

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::time::SystemTime;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoint::{Checkpoint, InvalidCheckpoint};
use crate::clock::millis;
use crate::settings::InitialPosition;

pub(crate) const LEASE_KEY: &str = "leaseKey";
pub(crate) const LEASE_OWNER: &str = "leaseOwner";
pub(crate) const LEASE_COUNTER: &str = "leaseCounter";
pub(crate) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(crate) const PARENTS: &str = "parentShardId";
pub(crate) const CHILDREN: &str = "childShardIds";
pub(crate) const THROUGHPUT: &str = "throughputKBps";
pub(crate) const STARTING_HASH_KEY: &str = "startingHashKey";
pub(crate) const ENDING_HASH_KEY: &str = "endingHashKey";
pub(crate) const ENTITY_TYPE: &str = "entityType";
/// Ours: the KCL does not write down when a lease with `LATEST` or `AT_TIMESTAMP` begins. It ignores attributes
/// that it does not know, and keeps them.
pub(crate) const INITIAL_AT: &str = "initialTimestampMillis";

/// A DynamoDB item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The right to read one shard, and how far that has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The shard's id.
    pub key: String,
    /// The worker that holds it, if any does.
    pub owner: Option<String>,
    /// Grows with every write of ownership or checkpoint: the optimistic lock.
    pub counter: u64,
    /// How often the owner changed since the last checkpoint.
    pub owner_switches: u64,
    /// How far the shard has been processed.
    pub checkpoint: Checkpoint,
    /// During a graceful hand-over of KCL 3.x: the worker that still processes.
    pub checkpoint_owner: Option<String>,
    /// Shards that this one was split or merged from.
    pub parents: BTreeSet<String>,
    /// Shards that this one was split or merged into.
    pub children: BTreeSet<String>,
    /// The part of the key space that the shard serves.
    pub hash_range: Option<HashRange>,
    /// What the shard carries, in KB a second, as its holder measured it.
    pub throughput: Option<f64>,
    /// Where [`Checkpoint::Latest`] and [`Checkpoint::AtTimestamp`] begin, in milliseconds since the Unix epoch.
    pub initial_at: Option<u64>,
}

/// A part of the key space of a stream, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashRange {
    /// Lowest hash key.
    pub start: u128,
    /// Highest hash key.
    pub end: u128,
}

/// A row that claims to be a lease and is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLease {
    /// A required attribute is missing or of another type.
    #[error("lease {key:?}: attribute {attribute} is missing or not a {expected}")]
    Attribute {
        /// The row's key, as far as it could be read.
        key: String,
        /// The attribute.
        attribute: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The checkpoint cannot be read.
    #[error("lease {key:?}: {source}")]
    Checkpoint {
        /// The row's key.
        key: String,
        /// What is wrong with it.
        source: InvalidCheckpoint,
    },
}

impl Lease {
    /// A lease that nobody holds yet.
    #[must_use]
    pub fn new(key: impl Into<String>, checkpoint: Checkpoint) -> Self {
        Self {
            key: key.into(),
            owner: None,
            counter: 0,
            owner_switches: 0,
            checkpoint,
            checkpoint_owner: None,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hash_range: None,
            throughput: None,
            initial_at: None,
        }
    }

    /// The worker that processes the shard: during a hand-over not yet the owner.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.checkpoint_owner.as_deref().or(self.owner.as_deref())
    }

    /// Whether the shard is processed to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.checkpoint == Checkpoint::ShardEnd
    }

    /// When the shard begins to be read, in milliseconds since the Unix epoch, where the checkpoint says no more than
    /// `LATEST` or `AT_TIMESTAMP`: for a lease that is made now.
    pub(crate) fn begins_at(&self, initial: InitialPosition, now: SystemTime) -> Option<u64> {
        match (self.checkpoint, initial) {
            (Checkpoint::AtTimestamp, InitialPosition::AtTimestamp(at)) => Some(millis(at)),
            (Checkpoint::Latest, _) => Some(millis(now)),
            // `AT_TIMESTAMP` of a worker that was told a time this one does not know: from the oldest record.
            _ => None,
        }
    }

    /// Reads a row. `None` for rows of another kind, which KCL 3.5 keeps in the same table.
    ///
    /// # Errors
    /// [`InvalidLease`], when a lease row lacks what every lease row has.
    pub fn decode(item: &HashMap<String, AttributeValue>) -> Result<Option<Self>, InvalidLease> {
        if item.get(ENTITY_TYPE).is_some_and(|kind| kind != &AttributeValue::S("LEASE".into())) {
            return Ok(None);
        }
        let key = text(item, LEASE_KEY).unwrap_or_default();
        let invalid =
            |attribute, expected| InvalidLease::Attribute { key: key.clone(), attribute, expected };
        if key.is_empty() {
            return Err(invalid(LEASE_KEY, "string"));
        }
        let counter = number(item, LEASE_COUNTER).ok_or(invalid(LEASE_COUNTER, "number"))?;
        let checkpoint = text(item, CHECKPOINT).ok_or(invalid(CHECKPOINT, "string"))?;
        let sub_sequence = number(item, SUB_SEQUENCE).unwrap_or_default();
        let checkpoint = Checkpoint::parse(&checkpoint, sub_sequence)
            .map_err(|source| InvalidLease::Checkpoint { key: key.clone(), source })?;
        Ok(Some(Self {
            owner: text(item, LEASE_OWNER),
            counter,
            owner_switches: number(item, OWNER_SWITCHES).unwrap_or_default(),
            checkpoint,
            checkpoint_owner: text(item, CHECKPOINT_OWNER),
            parents: set(item, PARENTS),
            children: set(item, CHILDREN),
            hash_range: hash_range(item),
            throughput: number(item, THROUGHPUT),
            initial_at: number(item, INITIAL_AT),
            key,
        }))
    }

    /// The whole row, for its creation. Absent values are absent attributes, never empty ones.
    #[must_use]
    pub fn encode(&self) -> HashMap<String, AttributeValue> {
        let n = |number: u64| AttributeValue::N(number.to_string());
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let mut item = HashMap::from([
            (LEASE_KEY.to_owned(), s(&self.key)),
            (LEASE_COUNTER.to_owned(), n(self.counter)),
            (OWNER_SWITCHES.to_owned(), n(self.owner_switches)),
            (CHECKPOINT.to_owned(), s(&self.checkpoint.to_string())),
            (SUB_SEQUENCE.to_owned(), n(self.checkpoint.sub_sequence())),
        ]);
        let owners = [(LEASE_OWNER, &self.owner), (CHECKPOINT_OWNER, &self.checkpoint_owner)];
        for (name, owner) in owners {
            if let Some(owner) = owner {
                item.insert(name.to_owned(), s(owner));
            }
        }
        for (name, shards) in [(PARENTS, &self.parents), (CHILDREN, &self.children)] {
            if !shards.is_empty() {
                item.insert(name.to_owned(), string_set(shards));
            }
        }
        if let Some(throughput) = self.throughput {
            let throughput = AttributeValue::N(format!("{throughput:.6}"));
            item.insert(THROUGHPUT.to_owned(), throughput);
        }
        if let Some(at) = self.initial_at {
            item.insert(INITIAL_AT.to_owned(), n(at));
        }
        if let Some(range) = self.hash_range {
            item.insert(STARTING_HASH_KEY.to_owned(), s(&range.start.to_string()));
            item.insert(ENDING_HASH_KEY.to_owned(), s(&range.end.to_string()));
        }
        item
    }
}

pub(crate) fn string_set(shards: &BTreeSet<String>) -> AttributeValue {
    AttributeValue::Ss(shards.iter().cloned().collect())
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().filter(|text| !text.is_empty()).cloned()
}

fn number<N: FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn set(item: &Item, name: &str) -> BTreeSet<String> {
    let shards = item.get(name).and_then(|value| value.as_ss().ok());
    shards.into_iter().flatten().cloned().collect()
}

fn hash_range(item: &Item) -> Option<HashRange> {
    let key = |name| text(item, name)?.parse().ok();
    Some(HashRange { start: key(STARTING_HASH_KEY)?, end: key(ENDING_HASH_KEY)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Lease {
        Lease {
            owner: Some("worker-a".into()),
            counter: 7,
            owner_switches: 2,
            parents: ["shardId-000000000000".to_owned()].into(),
            children: ["shardId-000000000003".to_owned(), "shardId-000000000004".to_owned()].into(),
            hash_range: Some(HashRange { start: 0, end: u128::MAX }),
            throughput: Some(12.5),
            initial_at: Some(1_700_000_000_123),
            ..Lease::new("shardId-000000000001", Checkpoint::parse("4954", 3).unwrap())
        }
    }

    #[test]
    fn a_row_survives_a_round_trip() {
        for lease in [full(), Lease::new("shardId-000000000000", Checkpoint::TrimHorizon)] {
            assert_eq!(Lease::decode(&lease.encode()).unwrap(), Some(lease));
        }
    }

    #[test]
    fn the_row_has_the_attributes_of_the_kcl() {
        let item = full().encode();
        assert_eq!(item["leaseOwner"], AttributeValue::S("worker-a".into()));
        assert_eq!(item["leaseCounter"], AttributeValue::N("7".into()));
        assert_eq!(item["ownerSwitchesSinceCheckpoint"], AttributeValue::N("2".into()));
        assert_eq!(item["checkpoint"], AttributeValue::S("4954".into()));
        assert_eq!(item["checkpointSubSequenceNumber"], AttributeValue::N("3".into()));
        assert_eq!(item["parentShardId"], AttributeValue::Ss(vec!["shardId-000000000000".into()]));
        assert_eq!(item["startingHashKey"], AttributeValue::S("0".into()));
        assert_eq!(item["endingHashKey"], AttributeValue::S(u128::MAX.to_string()));
        let unowned = Lease::new("shardId-000000000000", Checkpoint::TrimHorizon).encode();
        assert!(!unowned.contains_key("leaseOwner"));
        assert!(!unowned.contains_key("parentShardId"));
    }

    #[test]
    fn a_row_of_another_kind_is_no_lease() {
        let mut item = HashMap::from([
            ("leaseKey".to_owned(), AttributeValue::S("worker-a".into())),
            ("entityType".to_owned(), AttributeValue::S("WORKER_METRIC_STATS".into())),
        ]);
        assert_eq!(Lease::decode(&item), Ok(None));
        item = full().encode();
        item.insert("entityType".to_owned(), AttributeValue::S("LEASE".into()));
        assert_eq!(Lease::decode(&item), Ok(Some(full())));
    }

    #[test]
    fn a_row_without_a_counter_is_told_by_name() {
        let mut item = full().encode();
        item.remove("leaseCounter");
        let error = Lease::decode(&item).unwrap_err().to_string();
        assert!(
            error.contains("shardId-000000000001") && error.contains("leaseCounter"),
            "{error}"
        );
    }
}
