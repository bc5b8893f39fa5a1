//! The key space: 128-bit hash keys, and the ranges of it that shards serve.

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

/// A part of the key space, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashRange {
    pub(super) start: u128,
    pub(super) end: u128,
}

/// The hash key of a partition key: its MD5, read as a number
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// First hash keys of `count` shards of equal width.
pub(super) fn starts(count: u32) -> impl Iterator<Item = u128> {
    // The space is one larger than its highest key. The width of the whole of it does not fit a number, but one
    // shard alone begins at 0 whatever the width.
    let width = (u128::MAX / u128::from(count)).wrapping_add(count.is_power_of_two().into());
    (0..count).map(move |index| width * u128::from(index))
}

impl HashRange {
    pub(super) fn contains(self, key: u128) -> bool {
        (self.start..=self.end).contains(&key)
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "StartingHashKey": self.start.to_string(),
            "EndingHashKey": self.end.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_is_hashed_as_aws_does() {
        // md5("a") = 0cc175b9c0f1b6a831c399e269772661
        assert_eq!(hash_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn shards_of_equal_width_begin_where_aws_begins_them() {
        assert_eq!(starts(1).collect::<Vec<_>>(), [0]);
        assert_eq!(starts(2).collect::<Vec<_>>(), [0, 1 << 127]);
        let thirds: Vec<_> = starts(3).collect();
        assert_eq!(thirds[1], 113_427_455_640_312_821_154_458_202_477_256_070_485);
    }
}
