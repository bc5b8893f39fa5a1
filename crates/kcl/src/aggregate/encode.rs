//! Making aggregates, for producers.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_kinesis::error::BuildError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{encoded_len_varint, key_len};

use super::{DIGEST, MAGIC, Message, UserRecord, hash_key, md5};
use crate::lease::HashRange;

/// Characters of a partition key
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html>).
const PARTITION_KEY_MAX: usize = 256;

/// Collects user records into one record of Kinesis. A thousand small records a second are the most that a shard
/// takes; aggregated, a megabyte a second of them.
///
/// An aggregate goes to the shard of its first record. Where a stream has several, take [`Aggregators`].
#[derive(Clone, Debug)]
pub struct Aggregator {
    most: usize,
    message: Message,
    partition_keys: HashMap<String, u64>,
    explicit_hash_keys: HashMap<u128, u64>,
    /// Of the whole aggregate, as it would be now.
    bytes: usize,
    /// Where to send it instead of to the shard of its first record.
    target: Option<u128>,
}

/// An [`Aggregator`] for each shard: no user record lands outside the shard that its own key belongs to, and those of
/// one key keep their order.
#[derive(Clone, Debug)]
pub struct Aggregators(BTreeMap<u128, (HashRange, Aggregator)>);

/// A record for Kinesis: an aggregate, or a user record that stayed alone, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregated {
    /// The partition key of its first user record.
    pub partition_key: String,
    /// Where it belongs, if not where the partition key says.
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Bytes,
    /// How many user records it holds.
    pub user_records: usize,
}

/// Why a user record was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// It is larger than a whole aggregate may be.
    #[error(
        "a record of {bytes} bytes, its partition key included, is larger than the {most} that an aggregate may have"
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most that an aggregate may have.
        most: usize,
    },
    /// Kinesis refuses its partition key.
    #[error("a partition key has 1 to 256 characters, this one has {0}")]
    PartitionKey(usize),
    /// None of the shards takes it.
    #[error("none of the shards takes the hash key {hash_key}: list them again")]
    NoShard {
        /// The hash key of the record.
        hash_key: u128,
    },
}

impl Aggregator {
    /// For aggregates of at most so many bytes, partition key included. Kinesis takes 1 MiB, and counts each 25 KB of
    /// it for one `PUT` unit.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            most: bytes_max,
            message: Message::default(),
            partition_keys: HashMap::new(),
            explicit_hash_keys: HashMap::new(),
            bytes: 0,
            target: None,
        }
    }

    /// Takes a user record. What was collected so far is returned when there is no room for it; then it begins the
    /// next aggregate.
    ///
    /// # Errors
    /// [`NotAdded::TooLarge`] and [`NotAdded::PartitionKey`], and everything is as before.
    pub fn add(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data: impl Into<Bytes>,
    ) -> Result<Option<Aggregated>, NotAdded> {
        let characters = partition_key.chars().count();
        if !(1..=PARTITION_KEY_MAX).contains(&characters) {
            return Err(NotAdded::PartitionKey(characters));
        }
        let (data, most) = (data.into(), self.most);
        let bytes = partition_key.len() + data.len();
        if bytes > most {
            return Err(NotAdded::TooLarge { bytes, most });
        }
        let grows = self.grows_by(partition_key, explicit_hash_key, &data);
        if !self.message.records.is_empty() && self.bytes + grows > most {
            let full = self.finish();
            self.push(partition_key, explicit_hash_key, data);
            return Ok(full);
        }
        self.push(partition_key, explicit_hash_key, data);
        Ok(None)
    }

    /// What was collected since the last aggregate, if anything was.
    pub fn finish(&mut self) -> Option<Aggregated> {
        let Self { most, target, .. } = *self;
        let Self { message, .. } = std::mem::replace(self, Self { target, ..Self::new(most) });
        let first = message.records.first()?;
        let at = |index: Option<u64>| index.and_then(|at| usize::try_from(at).ok());
        let key = at(first.partition_key).and_then(|at| message.partition_keys.get(at))?;
        let partition_key = String::from_utf8_lossy(key).into_owned();
        let own_hash_key = at(first.explicit_hash_key)
            .and_then(|at| message.explicit_hash_keys.get(at))
            .and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        // As the KPL does. A payload that looks like an aggregate has to be told from one.
        if let [UserRecord { data: Some(data), .. }] = message.records.as_slice()
            && !data.starts_with(&MAGIC)
        {
            let (explicit_hash_key, data) = (own_hash_key, data.clone());
            return Some(Aggregated { partition_key, explicit_hash_key, data, user_records: 1 });
        }
        let body = message.encode_to_vec();
        let data = [MAGIC.as_slice(), &body, &md5(&body)].concat().into();
        let (explicit_hash_key, user_records) = (target.or(own_hash_key), message.records.len());
        Some(Aggregated { partition_key, explicit_hash_key, data, user_records })
    }

    /// By how much the aggregate would grow, its own partition key included.
    fn grows_by(
        &self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data: &Bytes,
    ) -> usize {
        let field = |tag, bytes: usize| key_len(tag) + encoded_len_varint(bytes as u64) + bytes;
        let is_new = !self.partition_keys.contains_key(partition_key);
        let key = if is_new { field(1, partition_key.len()) } else { 0 };
        let hash_key = explicit_hash_key.filter(|it| !self.explicit_hash_keys.contains_key(it));
        let hash_key = hash_key.map_or(0, |key| field(2, key.to_string().len()));
        let record = UserRecord {
            partition_key: Some(self.message.partition_keys.len() as u64),
            explicit_hash_key: explicit_hash_key
                .map(|_| self.message.explicit_hash_keys.len() as u64),
            data: Some(data.clone()),
        };
        let frame = match self.message.records.is_empty() {
            true => partition_key.len() + MAGIC.len() + DIGEST,
            false => 0,
        };
        frame + key + hash_key + field(3, record.encoded_len())
    }

    fn push(&mut self, partition_key: &str, explicit_hash_key: Option<u128>, data: Bytes) {
        self.bytes += self.grows_by(partition_key, explicit_hash_key, &data);
        let index = |table: &mut Vec<Bytes>, text: &str| {
            table.push(Bytes::copy_from_slice(text.as_bytes()));
            table.len() as u64 - 1
        };
        let (keys, message) = (&mut self.partition_keys, &mut self.message);
        let partition_key = match keys.get(partition_key) {
            Some(at) => *at,
            None => *keys
                .entry(partition_key.to_owned())
                .or_insert_with(|| index(&mut message.partition_keys, partition_key)),
        };
        let explicit_hash_key = explicit_hash_key.map(|key| {
            let table = &mut message.explicit_hash_keys;
            *self.explicit_hash_keys.entry(key).or_insert_with(|| index(table, &key.to_string()))
        });
        let partition_key = Some(partition_key);
        message.records.push(UserRecord { partition_key, explicit_hash_key, data: Some(data) });
    }
}

impl Aggregators {
    /// One for each open shard, by its range of hash keys as `ListShards` tells it. When the stream is resharded, finish
    /// these and make new ones; what was sent meanwhile lies in the shard where the range began.
    #[must_use]
    pub fn new(shards: impl IntoIterator<Item = HashRange>, bytes_max: usize) -> Self {
        let one = |range: HashRange| {
            let target = Some(range.start);
            (range.start, (range, Aggregator { target, ..Aggregator::new(bytes_max) }))
        };
        Self(shards.into_iter().map(one).collect())
    }

    /// As [`Aggregator::add`], in the shard that the key belongs to.
    ///
    /// # Errors
    /// [`NotAdded`], and everything is as before.
    pub fn add(
        &mut self,
        partition_key: &str,
        explicit_hash_key: Option<u128>,
        data: impl Into<Bytes>,
    ) -> Result<Option<Aggregated>, NotAdded> {
        let hash_key = explicit_hash_key.unwrap_or_else(|| hash_key(partition_key.as_bytes()));
        let shard = self.0.range_mut(..=hash_key).next_back().map(|(_, shard)| shard);
        let shard = shard.filter(|(range, _)| hash_key <= range.end);
        let (_, aggregator) = shard.ok_or(NotAdded::NoShard { hash_key })?;
        aggregator.add(partition_key, explicit_hash_key, data)
    }

    /// What was collected in all shards.
    pub fn finish(&mut self) -> Vec<Aggregated> {
        self.0.values_mut().filter_map(|(_, aggregator)| aggregator.finish()).collect()
    }
}

impl Aggregated {
    /// The record, for `PutRecords`.
    ///
    /// # Errors
    /// None in practice: what the SDK requires is set.
    pub fn into_entry(self) -> Result<PutRecordsRequestEntry, BuildError> {
        PutRecordsRequestEntry::builder()
            .partition_key(self.partition_key)
            .set_explicit_hash_key(self.explicit_hash_key.map(|key| key.to_string()))
            .data(Blob::new(self.data))
            .build()
    }
}
