//! Which files can have rows that a query asks for, by what their partitions say of type and time.

use std::collections::HashSet;
use std::sync::Arc;

use archive::{File, Partition};
use datafusion::arrow::array::{ArrayRef, BooleanArray, StringArray, TimestampMicrosecondArray};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

/// Live files as what is known of each without opening it.
#[derive(Debug)]
pub(crate) struct Files<'a>(pub(crate) &'a [(Partition, File)]);

impl Files<'_> {
    fn types(&self) -> ArrayRef {
        let types = self.0.iter().map(|(partition, _)| Some(partition.event_type.as_str()));
        Arc::new(types.collect::<StringArray>())
    }

    /// The bound of each file's hour, so far after its start; null where time itself ends within the hour.
    fn times(&self, after: SignedDuration) -> ArrayRef {
        let bound = |(partition, _): &(Partition, File)| {
            let start = partition.date.at(partition.hour, 0, 0, 0).to_zoned(TimeZone::UTC).ok()?;
            Some(start.timestamp().checked_add(after).ok()?.as_microsecond())
        };
        let bounds = self.0.iter().map(bound).collect::<TimestampMicrosecondArray>();
        Arc::new(bounds.with_timezone("UTC"))
    }
}

impl PruningStatistics for Files<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            "event_type" => Some(self.types()),
            "timestamp" => Some(self.times(SignedDuration::ZERO)),
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name() {
            "event_type" => Some(self.types()),
            // The last microsecond of the hour.
            "timestamp" => Some(self.times(SignedDuration::from_micros(3_600_000_000 - 1))),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
