//! Reading a shard: by polling or by enhanced fan-out, at the pace that Kinesis allows, within the byte budget.
//!
//! A [`Source`] knows where it stands. It moves on only with what it returned: a future that is dropped, an answer
//! that was lost or could not be decoded, an iterator that expired and a connection that broke all lead back to the
//! record after the last one returned.
//!
//! Both ways retry here and nowhere else: the SDK's own retries are switched off, for they would hide throttling
//! and multiply the calls that a shard has five of in a second.

mod answer;
mod calls;
mod fan_out;
mod list;
mod pace;
mod place;
mod polling;
mod register;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use bytes::Bytes;

use crate::budget::{Budget, Permit};
use crate::checkpoint::{Checkpoint, InvalidCheckpoint, Position, SequenceNumber};
use crate::error::Error;
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::record::{PartitionKey, Record};
use crate::settings::Settings;
use crate::shards::Shard;

use calls::Calls;
use fan_out::FanOut;
use polling::Polling;

pub(crate) use list::list;
pub(crate) use register::consumer_arn;
pub(crate) use time::time;

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every start is asked for as yet")]
pub(crate) enum Start {
    TrimHorizon,
    AtTimestamp(SystemTime),
    /// With this record: it was taken apart, and not all of its parts are done.
    At(SequenceNumber),
    After(SequenceNumber),
    Latest,
}

/// One answer of Kinesis.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of the shard, none of them returned before. Often empty.
    pub(crate) records: Vec<Record>,
    /// The room that the records take.
    pub(crate) permit: Permit,
    pub(crate) millis_behind_latest: u64,
    /// The shards to go on with, when this one is closed and was read to its end.
    pub(crate) end: Option<Vec<Shard>>,
}

/// Reads one shard in order.
pub(crate) struct Source(Way);

enum Way {
    Polling(Box<Polling>),
    FanOut(Box<FanOut>),
}

impl Start {
    /// Where to go on after a lease's checkpoint, or where to begin.
    pub(crate) fn from(lease: &Lease) -> Self {
        match (lease.checkpoint, lease.initial_at) {
            (Checkpoint::At(position), _) => Self::At(position.sequence),
            (Checkpoint::AtTimestamp | Checkpoint::Latest, Some(at)) => {
                Self::AtTimestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
            }
            // What nobody wrote down is read from the oldest record: twice rather than never.
            _ => Self::TrimHorizon,
        }
    }
}

impl Source {
    /// A source that stands at `start`: by fan-out as the consumer of that ARN, by polling without. Calls nothing.
    pub(crate) fn open(
        kinesis: Client,
        settings: Arc<Settings>,
        budget: Budget,
        metrics: Arc<dyn Metrics>,
        shard: Arc<str>,
        start: Start,
        consumer_arn: Option<Arc<str>>,
    ) -> Self {
        let calls = Calls::new(&kinesis, settings.stream.clone(), shard, metrics);
        Self(match consumer_arn {
            None => Way::Polling(Box::new(Polling::new(calls, &settings, budget, start))),
            Some(arn) => Way::FanOut(Box::new(FanOut::new(calls, arn, budget, start))),
        })
    }

    /// Waits for its turn and for room, then reads. May be dropped at any time: nothing is lost by it.
    ///
    /// # Errors
    /// For the log. Calling again is the retry, and the pause before it is kept inside.
    pub(crate) async fn next(&mut self) -> Result<Page, Error> {
        match &mut self.0 {
            Way::Polling(polling) => polling.next().await,
            Way::FanOut(fan_out) => fan_out.next().await,
        }
    }
}

fn record(record: aws_sdk_kinesis::types::Record) -> Result<Record, InvalidCheckpoint> {
    let sequence = SequenceNumber::parse(&record.sequence_number)?;
    Ok(Record {
        position: Position { sequence, sub_sequence: 0 },
        partition_key: record.partition_key.map(PartitionKey::from),
        explicit_hash_key: None,
        data: Bytes::from(record.data.into_inner()),
        arrived_at: record.approximate_arrival_timestamp.and_then(|at| at.try_into().ok()),
    })
}

/// What records hold in memory.
fn bytes(records: &[Record]) -> usize {
    records.iter().map(Record::bytes_held).sum()
}
