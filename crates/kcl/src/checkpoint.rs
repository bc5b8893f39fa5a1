//! Where reading stands: sequence numbers, positions and the sentinels of the Kinesis Client Library.

use std::fmt;

/// A record's place in its shard: a whole number of up to 186 bits, as the service makes them.
///
/// The source of the size is `SequenceNumberValidator` of the KCL; 192 bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber([u64; WORDS]);

/// A place within a shard: a record, and for aggregated records the index within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record.
    pub sequence: SequenceNumber,
    /// Index within an aggregated record, 0 for a plain one.
    pub sub_sequence: u64,
}

/// How far a shard has been processed, in the order that `ExtendedSequenceNumber` of the KCL gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// Nothing yet; start at the configured time.
    AtTimestamp,
    /// Nothing yet; start at the oldest record.
    TrimHorizon,
    /// Nothing yet; start at the tip.
    Latest,
    /// Everything up to and with this position.
    At(Position),
    /// Everything: the shard is closed and processed to its end.
    ShardEnd,
}

/// Text that is neither a sequence number nor a sentinel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a sequence number or one of TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END")]
pub struct InvalidCheckpoint(String);

/// 64-bit words of a sequence number, the most significant first: so the derived order is that of numbers.
const WORDS: usize = 3;
/// Decimal digits that fit one word, and the number one above them.
const CHUNK_DIGITS: usize = 19;
const CHUNK: u64 = 10_000_000_000_000_000_000;

impl SequenceNumber {
    /// Reads a decimal sequence number.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`], when it is empty, holds anything but digits or has more than 192 bits.
    pub fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        Self::from_digits(text.as_bytes()).ok_or_else(|| InvalidCheckpoint(text.to_owned()))
    }

    /// Eight digits at a time: this is done for every record that is read.
    fn from_digits(text: &[u8]) -> Option<Self> {
        let (first, eights) = text.as_rchunks::<8>();
        let mut number = (!text.is_empty()).then_some(Self([0; WORDS]))?;
        for digit in first {
            number.append(10, u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))?;
        }
        for eight in eights {
            number.append(100_000_000, eight_digits(*eight)?)?;
        }
        Some(number)
    }

    /// Multiplies by `scale`, adds `digits`. None when that has no room.
    fn append(&mut self, scale: u64, digits: u64) -> Option<()> {
        let mut carry = digits;
        for word in self.0.iter_mut().rev() {
            let wide = u128::from(*word) * u128::from(scale) + u128::from(carry);
            (*word, carry) = (low(wide), low(wide >> 64));
        }
        (carry == 0).then_some(())
    }
}

/// The value of eight decimal digits, all bytes at once: neighbours are joined to numbers below 100, those to
/// numbers below 10,000, and those to one.
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(text);
    let below_zero = text.wrapping_sub(0x3030_3030_3030_3030);
    let above_nine = text.wrapping_add(0x4646_4646_4646_4646);
    if (below_zero | above_nine) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (below_zero & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low(wide: u128) -> u64 {
    wide as u64
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0;
        let mut chunks = [0; WORDS + 1];
        for chunk in chunks.iter_mut().rev() {
            let mut rest = 0_u64;
            for word in &mut words {
                let wide = (u128::from(rest) << 64) | u128::from(*word);
                *word = low(wide / u128::from(CHUNK));
                rest = low(wide % u128::from(CHUNK));
            }
            *chunk = rest;
        }
        let first = chunks.iter().position(|&chunk| chunk != 0).unwrap_or(WORDS);
        write!(f, "{}", chunks[first])?;
        chunks[first + 1..].iter().try_for_each(|chunk| write!(f, "{chunk:0CHUNK_DIGITS$}"))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub_sequence {
            0 => write!(f, "{}", self.sequence),
            sub => write!(f, "{}/{sub}", self.sequence),
        }
    }
}

impl Checkpoint {
    /// Reads the attributes `checkpoint` and `checkpointSubSequenceNumber` of a lease row.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`], when the text is neither a number nor a sentinel.
    pub fn parse(text: &str, sub_sequence: u64) -> Result<Self, InvalidCheckpoint> {
        Ok(match text {
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "SHARD_END" => Self::ShardEnd,
            digits => Self::At(Position { sequence: SequenceNumber::parse(digits)?, sub_sequence }),
        })
    }

    /// The attribute `checkpointSubSequenceNumber` of a lease row; 0 for sentinels.
    #[must_use]
    pub fn sub_sequence(&self) -> u64 {
        match self {
            Self::At(position) => position.sub_sequence,
            _ => 0,
        }
    }
}

/// The attribute `checkpoint` of a lease row.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtTimestamp => f.write_str("AT_TIMESTAMP"),
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::ShardEnd => f.write_str("SHARD_END"),
            Self::At(position) => write!(f, "{}", position.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, sub: u64) -> Checkpoint {
        Checkpoint::parse(text, sub).unwrap()
    }

    #[test]
    fn checkpoints_are_ordered_as_in_the_kcl() {
        let ascending = [
            at("AT_TIMESTAMP", 0),
            at("TRIM_HORIZON", 0),
            at("LATEST", 0),
            at("0", 0),
            at("9", 0),
            at("10", 0),
            at("10", 1),
            at("49540000000000000000000000000000000000000000000000000002", 0),
            at("149540000000000000000000000000000000000000000000000000001", 0),
            at("SHARD_END", 0),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "12a", "-1", "trim_horizon", " 1", &"9".repeat(58)] {
            assert!(Checkpoint::parse(text, 0).is_err(), "{text:?}");
        }
        for (at, byte) in (0..11).flat_map(|at| (0..128).map(move |byte| (at, byte))) {
            let mut text = *b"49590338271";
            text[at] = byte;
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(Checkpoint::parse(text, 0).is_ok(), byte.is_ascii_digit(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn sequence_numbers_compare_as_numbers(a: u128, b: u128, zeros in "0{0,3}") {
            let number = |n: u128| SequenceNumber::parse(&format!("{zeros}{n}")).unwrap();
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }

        #[test]
        fn a_sequence_number_is_told_as_it_was_read(text in "0|[1-9][0-9]{0,56}") {
            prop_assert_eq!(SequenceNumber::parse(&text).unwrap().to_string(), text);
        }
    }
}
