//! Where reading stands: sequence numbers, positions and the sentinels of the Kinesis Client Library.

use std::cmp::Ordering;
use std::fmt;

/// A record's place in its shard: a whole number of up to 186 bits, ordered as a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Box<str>);

/// A place within a shard: a record, and for aggregated records the index within.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record.
    pub sequence: SequenceNumber,
    /// Index within an aggregated record, 0 for a plain one.
    pub sub_sequence: u64,
}

/// How far a shard has been processed, in the order that `ExtendedSequenceNumber` of the KCL gives them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl SequenceNumber {
    /// Reads a decimal sequence number.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`], when it is empty or holds anything but digits.
    pub fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidCheckpoint(text.to_owned()));
        }
        let digits = text.trim_start_matches('0');
        Ok(Self(if digits.is_empty() { "0" } else { digits }.into()))
    }

    /// The number in decimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without leading zeros a longer number is a greater one, and equally long ones compare as text.
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

    /// The attribute `checkpoint` of a lease row.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::ShardEnd => "SHARD_END",
            Self::At(position) => position.sequence.as_str(),
        }
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

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
        for text in ["", "12a", "-1", "trim_horizon", " 1"] {
            assert!(Checkpoint::parse(text, 0).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn sequence_numbers_compare_as_numbers(a: u128, b: u128, zeros in "0{0,3}") {
            let number = |n: u128| SequenceNumber::parse(&format!("{zeros}{n}")).unwrap();
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }
    }
}
