//! The key space: 128-bit hash keys, and the ranges of it that shards serve.

use md5::{Digest as _, Md5};
use serde::{Serialize, Serializer};

use super::error::{invalid_argument, validation};
use crate::wire::AwsError;

/// A part of the key space, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct HashRange {
    #[serde(rename = "StartingHashKey", serialize_with = "as_text")]
    pub(super) start: u128,
    #[serde(rename = "EndingHashKey", serialize_with = "as_text")]
    pub(super) end: u128,
}

/// The hash key of a partition key: its MD5, read as a number
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>).
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into())
}

/// A hash key that a request gives: a decimal number of 128 bits without leading zeros.
pub(super) fn parse(member: &str, text: &str) -> Result<u128, AwsError> {
    let plain = text == "0" || (!text.starts_with('0') && (1..=39).contains(&text.len()));
    if !plain || !text.bytes().all(|b| b.is_ascii_digit()) {
        let constraint = "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})";
        return Err(validation(member, text, constraint));
    }
    text.parse().map_err(|_| {
        let message = format!(
            "Invalid {member}. It must be in the range: [0, 2^128-1]. Specified value was {text}"
        );
        invalid_argument(message)
    })
}

/// First hash keys of `count` shards of equal width.
pub(super) fn starts(count: u32) -> impl Iterator<Item = u128> {
    // The space is one larger than its highest key. The width of the whole of it does not fit a number, but one
    // shard alone begins at 0 whatever the width.
    let width = (u128::MAX / u128::from(count)).wrapping_add(count.is_power_of_two().into());
    (0..count).map(move |index| width * u128::from(index))
}

/// Numbers of this size go as text.
fn as_text<S: Serializer>(key: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
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

    #[test]
    fn a_hash_key_is_a_plain_number_of_128_bits() {
        let code = |text: &str| parse("explicitHashKey", text).map_err(|error| error.code);
        assert_eq!(code("0"), Ok(0));
        assert_eq!(code(&u128::MAX.to_string()), Ok(u128::MAX));
        let above = "340282366920938463463374607431768211456";
        assert_eq!(code(above), Err("InvalidArgumentException".to_owned()));
        for text in ["", "00", "01", "+1", "-1", "1.0", "x", &"1".repeat(40)] {
            assert_eq!(code(text), Err("ValidationException".to_owned()), "{text}");
        }
    }
}
