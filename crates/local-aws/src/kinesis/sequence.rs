//! Sequence numbers, laid out as those of AWS: 186 bits in 56 digits.
//!
//! The layout is that of version 2, as the Kinesis Client Library checks it (`SequenceNumberValidator`) and as
//! kinesalite found it out: from the highest bit 2, the second in which the shard was made (36 bits), the lowest 4 bits of
//! the shard's index, a counter (64), zeros (8), the second of the record (36), the shard's index (32), 2 (4).
//! Within a shard the counter decides; a child's second is above that of its parents, and so are all its numbers.

use std::fmt;

use serde::{Serialize, Serializer};

/// The number of a record, of the beginning of a shard (counter 0), or of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Seconds since the epoch.
    pub(super) shard_made_s: u64,
    pub(super) shard: u32,
    pub(super) counter: u64,
    /// Seconds since the epoch.
    pub(super) made_s: u64,
}

const DIGITS: usize = 56;
/// Highest power of ten that fits into a limb, and its zeros.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: usize = 19;
const SECONDS: u64 = (1 << 36) - 1;
const TOP: u64 = 2;
const VERSION: u64 = 2;

/// A number of 192 bits, its highest limb first.
type Wide = [u64; 3];

impl Sequence {
    /// Reads a number of the layout, whichever stream it is from.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        let mut wide = Wide::default();
        for digit in text.bytes().filter(|_| legal) {
            wide = multiply_add(wide, 10, u64::from(digit - b'0'))?;
        }
        let [high, middle, low] = wide;
        let bits = u128::from(middle) << 64 | u128::from(low);
        let part = |from: u32, mask: u64| u64::try_from((bits >> from) & u128::from(mask)).ok();
        let sequence = Self {
            shard_made_s: (high >> 20) & SECONDS,
            shard: u32::try_from(part(4, u32::MAX.into())?).ok()?,
            counter: (high & 0xffff) << 48 | part(80, (1 << 48) - 1)?,
            made_s: part(36, SECONDS)?,
        };
        // Whatever bits the parts do not cover are told by writing them again.
        (sequence.wide() == wide).then_some(sequence)
    }

    fn wide(self) -> Wide {
        let index = u64::from(self.shard);
        let high = TOP << 56
            | (self.shard_made_s & SECONDS) << 20
            | (index & 0xf) << 16
            | self.counter >> 48;
        let middle = self.counter << 16 | (self.made_s & SECONDS) >> 28;
        let low = (self.made_s & SECONDS) << 36 | index << 4 | VERSION;
        [high, middle, low]
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rest, low) = divide(self.wide());
        let (rest, middle) = divide(rest);
        let (_, high) = divide(rest);
        write!(f, "{high}{middle:0CHUNK_DIGITS$}{low:0CHUNK_DIGITS$}")
    }
}

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Quotient and remainder by [`CHUNK`].
fn divide(mut wide: Wide) -> (Wide, u64) {
    let mut remainder = 0;
    for limb in &mut wide {
        let dividend = u128::from(remainder) << 64 | u128::from(*limb);
        // The remainder is below the divisor: both results fit a limb.
        *limb = low_limb(dividend / u128::from(CHUNK));
        remainder = low_limb(dividend % u128::from(CHUNK));
    }
    (wide, remainder)
}

fn multiply_add(mut wide: Wide, factor: u64, addend: u64) -> Option<Wide> {
    let mut carry = addend;
    for limb in wide.iter_mut().rev() {
        let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
        *limb = low_limb(product);
        carry = low_limb(product >> 64);
    }
    (carry == 0).then_some(wide)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low_limb(number: u128) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_392_000;

    fn sequence(shard: u32, counter: u64) -> Sequence {
        Sequence { shard_made_s: NOW_S, shard, counter, made_s: NOW_S + 77 }
    }

    #[test]
    fn a_number_survives_a_round_trip() {
        for counter in [0, 1, 0xffff_ffff, 1 << 48, u64::MAX] {
            for shard in [0, 1, 15, 16, u32::MAX] {
                let text = sequence(shard, counter).to_string();
                assert_eq!(text.len(), DIGITS);
                assert!(text.starts_with("49"), "{text}");
                assert_eq!(Sequence::parse(&text), Some(sequence(shard, counter)), "{text}");
            }
        }
    }

    #[test]
    fn a_number_that_aws_gave_out_is_read_as_aws_meant_it() {
        // Of shardId-000000000006, arrived at 1545084650.987
        // (<https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>).
        let text = "49590338271490256608559692538361571095921575989136588898";
        let sequence = Sequence::parse(text).unwrap();
        assert_eq!((sequence.shard, sequence.made_s), (6, 1_545_084_650));
        assert_eq!(sequence.to_string(), text);
    }

    #[test]
    fn the_counter_decides_within_a_shard_and_the_second_of_making_between_parent_and_child() {
        let text = |shard_made_s, shard, counter, made_s| {
            Sequence { shard_made_s, shard, counter, made_s }.to_string()
        };
        assert!(text(NOW_S, 3, 2, NOW_S) > text(NOW_S, 3, 1, NOW_S + 9));
        assert!(text(NOW_S + 1, 0, 0, NOW_S) > text(NOW_S, 15, u64::MAX, NOW_S + 9));
    }

    #[test]
    fn other_texts_are_none() {
        let text = sequence(1, 42).to_string();
        // The last digit decides the version among others.
        let version = format!("{}1", &text[..DIGITS - 1]);
        let spaced = format!(" {}", &text[1..]);
        for foreign in ["", "0", "49", &text[1..], &text.replace('9', "x"), &version, &spaced] {
            assert_eq!(Sequence::parse(foreign), None, "{foreign}");
        }
        assert_eq!(Sequence::parse(&"9".repeat(DIGITS)), None);
    }
}
