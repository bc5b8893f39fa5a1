//! A shard: a part of the key space over a part of time, and its records.

use std::collections::VecDeque;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::hash::HashRange;
use super::sequence::Sequence;
use super::throttle::Throttle;

const ID_PREFIX: &str = "shardId-";

/// The name of a shard. They are given out in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShardId(pub(super) u32);

/// A shard. Closed ones stay until their records have expired.
pub(super) struct Shard {
    pub(super) id: ShardId,
    /// None, or the one that was split, or the two that were merged.
    pub(super) parents: Vec<ShardId>,
    pub(super) range: HashRange,
    /// Second of making, as it goes into sequence numbers: above that of the parents, ahead of the clock if need be.
    pub(super) made_s: u64,
    pub(super) opened_ms: u64,
    pub(super) closed_ms: Option<u64>,
    pub(super) records: VecDeque<Record>,
    pub(super) throttle: Throttle,
    next_counter: u64,
}

/// A record, its data in base64 as it came and goes.
pub(super) struct Record {
    pub(super) counter: u64,
    pub(super) arrived_ms: u64,
    pub(super) partition_key: Box<str>,
    pub(super) data: Box<str>,
    /// Of data and key.
    pub(super) bytes: usize,
}

impl Shard {
    pub(super) fn open(
        id: ShardId,
        parents: Vec<ShardId>,
        range: HashRange,
        made_s: u64,
        now_ms: u64,
    ) -> Self {
        Self {
            id,
            parents,
            range,
            made_s,
            opened_ms: now_ms,
            closed_ms: None,
            records: VecDeque::new(),
            throttle: Throttle::default(),
            // 0 is the number that the shard starts with, and no record's.
            next_counter: 1,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed_ms.is_none()
    }

    /// The counter that the next record gets; that of the end, if the shard is closed.
    pub(super) fn tip(&self) -> u64 {
        self.next_counter
    }

    /// The sequence number of `counter`, given out or passed at `ms`.
    pub(super) fn sequence(&self, counter: u64, ms: u64) -> Sequence {
        let Self { id, made_s, .. } = *self;
        Sequence { shard_made_s: made_s, shard: id.0, counter, made_s: ms / 1_000 }
    }

    /// The counter of a sequence number, if it is one of this shard.
    pub(super) fn counter(&self, sequence: Sequence) -> Option<u64> {
        let own = sequence.shard == self.id.0 && sequence.shard_made_s == self.made_s;
        (own && sequence.counter <= self.tip()).then_some(sequence.counter)
    }

    /// Index of the first record at or after `counter`.
    pub(super) fn position(&self, counter: u64) -> usize {
        self.records.partition_point(|record| record.counter < counter)
    }

    /// Appends a record that arrived at `arrived_ms`. Its sequence number.
    pub(super) fn append(
        &mut self,
        partition_key: Box<str>,
        data: Box<str>,
        bytes: usize,
        arrived_ms: u64,
    ) -> Sequence {
        debug_assert!(self.is_open(), "a record for a closed shard");
        let counter = self.next_counter;
        self.next_counter += 1;
        self.records.push_back(Record { counter, arrived_ms, partition_key, data, bytes });
        self.sequence(counter, arrived_ms)
    }

    /// Drops the records that arrived before `horizon_ms`.
    pub(super) fn trim(&mut self, horizon_ms: u64) {
        let expired = self.records.partition_point(|record| record.arrived_ms < horizon_ms);
        self.records.drain(..expired);
    }

    pub(super) fn to_json(&self) -> Value {
        let first = self.sequence(0, self.opened_ms);
        let mut sequences = json!({ "StartingSequenceNumber": first });
        if let Some(closed_ms) = self.closed_ms {
            sequences["EndingSequenceNumber"] = json!(self.sequence(self.tip(), closed_ms));
        }
        let mut shard = json!({
            "ShardId": self.id,
            "HashKeyRange": self.range,
            "SequenceNumberRange": sequences,
        });
        for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&self.parents) {
            shard[name] = json!(parent);
        }
        shard
    }
}

impl ShardId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = Self(text.strip_prefix(ID_PREFIX)?.parse().ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ID_PREFIX}{:012}", self.0)
    }
}

impl Serialize for ShardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
