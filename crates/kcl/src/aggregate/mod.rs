//! Records of the Kinesis Producer Library (KPL): many user records in one of Kinesis.
//!
//! The format, version 1: four bytes of magic, a Protocol Buffers message, and the MD5 of that message
//! (<https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>).

mod decode;
mod encode;

use bytes::Bytes;

pub(crate) use decode::unpack;
pub use encode::{Aggregated, Aggregator, Aggregators, NotAdded};

/// What an aggregate begins with.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// Length of the MD5 at its end.
const DIGEST: usize = 16;

/// `AggregatedRecord` of the format. Its parts share the bytes that it was read from.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    partition_keys: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    explicit_hash_keys: Vec<Bytes>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

/// `Record` of the format, without its tags, which the KPL never sets. What is required there is optional here,
/// to be missed.
#[derive(Clone, PartialEq, prost::Message)]
struct UserRecord {
    #[prost(uint64, optional, tag = "1")]
    partition_key: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    data: Option<Bytes>,
}

/// The hash key of a partition key: its MD5, as a number.
fn hash_key(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(md5(partition_key))
}

fn md5(bytes: &[u8]) -> [u8; DIGEST] {
    use md5::Digest as _;
    md5::Md5::digest(bytes).into()
}

#[cfg(test)]
mod tests;
