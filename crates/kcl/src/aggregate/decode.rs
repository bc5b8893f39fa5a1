//! Taking aggregates apart, without copying.

use bytes::Bytes;
use prost::Message as _;

use super::{DIGEST, MAGIC, Message, UserRecord, hash_key, md5};
use crate::checkpoint::Position;
use crate::lease::HashRange;
use crate::record::{PartitionKey, Record};
use crate::settings::OutsideShard;

/// What became of a record of Kinesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The last position that it holds, whether that was delivered or not. The record's own, if it holds none.
    pub(crate) last: Position,
    /// User records that were left out as they lie outside the shard, and their bytes.
    pub(crate) outside: (u64, u64),
    /// Whether it is an aggregate that cannot be read: then it is delivered as it came.
    pub(crate) is_damaged: bool,
}

/// Puts the user records of an aggregate into `into`; any other record as it is. Data and partition keys are
/// parts of the record's bytes.
///
/// With [`OutsideShard::Drop`], user records whose hash key is not in `range` are left out, each by itself; the KCL
/// leaves out the whole aggregate. Not so on a stream that distributes records itself, which names no partition key.
pub(crate) fn unpack(
    record: Record,
    range: Option<HashRange>,
    outside: OutsideShard,
    into: &mut Vec<Record>,
) -> Unpacked {
    let mut unpacked = Unpacked { last: record.position, outside: (0, 0), is_damaged: false };
    let Some(message) = message(&record.data) else {
        into.push(record);
        return unpacked;
    };
    let Some(users) = users(message) else {
        unpacked.is_damaged = true;
        into.push(record);
        return unpacked;
    };
    let filter = (outside == OutsideShard::Drop && record.partition_key.is_some()).then_some(range);
    let filter = filter.flatten();
    into.reserve(users.len());
    for (sub_sequence, user) in (0..).zip(users) {
        unpacked.last = Position { sub_sequence, ..record.position };
        let is_outside = filter.is_some_and(|range| {
            let key =
                user.explicit_hash_key.unwrap_or_else(|| hash_key(user.partition_key.as_bytes()));
            !(range.start..=range.end).contains(&key)
        });
        if is_outside {
            unpacked.outside.0 += 1;
            unpacked.outside.1 += user.data.len() as u64;
            continue;
        }
        into.push(Record {
            position: unpacked.last,
            partition_key: Some(user.partition_key),
            explicit_hash_key: user.explicit_hash_key,
            data: user.data,
            arrived_at: record.arrived_at,
        });
    }
    unpacked
}

/// The message of an aggregate; `None` when it is no aggregate. Any bytes may begin with the magic: the digest says
/// whether they are meant so.
fn message(data: &Bytes) -> Option<Bytes> {
    let end = data.len().checked_sub(DIGEST).filter(|end| *end >= MAGIC.len())?;
    let is_aggregate = data.starts_with(&MAGIC) && md5(&data[MAGIC.len()..end]) == data[end..];
    is_aggregate.then(|| data.slice(MAGIC.len()..end))
}

/// A user record, with what it refers to.
struct User {
    partition_key: PartitionKey,
    explicit_hash_key: Option<u128>,
    data: Bytes,
}

/// All of the user records, or `None`: half of an aggregate would be a loss that nobody sees.
fn users(message: Bytes) -> Option<Vec<User>> {
    let message = Message::decode(message).ok()?;
    let keys = message.partition_keys.into_iter().map(PartitionKey::from_utf8);
    let keys: Vec<_> = keys.collect::<Option<_>>()?;
    let hash_keys = message.explicit_hash_keys.iter();
    let number = |key: &Bytes| std::str::from_utf8(key).ok()?.parse::<u128>().ok();
    let hash_keys: Vec<_> = hash_keys.map(number).collect::<Option<_>>()?;
    let user = |user: UserRecord| {
        let explicit_hash_key = match user.explicit_hash_key {
            None => None,
            Some(at) => Some(*hash_keys.get(usize::try_from(at).ok()?)?),
        };
        let partition_key = keys.get(usize::try_from(user.partition_key?).ok()?)?.clone();
        Some(User { partition_key, explicit_hash_key, data: user.data? })
    };
    message.records.into_iter().map(user).collect()
}
