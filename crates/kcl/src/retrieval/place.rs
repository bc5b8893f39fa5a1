//! Where a source stands.

use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;

use super::Start;
use crate::checkpoint::SequenceNumber;
use crate::record::Record;

/// How much before the tip reading begins again when it began there and nothing came: this machine's clock and
/// that of Kinesis differ, and twice is better than never.
const LATEST_MARGIN: Duration = Duration::from_secs(10);

/// The start of the next iterator or subscription, and what was returned already.
pub(super) struct Place {
    start: Start,
    /// Nothing up to this is returned again.
    returned: Option<SequenceNumber>,
}

/// A place as both APIs take it.
pub(super) struct Spot {
    pub(super) kind: ShardIteratorType,
    pub(super) sequence: Option<String>,
    pub(super) timestamp: Option<DateTime>,
}

impl Place {
    pub(super) fn new(start: Start) -> Self {
        let returned = match start {
            Start::After(sequence) => Some(sequence),
            _ => None,
        };
        Self { start, returned }
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    pub(super) fn spot(&self) -> Spot {
        let (kind, sequence, timestamp) = match &self.start {
            Start::TrimHorizon => (ShardIteratorType::TrimHorizon, None, None),
            Start::Latest => (ShardIteratorType::Latest, None, None),
            Start::AtTimestamp(at) => {
                (ShardIteratorType::AtTimestamp, None, Some(DateTime::from(*at)))
            }
            Start::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence), None),
            Start::After(sequence) => {
                (ShardIteratorType::AfterSequenceNumber, Some(sequence), None)
            }
        };
        Spot { kind, sequence: sequence.map(ToString::to_string), timestamp }
    }

    /// Reading began. The tip moves, so it is asked for once: what is opened next begins at the time of this.
    pub(super) fn opened(&mut self, now: SystemTime) {
        if self.start == Start::Latest {
            self.start = Start::AtTimestamp(now.checked_sub(LATEST_MARGIN).unwrap_or(now));
        }
    }

    /// The number of the start was refused. Whether there is another start: the oldest record.
    pub(super) fn rewind(&mut self) -> bool {
        let by_number = matches!(self.start, Start::At(_) | Start::After(_));
        if by_number {
            *self = Self::new(Start::TrimHorizon);
        }
        by_number
    }

    /// Of records as they came, those that were not returned yet.
    pub(super) fn unseen(&self, mut records: Vec<Record>) -> Vec<Record> {
        records.retain(|record| self.returned < Some(record.sequence_number()));
        records
    }

    /// These records are returned, and reading goes on after `continuation` or the last of them.
    pub(super) fn pass(&mut self, records: &[Record], continuation: Option<SequenceNumber>) {
        let last = records.last().map(Record::sequence_number);
        self.returned = last.or(self.returned);
        if let Some(after) = continuation.max(last) {
            self.start = Start::After(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_at_the_tip_does_not_move_with_the_tip() {
        let mut place = Place::new(Start::Latest);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        place.opened(now);
        place.opened(now + Duration::from_secs(600));
        assert_eq!(*place.start(), Start::AtTimestamp(now - LATEST_MARGIN));
    }
}
