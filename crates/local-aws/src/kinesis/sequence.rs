//! Sequence numbers: 56 digits, growing over the whole stream, the time of their making within.

use std::fmt;

/// A place in a stream. The counter alone decides the order: it grows with every record, split and merge of
/// the stream, so a child shard begins above its parents' ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) ms: u64,
    pub(super) counter: u64,
}

const PREFIX: &str = "49";
const SUFFIX: &str = "0000000000000000";
const MS_DIGITS: usize = 18;
const DIGITS: usize = 56;

impl Sequence {
    /// Reads a number that this stream may have given out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        let rest = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX).filter(|_| legal)?;
        let (ms, counter) = rest.split_at(MS_DIGITS);
        Some(Self { ms: ms.parse().ok()?, counter: counter.parse().ok()? })
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:018}{:020}{SUFFIX}", self.ms, self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_a_round_trip_and_foreign_ones_are_none() {
        let sequence = Sequence { ms: 1_700_000_000_123, counter: 42 };
        let text = sequence.to_string();
        assert_eq!(text.len(), DIGITS);
        assert_eq!(Sequence::parse(&text), Some(sequence));
        for foreign in ["", "0", "49", &text[1..], &text.replace('9', "x")] {
            assert_eq!(Sequence::parse(foreign), None, "{foreign}");
        }
    }
}
