//! Reading a shard by polling.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, ShardIteratorType};
use bytes::Bytes;

use crate::backoff::backoff;
use crate::budget::{Budget, Permit};
use crate::checkpoint::{Checkpoint, Position, SequenceNumber};
use crate::error::Error;
use crate::lease::{HashRange, Lease};
use crate::metrics::Metrics;
use crate::record::{PartitionKey, Record};
use crate::settings::Settings;
use crate::shards::Shard;
use tokio::time::{Instant, sleep_until};

/// Where an iterator is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    TrimHorizon,
    AtTimestamp(SystemTime),
    After(SequenceNumber),
    At(SequenceNumber),
}

/// One answer of Kinesis.
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    pub(crate) millis_behind_latest: u64,
    /// The shards to go on with, when this one is closed and was read to its end.
    pub(crate) end: Option<Vec<Shard>>,
}

/// A read that gave nothing, by what to do next.
#[derive(Debug)]
pub(crate) enum NoRead {
    /// Open a new iterator and read at once.
    Reopen,
    /// Read again after a pause.
    Pause(Error),
}

/// Reads one shard in order.
pub(crate) struct ShardReader {
    kinesis: Client,
    stream: String,
    shard: Arc<str>,
    records_max: i32,
    start: Start,
    iterator: Option<String>,
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

impl ShardReader {
    pub(crate) fn new(kinesis: Client, settings: &Settings, shard: Arc<str>, start: Start) -> Self {
        Self {
            kinesis,
            stream: settings.stream.clone(),
            shard,
            records_max: i32::try_from(settings.records_max).unwrap_or(i32::MAX),
            start,
            iterator: None,
        }
    }

    /// The next records. Nothing is skipped when the future is dropped: the place moves on with the answer.
    pub(crate) async fn read(&mut self) -> Result<Read, NoRead> {
        let iterator = match &self.iterator {
            Some(iterator) => iterator.clone(),
            None => self.open().await.map_err(NoRead::Pause)?,
        };
        let get = self.kinesis.get_records().shard_iterator(&iterator).limit(self.records_max);
        let reply = get.send().await.map_err(|error| self.no_read(error))?;
        let end = match reply.next_shard_iterator {
            Some(_) => None,
            None => Some(self.children(&reply).await?),
        };
        let millis_behind_latest =
            reply.millis_behind_latest.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
        let records = reply.records.into_iter().map(|record| self.record(record));
        let records: Vec<_> = records.collect::<Result<_, _>>().map_err(NoRead::Pause)?;
        if let Some(last) = records.last() {
            self.start = Start::After(last.sequence_number());
        }
        self.iterator = reply.next_shard_iterator;
        Ok(Read { records, millis_behind_latest, end })
    }

    async fn open(&mut self) -> Result<String, Error> {
        let open = self.kinesis.get_shard_iterator();
        let open = open.stream_name(&self.stream).shard_id(self.shard.as_ref());
        let open = match &self.start {
            Start::TrimHorizon => open.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Start::AtTimestamp(at) => {
                open.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp((*at).into())
            }
            Start::At(sequence) => open
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(sequence.to_string()),
            Start::After(sequence) => open
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence.to_string()),
        };
        let reply = open.send().await.map_err(|error| {
            let gone =
                error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception());
            if gone { self.gone() } else { self.failed("GetShardIterator", error) }
        })?;
        let iterator = reply
            .shard_iterator
            .ok_or_else(|| self.failed("GetShardIterator", "the answer holds no iterator"))?;
        self.iterator = Some(iterator.clone());
        Ok(iterator)
    }

    /// The children of a shard that gave no next iterator: from the answer, or listed where that names none.
    /// Without children the shard has not ended, whatever the answer says.
    async fn children(&mut self, reply: &GetRecordsOutput) -> Result<Vec<Shard>, NoRead> {
        let named = reply.child_shards.as_deref().unwrap_or_default();
        let children: Vec<_> = if named.is_empty() {
            let shards = list(&self.kinesis, &self.stream).await.map_err(NoRead::Pause)?;
            let of_this = |shard: &Shard| shard.parents.contains(self.shard.as_ref());
            shards.into_iter().filter(of_this).collect()
        } else {
            named.iter().map(Shard::from).collect()
        };
        if children.is_empty() {
            self.iterator = None;
            let source = "the shard gave no next iterator, but has no children";
            return Err(NoRead::Pause(self.failed("GetRecords", source)));
        }
        Ok(children)
    }

    fn record(&self, record: aws_sdk_kinesis::types::Record) -> Result<Record, Error> {
        let sequence = SequenceNumber::parse(&record.sequence_number)
            .map_err(|error| self.failed("GetRecords", error))?;
        Ok(Record {
            position: Position { sequence, sub_sequence: 0 },
            partition_key: record.partition_key.map(PartitionKey::from),
            explicit_hash_key: None,
            data: Bytes::from(record.data.into_inner()),
            arrived_at: record.approximate_arrival_timestamp.and_then(|at| at.try_into().ok()),
        })
    }

    fn no_read(&mut self, error: SdkError<GetRecordsError>) -> NoRead {
        match error.as_service_error() {
            Some(GetRecordsError::ExpiredIteratorException(_)) => {
                self.iterator = None;
                NoRead::Reopen
            }
            Some(GetRecordsError::ResourceNotFoundException(_)) => {
                self.iterator = None;
                NoRead::Pause(self.gone())
            }
            _ => NoRead::Pause(self.failed("GetRecords", error)),
        }
    }

    fn gone(&self) -> Error {
        Error::StreamNotFound { stream: self.stream.clone() }
    }

    fn failed(&self, operation: &'static str, source: impl Into<crate::error::Cause>) -> Error {
        Error::Kinesis { operation, stream: self.stream.clone(), source: source.into() }
    }
}

/// A page and its part of the byte budget.
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    pub(crate) permit: Permit,
    pub(crate) millis_behind_latest: u64,
    pub(crate) end: Option<Vec<Shard>>,
}

/// Reads one shard in order.
pub(crate) struct Source {
    reader: ShardReader,
    budget: Budget,
    interval: Duration,
    next_read: Instant,
    failures: u32,
}

const READ_BYTES_MAX: usize = 10 << 20;

impl Source {
    pub(crate) fn open(
        kinesis: Client,
        settings: &Arc<Settings>,
        budget: Budget,
        _metrics: Arc<dyn Metrics>,
        shard: Arc<str>,
        start: Start,
        _consumer_arn: Option<Arc<str>>,
    ) -> Self {
        let reader = ShardReader::new(kinesis, settings, shard, start);
        let interval = settings.read_interval;
        Self { reader, budget, interval, next_read: Instant::now(), failures: 0 }
    }

    pub(crate) async fn next(&mut self) -> Result<Page, Error> {
        loop {
            sleep_until(self.next_read).await;
            let mut permit = self.budget.reserve(READ_BYTES_MAX).await;
            self.next_read = Instant::now() + self.interval;
            match self.reader.read().await {
                Ok(read) => {
                    self.failures = 0;
                    permit.shrink(read.records.iter().map(|record| record.data.len()).sum());
                    let Read { records, millis_behind_latest, end } = read;
                    return Ok(Page { records, permit, millis_behind_latest, end });
                }
                Err(NoRead::Reopen) => self.next_read = Instant::now(),
                Err(NoRead::Pause(error)) => {
                    let (least, most) = (Duration::from_millis(100), Duration::from_secs(1));
                    self.next_read = Instant::now() + backoff(self.failures, least, most);
                    self.failures += 1;
                    return Err(error);
                }
            }
        }
    }
}

/// Every shard that the stream still has.
pub(crate) async fn list(kinesis: &Client, stream: &str) -> Result<Vec<Shard>, Error> {
    let mut shards = Vec::new();
    let mut next = None;
    loop {
        // A page's token stands alone: with it, Kinesis refuses the stream's name.
        let request = match next {
            Some(token) => kinesis.list_shards().next_token(token),
            None => kinesis.list_shards().stream_name(stream),
        };
        let page = request.send().await.map_err(|error| match error.as_service_error() {
            Some(e) if e.is_resource_not_found_exception() => {
                Error::StreamNotFound { stream: stream.to_owned() }
            }
            _ => Error::Kinesis {
                operation: "ListShards",
                stream: stream.to_owned(),
                source: error.into(),
            },
        })?;
        shards.extend(page.shards().iter().map(Shard::from));
        next = page.next_token;
        if next.is_none() {
            return Ok(shards);
        }
    }
}

impl From<&aws_sdk_kinesis::types::Shard> for Shard {
    fn from(shard: &aws_sdk_kinesis::types::Shard) -> Self {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        Self {
            id: shard.shard_id.clone(),
            parents: parents.into_iter().flatten().cloned().collect::<BTreeSet<_>>(),
            hash_range: shard.hash_key_range.as_ref().and_then(hash_range),
        }
    }
}

impl From<&ChildShard> for Shard {
    fn from(shard: &ChildShard) -> Self {
        Self {
            id: shard.shard_id.clone(),
            parents: shard.parent_shards.iter().cloned().collect(),
            hash_range: shard.hash_key_range.as_ref().and_then(hash_range),
        }
    }
}

fn hash_range(range: &HashKeyRange) -> Option<HashRange> {
    let start = range.starting_hash_key.parse().ok()?;
    Some(HashRange { start, end: range.ending_hash_key.parse().ok()? })
}
